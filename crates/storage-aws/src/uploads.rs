use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use llmopt_storage::{StorageError, UploadStore, UploadTarget};

use crate::{Aws, bucket::Bucket, download::Fetch, folders::io_error, random::random_name};

pub(crate) const KIND: &str = "upload";
pub(crate) const PREFIX: &str = "uploads/";

/// An [`UploadStore`] in an S3 bucket, by presigned `PUT`s below `uploads/`; the bucket's own rules delete
/// what lies there for long.
pub struct S3Uploads {
    bucket: Bucket,
}

impl S3Uploads {
    /// Takes files into the bucket called `bucket`.
    pub fn new(aws: &Aws, bucket: &str) -> Self {
        Self {
            bucket: Bucket::new(aws, bucket),
        }
    }

    /// Checks that the bucket can be used.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] or [`StorageError::Internal`], naming the bucket.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.bucket.check().await
    }

    fn key(id: &str) -> Result<String, StorageError> {
        if is_id(id) {
            Ok(format!("{PREFIX}{id}"))
        } else {
            Err(unknown(id))
        }
    }
}

#[async_trait]
impl UploadStore for S3Uploads {
    async fn begin(&self, valid: Duration) -> Result<UploadTarget, StorageError> {
        let id = random_name::<16>()?;
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StorageError::Internal {
            operation: "open an upload in",
            subject: self.bucket.name.clone(),
            source,
        };
        let expires = SystemTime::now() + valid;
        let config = PresigningConfig::expires_in(valid).map_err(|error| failed(error.into()))?;
        let put = self
            .bucket
            .client()
            .put_object()
            .bucket(&self.bucket.name)
            .key(format!("{PREFIX}{id}"))
            .presigned(config)
            .await;
        let put = put.map_err(|error| failed(error.into()))?;
        Ok(UploadTarget {
            id,
            url: put.uri().to_owned(),
            expires,
        })
    }

    async fn fetch(&self, id: &str, into: &Path) -> Result<u64, StorageError> {
        let key = Self::key(id)?;
        match self.bucket.fetch(&key, into).await {
            Ok(fetched) => Ok(fetched.size_bytes),
            Err(Fetch::Missing) => Err(unknown(id)),
            Err(Fetch::Io(error)) => Err(io_error("write", &into.display().to_string(), error)),
            Err(Fetch::Storage(error)) => Err(error),
        }
    }

    async fn discard(&self, id: &str) -> Result<(), StorageError> {
        match Self::key(id) {
            Ok(key) => self.bucket.delete(&key).await,
            Err(_) => Ok(()),
        }
    }
}

/// Returns whether `id` is one of ours: it is a part of a key, and whoever gives it may be anyone.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn unknown(id: &str) -> StorageError {
    StorageError::NoRecord {
        kind: KIND,
        id: id.to_owned(),
    }
}
