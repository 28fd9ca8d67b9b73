use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use llmopt_domain::{Digest, ObjectKey};

use crate::StorageError;

/// Says of a file of a published folder, by its path in it with `/` between the names, whether it is
/// wanted.
pub type Wanted = fn(&str) -> bool;

/// Keeps folders that never change once published: base models, checkpoints, artifacts.
///
/// **Visibility.** A folder is published entirely or not at all. A process that dies, or a machine
/// that loses power, at any moment leaves each key as it was before the call or as it is after it.
/// What one call returned, every later call of every process sees.
///
/// **Keys.** Published folders do not nest: a key below or above a published one is taken. A key
/// that is not published is merely a place where others may be (its children).
#[async_trait]
pub trait FolderStore: Send + Sync {
    /// Makes a folder to write into before [`publish`](Self::publish).
    ///
    /// Invisible to [`list`](Self::list) and [`open`](Self::open), removed when dropped, and removed
    /// later if the process dies first.
    ///
    /// # Errors
    /// [`StorageError::NoSpace`], [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn stage(&self) -> Result<StagedFolder, StorageError>;

    /// Publishes the folder `staged`, which [`stage`](Self::stage) made, at `key`.
    ///
    /// On success it is durable and `staged` is consumed: the path no longer exists. On failure
    /// `staged` is as it was and `key` is not published by this call. Of several calls for one key
    /// exactly one succeeds. Files and folders are kept with their names and contents; anything
    /// else, such as a symbolic link, is refused as [`StorageError::Corrupt`].
    ///
    /// # Errors
    /// [`StorageError::AlreadyExists`] if the key is taken, else any but
    /// [`StorageError::NotFound`].
    async fn publish(&self, staged: &Path, key: &ObjectKey) -> Result<(), StorageError>;

    /// Returns a local folder with the files published at `key`, to be read and not written.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] if nothing is; [`StorageError::Corrupt`] if files are missing or
    /// have another size than when they were published.
    async fn open(&self, key: &ObjectKey) -> Result<PathBuf, StorageError> {
        self.open_part(key, |_| true).await
    }

    /// As [`open`](Self::open), for those who read only the files that are `wanted`: the others may be
    /// there or not.
    ///
    /// # Errors
    /// As [`open`](Self::open); damage to files that are not wanted may go unnoticed.
    async fn open_part(&self, key: &ObjectKey, wanted: Wanted) -> Result<PathBuf, StorageError>;

    /// Returns the digest of each file published at `key`, by its path with `/` between the names.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    async fn digests(&self, key: &ObjectKey) -> Result<BTreeMap<String, Digest>, StorageError>;

    /// Returns every published folder below `parent`, at any depth, sorted.
    ///
    /// A parent that does not exist, or is itself published, has none.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn list_below(&self, parent: &ObjectKey) -> Result<Vec<ObjectKey>, StorageError>;

    /// Returns the published direct children of `parent`, sorted by name.
    ///
    /// A parent that does not exist, or is itself published, has none. Children that merely hold
    /// published folders are not returned.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn list(&self, parent: &ObjectKey) -> Result<Vec<ObjectKey>, StorageError>;

    /// Deletes what is published at `key`, all at once; where nothing is, this succeeds too.
    ///
    /// Never touches what is published below the key.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError>;
}

/// A folder to write into; it and its contents are removed on drop unless they were published.
pub struct StagedFolder {
    path: PathBuf,
    _cleanup: Box<dyn Any + Send + Sync>,
}

impl StagedFolder {
    /// Hands out the existing, empty folder `path`; dropping `cleanup` removes it.
    pub fn new(path: PathBuf, cleanup: impl Any + Send + Sync) -> Self {
        Self {
            path,
            _cleanup: Box::new(cleanup),
        }
    }

    /// Returns where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Debug for StagedFolder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("StagedFolder")
            .field(&self.path)
            .finish()
    }
}
