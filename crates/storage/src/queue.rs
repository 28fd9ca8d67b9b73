use std::time::Duration;

use async_trait::async_trait;

use crate::StorageError;

/// Names one delivery of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt(pub String);

/// A message that was handed out, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What was sent.
    pub body: String,
    /// What to acknowledge it with.
    pub receipt: Receipt,
    /// How often it was handed out, this time included.
    pub receives: u32,
}

/// How many messages a queue has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Those that can be received.
    pub waiting: u64,
    /// Those that are hidden, because someone works on them.
    pub taken: u64,
    /// Dead letters.
    pub dead: u64,
}

/// Hands each message to someone until one of them says that it is done.
///
/// **Delivery** is at least once and in no promised order. A message that was received is invisible
/// for the time asked for, then visible again. One that was received as often as the queue allows and
/// becomes visible once more goes to the dead letters.
#[async_trait]
pub trait MessageQueue: Send + Sync {
    /// Puts a message in, to be received at once.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn send(&self, body: &str) -> Result<(), StorageError>;

    /// Takes a visible message, if there is one, and hides it for `hidden`.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn receive(&self, hidden: Duration) -> Result<Option<Delivery>, StorageError>;

    /// Hides a received message for `hidden` from now; zero gives it back at once.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if it was acknowledged or received again since.
    async fn extend(&self, receipt: &Receipt, hidden: Duration) -> Result<(), StorageError>;

    /// Takes a received message out for good.
    ///
    /// Succeeds too where it is gone, or was received again since; then the later receiver has it.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), StorageError>;

    /// Moves a received message to the dead letters: nobody can do what it asks for.
    ///
    /// Does nothing where it is gone, or was received again since.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn bury(&self, delivery: &Delivery) -> Result<(), StorageError>;

    /// Returns dead letters, the oldest first, at most `limit` of them.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn dead_letters(&self, limit: u32) -> Result<Vec<String>, StorageError>;

    /// Counts the messages. Where others send and receive meanwhile, the numbers are about right.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn depth(&self) -> Result<QueueDepth, StorageError>;
}
