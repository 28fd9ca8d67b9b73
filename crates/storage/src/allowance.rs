use async_trait::async_trait;

use crate::StorageError;

/// Keeps what may still be spent of something: money in picodollars, requests, tokens.
///
/// **Exactness.** However many processes spend at once, what they were granted together is never more
/// than what there was.
#[async_trait]
pub trait AllowanceStore: Send + Sync {
    /// Opens the allowance `id` with `amount` to spend.
    ///
    /// # Errors
    /// [`StorageError::RecordExists`] if it is open already, whatever is left of it.
    async fn open(&self, id: &str, amount: u64) -> Result<(), StorageError>;

    /// Takes `amount` out of the allowance and returns what is left, or takes nothing and returns
    /// `None` where less than that is left.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] if it was never opened. After [`StorageError::Unavailable`] the
    /// amount may have been taken, once at most: count it as spent.
    async fn spend(&self, id: &str, amount: u64) -> Result<Option<u64>, StorageError>;

    /// Returns what is left.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] if it was never opened.
    async fn left(&self, id: &str) -> Result<u64, StorageError>;
}
