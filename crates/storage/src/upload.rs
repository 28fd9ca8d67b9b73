use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use crate::StorageError;

/// Where to send a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadTarget {
    /// What the upload is called afterwards.
    pub id: String,
    /// The URL to `PUT` the bytes to; it is a permission, so not for logs.
    pub url: String,
    /// When the URL stops working.
    pub expires: SystemTime,
}

/// Takes files straight from those who have them, where a request's body could not hold them.
///
/// What nobody fetches is deleted after some days.
#[async_trait]
pub trait UploadStore: Send + Sync {
    /// Opens a place for one file, for as long as `valid`.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn begin(&self, valid: Duration) -> Result<UploadTarget, StorageError>;

    /// Writes what was sent to the file `into`, and returns its size in bytes.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] if nothing was sent, or the id is none.
    async fn fetch(&self, id: &str, into: &Path) -> Result<u64, StorageError>;

    /// Deletes what was sent; where nothing was, this succeeds too.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn discard(&self, id: &str) -> Result<(), StorageError>;
}
