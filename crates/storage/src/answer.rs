use async_trait::async_trait;

use crate::StorageError;

/// Keeps what was answered to requests that must be done once, for whoever asks the same again.
///
/// Under an id there is nothing, a claim, or what was answered. A claim has a holder and a lease: until then
/// nobody else gets the id. A claim whose lease has run out is lapsed: who held it is taken for dead, and the
/// next that claims the id has it, if what it asks is the same. Claims and answers end at a time of their own,
/// as if they had never been; the store may remove them then.
///
/// **Exactness.** However many processes claim an id at once, it is granted to one of them, as far as their
/// clocks agree: times are milliseconds since 1970 by the clock of whoever calls.
///
/// **All or nothing.** An answer is there whole or not at all, whenever who keeps it dies.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// Claims `id`, or says what is there. A claim that is made again by its own holder is granted again: the
    /// first answer may have been lost.
    ///
    /// # Errors
    /// After [`StorageError::Unavailable`] the claim may have been granted: nobody has it until it lapses.
    async fn claim(&self, id: &str, claim: &AnswerClaim) -> Result<Claimed, StorageError>;

    /// Says what is there under `id` at `now_ms`, which is never [`Claimed::Granted`]; `None` where nothing is, or what
    /// was has ended.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if what is kept cannot be read.
    async fn look(&self, id: &str, now_ms: u64) -> Result<Option<Claimed>, StorageError>;

    /// Lets the claim of `holder` last until `until_ms`.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if `holder` has no claim on `id`: it lapsed and another took it, or is
    /// finished or released.
    async fn renew(&self, id: &str, holder: &str, until_ms: u64) -> Result<(), StorageError>;

    /// Puts the answer in the place of the claim of `holder`, lapsed or not. Doing it again with the same
    /// answer changes nothing.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if another has claimed `id` since, or nobody has. After any error the claim
    /// may still be there, until it lapses.
    async fn finish(&self, id: &str, holder: &str, answer: &KeptAnswer)
    -> Result<(), StorageError>;

    /// Gives the claim of `holder` up, so that `id` is free for any request. Where `holder` has none, nothing
    /// happens: what another has, or what was answered, stays.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn release(&self, id: &str, holder: &str) -> Result<(), StorageError>;
}

/// Who wants to answer, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerClaim {
    /// Who claims: a name that no other claim has, of any process.
    pub holder: String,
    /// What is asked; absent where that is not known yet.
    pub fingerprint: Option<String>,
    /// The time now.
    pub now_ms: u64,
    /// When the claim lapses.
    pub until_ms: u64,
    /// When it ends, lapsed or not.
    pub expires_ms: u64,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// What was asked.
    pub fingerprint: String,
    /// The answer, up to 32 MB; absent where that it was given is all that is kept.
    pub body: Option<Vec<u8>>,
    /// When it ends.
    pub expires_ms: u64,
}

/// What a claim came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The id is the caller's.
    Granted,
    /// Another has it, or had it for another request.
    InFlight {
        /// What is asked there; absent where that is not known yet.
        fingerprint: Option<String>,
        /// When that claim lapses, or did.
        until_ms: u64,
    },
    /// It was answered.
    Finished(KeptAnswer),
}

impl AnswerClaim {
    /// Returns whether it may have an id whose claim lapses at `until_ms` and is for `fingerprint`.
    pub fn may_follow(&self, until_ms: u64, fingerprint: Option<&str>) -> bool {
        until_ms <= self.now_ms
            && fingerprint.is_none_or(|it| self.fingerprint.as_deref() == Some(it))
    }
}
