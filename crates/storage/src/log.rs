use async_trait::async_trait;

use crate::StorageError;

/// An entry of an [`EventLog`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number within its log, counted from 1 without gaps.
    pub sequence: u64,
    /// What it says: JSON.
    pub body: String,
}

/// Keeps what happened, in order and without change; there are any number of logs, such as one a job.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends entries to the log called `log`, whose last number must be `last` (0 for an empty
    /// log), all or none, and returns the number of the last one.
    ///
    /// That the caller says where it stands makes a repeated call harmless and keeps two writers
    /// from mixing.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if the log ends elsewhere.
    async fn append(&self, log: &str, last: u64, bodies: &[String]) -> Result<u64, StorageError>;

    /// Returns the number of the log's last entry; 0 where there is none.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn last(&self, log: &str) -> Result<u64, StorageError>;

    /// Returns the entries with a number above `after`, in order, at most `limit` of them.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn read(&self, log: &str, after: u64, limit: u32) -> Result<Vec<LogEntry>, StorageError>;

    /// Deletes a log; where there is none, this succeeds too.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn delete(&self, log: &str) -> Result<(), StorageError>;
}
