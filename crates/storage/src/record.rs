use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

use crate::StorageError;

/// Something that is kept under an id and changes as a whole, such as a training job.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// What it is, in one word; records of different kinds never meet.
    const KIND: &'static str;

    /// Returns its id, unique within its kind.
    fn id(&self) -> &str;

    /// Returns when it was made, in milliseconds since 1970. It never changes.
    fn created_ms(&self) -> u64;

    /// Returns the group that it can be listed by, such as a job's state; it may change.
    fn group(&self) -> &str;
}

/// Names one state of a record. A record that is deleted and made again has other revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revision(pub u64);

/// A record as it was read, with the revision that replaces it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<R> {
    /// The record.
    pub record: R,
    /// Its revision.
    pub revision: Revision,
}

/// A place in a list of records, right after one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When that record was made.
    pub created_ms: u64,
    /// Its id.
    pub id: String,
}

/// Which records to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only those of this group.
    pub group: Option<String>,
    /// Only those after this place.
    pub after: Option<Cursor>,
    /// At most so many; 0 lists none.
    pub limit: u32,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<R> {
    /// The records.
    pub records: Vec<Stored<R>>,
    /// Where the next part begins; `None` where this is the last.
    pub next: Option<Cursor>,
}

/// Keeps records of one kind.
///
/// **Consistency.** Each call happens at once and entirely, or not at all; what it returned, every
/// later [`get`](Self::get) of every process sees. Lists may lag by moments where the technology's
/// indices do, and a record that changes its group while it is listed may be met twice or not at all.
#[async_trait]
pub trait RecordStore<R: Record>: Send + Sync {
    /// Keeps a new record.
    ///
    /// # Errors
    /// [`StorageError::RecordExists`] if there is one with its id; of several calls for one id
    /// exactly one succeeds.
    async fn create(&self, record: &R) -> Result<Stored<R>, StorageError>;

    /// Returns the record with this id.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] if there is none; [`StorageError::Corrupt`] if what is kept cannot
    /// be read as one.
    async fn get(&self, id: &str) -> Result<Stored<R>, StorageError>;

    /// Replaces the record with the same id, if it is still at `revision`.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if it is not, or not there; of several calls from one revision
    /// exactly one succeeds.
    async fn replace(&self, revision: Revision, record: &R) -> Result<Stored<R>, StorageError>;

    /// Returns records, the last made first; those made in the same millisecond by descending id.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] as for [`get`](Self::get).
    async fn list(&self, listing: &Listing) -> Result<Page<R>, StorageError>;

    /// Deletes the record with this id; where there is none, this succeeds too.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn delete(&self, id: &str) -> Result<(), StorageError>;
}
