use std::{path::Path, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{Builder, timeout::TimeoutConfig},
    primitives::{ByteStream, Length},
    types::{CompletedMultipartUpload, CompletedPart, Object},
};
use futures::{StreamExt, TryStreamExt, stream};
use llmopt_storage::StorageError;

use crate::{Aws, aws::CONNECT, error::fault};

/// Files larger than this are sent in parts of this size.
const PART_BYTES: u64 = 16 << 20;
/// Tries of a conditional write that others come between.
const TRIES: u32 = 6;
/// Parts or files that are on their way at once.
pub(crate) const AT_ONCE: usize = 4;

/// An S3 bucket.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    client: Client,
    pub(crate) name: String,
}

/// What came of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Done,
    Taken,
}

/// Where a part of a file goes.
#[derive(Clone, Copy)]
struct Target<'a> {
    key: &'a str,
    upload: &'a str,
}

/// A part of a list of keys.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) keys: Vec<String>,
    /// What keys have in common up to the next `/`, without it.
    pub(crate) prefixes: Vec<String>,
}

impl Bucket {
    pub(crate) fn new(aws: &Aws, name: &str) -> Self {
        let config = Builder::from(aws.config());
        // Names of buckets are parts of Amazon's own host names only.
        let config = config.force_path_style(aws.config().endpoint_url().is_some());
        Self {
            client: Client::from_conf(config.build()),
            name: name.to_owned(),
        }
    }

    #[cfg(test)]
    pub(crate) fn with_interceptor(
        aws: &Aws,
        name: &str,
        interceptor: impl aws_sdk_s3::config::Intercept + 'static,
    ) -> Self {
        let config = Builder::from(aws.config())
            .force_path_style(true)
            .interceptor(interceptor);
        Self {
            client: Client::from_conf(config.build()),
            name: name.to_owned(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) async fn check(&self) -> Result<(), StorageError> {
        // A list needs what every use needs, and says more than a look at the bucket's head.
        let listed = self.client.list_objects_v2().bucket(&self.name).max_keys(1);
        match listed.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(fault!(error).during("reach", &self.name)),
        }
    }

    pub(crate) async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StorageError> {
        let put = self.client.put_object().bucket(&self.name).key(key);
        match put.body(body.into()).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(fault!(error).during("write", key)),
        }
    }

    /// Writes an object where none is.
    pub(crate) async fn put_new(&self, key: &str, body: Vec<u8>) -> Result<Put, StorageError> {
        for attempt in 1.. {
            let put = self
                .client
                .put_object()
                .bucket(&self.name)
                .key(key)
                .if_none_match("*")
                .body(body.clone().into())
                .send()
                .await;
            let Err(error) = put else {
                break;
            };
            let code = error
                .as_service_error()
                .and_then(|error| error.meta().code());
            match code {
                Some("PreconditionFailed") => return Ok(Put::Taken),
                // Two at once: S3 asks one of them to try again.
                Some("ConditionalRequestConflict") if attempt < TRIES => pause(attempt).await,
                Some("ConditionalRequestConflict") => return Ok(Put::Taken),
                _ => return Err(fault!(error).during("write", key)),
            }
        }
        Ok(Put::Done)
    }

    /// Deletes an object if it still is what has this tag.
    pub(crate) async fn delete_if(&self, key: &str, tag: &str) -> Result<(), StorageError> {
        for attempt in 1.. {
            let delete = self.client.delete_object().bucket(&self.name).key(key);
            let Err(error) = delete.if_match(tag).send().await else {
                break;
            };
            let code = error
                .as_service_error()
                .and_then(|error| error.meta().code());
            match code {
                // It is gone, or another's by now.
                Some("PreconditionFailed" | "NoSuchKey") => break,
                Some("ConditionalRequestConflict") if attempt < TRIES => pause(attempt).await,
                _ => return Err(fault!(error).during("delete", key)),
            }
        }
        Ok(())
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let deleted = self.client.delete_object().bucket(&self.name).key(key);
        match deleted.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(fault!(error).during("delete", key)),
        }
    }

    /// Deletes every object whose key begins with `prefix`.
    pub(crate) async fn delete_all(&self, prefix: &str) -> Result<(), StorageError> {
        let keys = self.list(prefix, None).await?.keys;
        let mut deleted = Vec::new();
        for key in &keys {
            deleted.push(self.delete(key));
        }
        stream::iter(deleted)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Lists the keys that begin with `prefix`, or with `/` as `delimiter` those that have no more of it.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
    ) -> Result<Listed, StorageError> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(prefix)
            .set_delimiter(delimiter.map(str::to_owned))
            .into_paginator()
            .send();
        let mut listed = Listed::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| fault!(error).during("list", prefix))?;
            let keys = page.contents().iter().filter_map(|object| object.key());
            listed.keys.extend(keys.map(str::to_owned));
            let prefixes = page.common_prefixes().iter().filter_map(|it| it.prefix());
            let prefixes = prefixes.map(|it| it.trim_end_matches('/').to_owned());
            listed.prefixes.extend(prefixes);
        }
        Ok(listed)
    }

    /// Returns whether there is an object whose key begins with `prefix`.
    pub(crate) async fn holds(&self, prefix: &str) -> Result<bool, StorageError> {
        Ok(self.first(prefix).await?.is_some())
    }

    async fn first(&self, prefix: &str) -> Result<Option<Object>, StorageError> {
        let listed = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(prefix)
            .max_keys(1)
            .send()
            .await;
        let listed = listed.map_err(|error| fault!(error).during("list", prefix))?;
        Ok(listed.contents().first().cloned())
    }

    /// Writes the file `path`, of `size_bytes`, as an object.
    pub(crate) async fn send(
        &self,
        path: &Path,
        size_bytes: u64,
        key: &str,
    ) -> Result<(), StorageError> {
        if size_bytes > PART_BYTES {
            return self.send_parts(path, size_bytes, key).await;
        }
        let body = part(path, 0, size_bytes, key).await?;
        let put = self.client.put_object().bucket(&self.name).key(key);
        let put = put.body(body).customize().config_override(patient());
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(fault!(error).during("write", key)),
        }
    }

    /// Parts that are never put together are deleted by the bucket's own rules.
    async fn send_parts(
        &self,
        path: &Path,
        size_bytes: u64,
        key: &str,
    ) -> Result<(), StorageError> {
        let created = self
            .client
            .create_multipart_upload()
            .bucket(&self.name)
            .key(key);
        let created = created.send().await;
        let created = created.map_err(|error| fault!(error).during("write", key))?;
        let upload = created.upload_id().unwrap_or_default();
        let mut parts = Vec::new();
        for number in 0..size_bytes.div_ceil(PART_BYTES) {
            parts.push(self.send_part(path, size_bytes, number, Target { key, upload }));
        }
        let parts = stream::iter(parts);
        let parts: Vec<CompletedPart> = parts.buffered(AT_ONCE).try_collect().await?;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let completed = self
            .client
            .complete_multipart_upload()
            .bucket(&self.name)
            .key(key)
            .upload_id(upload)
            .multipart_upload(parts.build())
            .send()
            .await;
        let Err(error) = completed else {
            return Ok(());
        };
        let code = error
            .as_service_error()
            .and_then(|error| error.meta().code());
        // It may have been our own try that nobody answered.
        if code == Some("NoSuchUpload") && self.has(key, size_bytes).await? {
            return Ok(());
        }
        Err(fault!(error).during("write", key))
    }

    /// Returns whether there is an object of this size.
    pub(crate) async fn has(&self, key: &str, size_bytes: u64) -> Result<bool, StorageError> {
        let listed = self.first(key).await?;
        let size = i64::try_from(size_bytes).ok();
        Ok(listed.is_some_and(|first| first.key() == Some(key) && first.size() == size))
    }

    async fn send_part(
        &self,
        path: &Path,
        size_bytes: u64,
        number: u64,
        target: Target<'_>,
    ) -> Result<CompletedPart, StorageError> {
        let Target { key, upload } = target;
        let start = number * PART_BYTES;
        let body = part(path, start, PART_BYTES.min(size_bytes - start), key).await?;
        let number = i32::try_from(number + 1).unwrap_or(i32::MAX);
        let sent = self
            .client
            .upload_part()
            .bucket(&self.name)
            .key(key)
            .upload_id(upload)
            .part_number(number)
            .body(body)
            .customize()
            .config_override(patient())
            .send()
            .await;
        let sent = sent.map_err(|error| fault!(error).during("write", key))?;
        let part = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32);
        Ok(part.build())
    }
}

/// Lets others go first, for longer each time.
async fn pause(attempt: u32) {
    let longest = 50_u64 << attempt;
    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=longest))).await;
}

/// Gives a body the time that a slow line takes: 16 MiB in 10 minutes are 0.2 Mbit/s. A line that is dead is
/// found out sooner, by what the SDK watches.
pub(crate) fn patient() -> Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(Duration::from_secs(600))
        .operation_timeout(Duration::from_secs(1_800))
        .build();
    Builder::default().timeout_config(timeouts)
}

/// Reads a part of the file `path`, which is to go to `key`.
pub(crate) async fn part(
    path: &Path,
    start: u64,
    length: u64,
    key: &str,
) -> Result<ByteStream, StorageError> {
    let body = ByteStream::read_from()
        .path(path)
        .offset(start)
        .length(Length::Exact(length))
        .build()
        .await;
    body.map_err(|error| StorageError::Internal {
        operation: "read",
        subject: format!("{} for {key}", path.display()),
        source: Box::new(error),
    })
}
