use aws_sdk_s3::operation::get_object::GetObjectError;
use llmopt_domain::ObjectKey;
use llmopt_storage::StorageError;

use crate::{Aws, bucket::Bucket, error::fault};

/// The most that an object may have that is read as a whole.
const MOST_BYTES: i64 = 16 << 20;
/// What S3 answers where an object is the one that is known.
const NOT_MODIFIED: u16 = 304;

/// A small object that changes as a whole, now and then.
#[derive(Clone, Debug)]
pub struct S3Object {
    bucket: Bucket,
    key: ObjectKey,
}

/// What is there, for who may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Newer {
    /// Nothing.
    Absent,
    /// What is known.
    Same,
    /// Something else.
    Changed {
        /// All of it.
        bytes: Vec<u8>,
        /// What tells it from what is there before and after.
        tag: String,
    },
}

impl S3Object {
    /// Names the object `key` of the bucket called `bucket`.
    pub fn new(aws: &Aws, bucket: &str, key: ObjectKey) -> Self {
        Self {
            bucket: Bucket::new(aws, bucket),
            key,
        }
    }

    /// Reads it, unless it is what has the tag `known`.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] where it is larger than 16 MiB; otherwise those of the bucket.
    pub async fn newer(&self, known: Option<&str>) -> Result<Newer, StorageError> {
        let key = self.key.as_str();
        let got = self
            .bucket
            .client()
            .get_object()
            .bucket(&self.bucket.name)
            .key(key)
            .set_if_none_match(known.map(str::to_owned))
            .send()
            .await;
        let output = match got {
            Ok(output) => output,
            Err(error) => {
                let status = error.raw_response().map(|it| it.status().as_u16());
                return match error.as_service_error() {
                    _ if status == Some(NOT_MODIFIED) => Ok(Newer::Same),
                    Some(GetObjectError::NoSuchKey(_)) => Ok(Newer::Absent),
                    _ => Err(fault!(error).during("read", key)),
                };
            }
        };
        if output.content_length().is_none_or(|it| it > MOST_BYTES) {
            return Err(StorageError::Corrupt {
                subject: key.to_owned(),
                reason: format!("expected at most {MOST_BYTES} bytes"),
            });
        }
        let tag = output.e_tag().unwrap_or_default().to_owned();
        let bytes = output.body.collect().await;
        let bytes = bytes.map_err(|error| StorageError::Unavailable {
            operation: "read",
            subject: key.to_owned(),
            source: Box::new(error),
        })?;
        let bytes = bytes.to_vec();
        Ok(Newer::Changed { bytes, tag })
    }
}
