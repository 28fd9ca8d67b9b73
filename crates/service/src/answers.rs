use std::{sync::Arc, time::Duration};

use llmopt_domain::Digest;
use llmopt_storage::{AnswerClaim, AnswerStore, Claimed, KeptAnswer, StorageError};

use crate::clock::now_ms;

mod seal;

/// How long a request that is worked on is another's for nobody; a process that dies frees it then.
const LEASE: Duration = Duration::from_secs(60);
/// How often the lease is renewed: a store may stall for half of it.
const RENEWAL: Duration = Duration::from_secs(10);
/// How long a renewal is waited for; the next may find a store that answers.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of the largest answer that is kept.
pub const LARGEST_ANSWER: usize = 16 << 20;

/// Returns the milliseconds since 1970.
type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Has requests that must be done once done once: who asks the same again under the same name gets the first
/// answer.
///
/// Answers are kept for a day, encrypted under a key that only who asked can derive.
#[derive(Clone)]
pub struct Answers {
    store: Arc<dyn AnswerStore>,
    clock: Clock,
    renewal: Duration,
}

/// The name of a request, which its caller chose.
///
/// Of what it is made of the store has a digest alone.
#[derive(Clone)]
pub struct RequestName {
    id: String,
    secret: Vec<u8>,
}

/// What is to be done about a request.
pub enum Begun {
    /// It is to be worked on.
    Granted(AnswerLease),
    /// Another works on it, or did and died.
    InFlight,
    /// The name is another request's.
    Reused,
    /// It was answered, or another with its name was.
    Finished(PastAnswer),
}

/// What is known of a request.
pub enum Known {
    /// Nobody works on it yet, or who did has died.
    Waiting,
    /// Somebody works on it.
    Working,
    /// It was answered.
    Finished(PastAnswer),
}

/// The right to work on a request.
#[derive(Clone)]
pub struct AnswerLease {
    answers: Answers,
    name: RequestName,
    holder: String,
}

/// An answer that was given.
pub struct PastAnswer {
    name: RequestName,
    kept: KeptAnswer,
}

/// What is known of a past answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Recalled {
    /// The answer.
    Answer(Vec<u8>),
    /// The name is another request's.
    Reused,
    /// It was given, and was too large to be kept.
    TooLarge,
    /// It was given to who showed another secret.
    Sealed,
}

impl Answers {
    /// Keeps answers in `store`.
    pub fn new(store: Arc<dyn AnswerStore>) -> Self {
        Self::with_clock(store, Arc::new(now_ms))
    }

    /// As [`Answers::new`], by another clock than this machine's.
    pub fn with_clock(store: Arc<dyn AnswerStore>, clock: Clock) -> Self {
        Self {
            store,
            clock,
            renewal: RENEWAL,
        }
    }

    /// Begins a request called `name`; `fingerprint` is that of what is asked, where it is known. What is known
    /// later alone is no other's that is known beforehand.
    ///
    /// # Errors
    /// Those of [`AnswerStore::claim`]; nothing may be done then.
    pub async fn begin(
        &self,
        name: &RequestName,
        fingerprint: Option<&str>,
    ) -> Result<Begun, StorageError> {
        let claim = self.claim(fingerprint, LEASE)?;
        let holder = claim.holder.clone();
        Ok(match self.store.claim(&name.id, &claim).await? {
            Claimed::Granted => Begun::Granted(AnswerLease {
                answers: self.clone(),
                name: name.clone(),
                holder,
            }),
            Claimed::InFlight { fingerprint, .. } if fingerprint != claim.fingerprint => {
                Begun::Reused
            }
            Claimed::InFlight { .. } => Begun::InFlight,
            Claimed::Finished(kept) => Begun::Finished(PastAnswer {
                name: name.clone(),
                kept,
            }),
        })
    }

    /// Notes that a request called `name` is to be begun later, by anybody: until then it is known to wait, for a day.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if the name is another request's, and those of [`AnswerStore::claim`].
    pub async fn announce(
        &self,
        name: &RequestName,
        fingerprint: &str,
    ) -> Result<(), StorageError> {
        let claim = self.claim(Some(fingerprint), Duration::ZERO)?;
        match self.store.claim(&name.id, &claim).await? {
            Claimed::Granted => Ok(()),
            Claimed::InFlight { .. } | Claimed::Finished(_) => Err(StorageError::Conflict {
                subject: format!("answer `{}`", name.id),
            }),
        }
    }

    /// Says what is known of a request called `name`; `None` where nothing is, or not any more.
    ///
    /// # Errors
    /// Those of [`AnswerStore::look`].
    pub async fn look(&self, name: &RequestName) -> Result<Option<Known>, StorageError> {
        let now_ms = (self.clock)();
        Ok(match self.store.look(&name.id, now_ms).await? {
            None | Some(Claimed::Granted) => None,
            Some(Claimed::InFlight { until_ms, .. }) if until_ms <= now_ms => Some(Known::Waiting),
            Some(Claimed::InFlight { .. }) => Some(Known::Working),
            Some(Claimed::Finished(kept)) => Some(Known::Finished(PastAnswer {
                name: name.clone(),
                kept,
            })),
        })
    }

    fn claim(
        &self,
        fingerprint: Option<&str>,
        lease: Duration,
    ) -> Result<AnswerClaim, StorageError> {
        let holder = seal::random::<16>()?;
        let now_ms = (self.clock)();
        Ok(AnswerClaim {
            holder: holder.iter().map(|byte| format!("{byte:02x}")).collect(),
            fingerprint: fingerprint.map(str::to_owned),
            now_ms,
            until_ms: after(now_ms, lease),
            expires_ms: after(now_ms, KEPT),
        })
    }
}

impl RequestName {
    /// Names a request of `caller` to `route` by the text `key`, which the caller chose; `secret` is what the
    /// caller shows to prove who it is, where it has to.
    pub fn new(caller: &str, secret: Option<&str>, route: &str, key: &str) -> Self {
        Self {
            id: Digest::of_bytes(&joined(&[caller, route, key])).to_string(),
            secret: joined(&[secret.unwrap_or_default(), key]),
        }
    }
}

impl AnswerLease {
    /// Waits for `work`, and renews the lease meanwhile.
    pub async fn hold<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = self.renew_always() => match never {},
        }
    }

    async fn renew_always(&self) -> std::convert::Infallible {
        let store = &self.answers.store;
        loop {
            tokio::time::sleep(self.answers.renewal).await;
            let until_ms = after((self.answers.clock)(), LEASE);
            let renewal = store.renew(&self.name.id, &self.holder, until_ms);
            let renewed = match tokio::time::timeout(PATIENCE, renewal).await {
                Ok(renewed) => renewed,
                Err(_) => {
                    tracing::warn!(
                        "the lease of a request is not renewed: the store does not answer"
                    );
                    continue;
                }
            };
            match renewed {
                Ok(()) => {}
                Err(StorageError::Conflict { .. }) => {
                    tracing::error!("a request that is worked on is another's by now");
                    return std::future::pending().await;
                }
                Err(error) => tracing::warn!(%error, "the lease of a request is not renewed"),
            }
        }
    }

    /// Keeps what was answered to the request with this fingerprint, or where it is too large, that it was.
    ///
    /// # Errors
    /// Those of [`AnswerStore::finish`]: the request may be worked on again once the lease has run out.
    pub async fn keep(&self, fingerprint: &str, answer: Vec<u8>) -> Result<(), StorageError> {
        let sealed =
            (answer.len() <= LARGEST_ANSWER).then(|| seal::seal(&self.name, fingerprint, answer));
        let kept = KeptAnswer {
            fingerprint: fingerprint.to_owned(),
            body: sealed.transpose()?,
            expires_ms: after((self.answers.clock)(), KEPT),
        };
        let store = &self.answers.store;
        store.finish(&self.name.id, &self.holder, &kept).await
    }

    /// Leaves the request to whoever begins it next: it waits again.
    ///
    /// # Errors
    /// Those of [`AnswerStore::renew`]: it waits once the lease has run out.
    pub async fn postpone(&self) -> Result<(), StorageError> {
        let now_ms = (self.answers.clock)();
        let store = &self.answers.store;
        store.renew(&self.name.id, &self.holder, now_ms).await
    }

    /// Gives the request up: it may be asked again, as it is or mended.
    ///
    /// # Errors
    /// Those of [`AnswerStore::release`]: it may be asked again once the lease has run out.
    pub async fn release(&self) -> Result<(), StorageError> {
        let store = &self.answers.store;
        store.release(&self.name.id, &self.holder).await
    }
}

impl PastAnswer {
    /// Returns the answer to the request with this fingerprint.
    pub fn recall(self, fingerprint: &str) -> Recalled {
        if self.kept.fingerprint != fingerprint {
            return Recalled::Reused;
        }
        match self.kept.body {
            None => Recalled::TooLarge,
            Some(sealed) => seal::open(&self.name, fingerprint, sealed)
                .map_or(Recalled::Sealed, Recalled::Answer),
        }
    }
}

/// Joins texts so that no others give the same.
fn joined(parts: &[&str]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part.as_bytes());
    }
    all
}

fn after(now_ms: u64, span: Duration) -> u64 {
    now_ms.saturating_add(span.as_millis() as u64)
}

#[cfg(test)]
mod tests;
