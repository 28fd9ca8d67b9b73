use std::error::Error;

use llmopt_domain::ObjectKey;
use thiserror::Error;

/// What an adapter's technology said.
type Cause = Box<dyn Error + Send + Sync>;

/// Why a store could not do what it was asked for.
///
/// `subject` is the key that was worked on, or the store itself where there is no key.
#[derive(Debug, Error)]
pub enum StorageError {
    /// Nothing is published at the key.
    #[error("nothing is published at `{key}`: check the name, or publish it first")]
    NotFound {
        /// The key.
        key: ObjectKey,
    },
    /// The key is taken; published folders never change.
    #[error(
        "`{key}` is taken: a published folder never changes and holds no other, so publish at a key of its own or delete what is there"
    )]
    AlreadyExists {
        /// The key.
        key: ObjectKey,
    },
    /// There is no such record.
    #[error("there is no {kind} `{id}`")]
    NoRecord {
        /// The kind of record.
        kind: &'static str,
        /// The id asked for.
        id: String,
    },
    /// There is a record with this id.
    #[error("there is a {kind} `{id}` already")]
    RecordExists {
        /// The kind of record.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// Someone else was first: what is kept is not what the caller took it to be.
    #[error("`{subject}` has changed meanwhile: read it again, then decide anew")]
    Conflict {
        /// The record, log or message.
        subject: String,
    },
    /// The store does not answer now but may later.
    #[error("failed to {operation} `{subject}` because the store is busy or away: try again")]
    Unavailable {
        /// What was tried, such as `publish`.
        operation: &'static str,
        /// The key or the store.
        subject: String,
        /// What the technology said.
        source: Cause,
    },
    /// The store is full.
    #[error(
        "failed to {operation} `{subject}` because no space is left: free some, then try again; nothing was changed"
    )]
    NoSpace {
        /// What was tried.
        operation: &'static str,
        /// The key or the store.
        subject: String,
        /// What the technology said.
        source: Cause,
    },
    /// What is stored is not what was published, or what is staged cannot be stored.
    #[error("`{subject}` is damaged: {reason}")]
    Corrupt {
        /// The key.
        subject: String,
        /// What is wrong and what to do about it.
        reason: String,
    },
    /// Anything else: a retry does not mend it.
    #[error("failed to {operation} `{subject}`")]
    Internal {
        /// What was tried.
        operation: &'static str,
        /// The key or the store.
        subject: String,
        /// What the technology said.
        source: Cause,
    },
}
