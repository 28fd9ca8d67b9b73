//! Objects that are sent in parts by others.

use std::path::Path;

use aws_sdk_s3::{
    config::RequestChecksumCalculation,
    presigning::PresigningConfig,
    types::{CompletedMultipartUpload, CompletedPart},
};
use llmopt_storage::{Part, StorageError};

use crate::{
    bucket::{Bucket, part, patient},
    error::fault,
};

/// An object that is being sent in parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Multipart<'a> {
    pub(crate) key: &'a str,
    /// What S3 calls its sending.
    pub(crate) upload: &'a str,
}

/// A part that has come.
#[derive(Clone, Debug)]
pub(crate) struct SentPart {
    pub(crate) number: u32,
    pub(crate) size_bytes: u64,
    tag: String,
}

/// Whether the sending has ended before, by completion or by being given up.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    Yes,
    No(T),
}

/// Tells that the sending has ended from every other error.
macro_rules! ended {
    ($error:expr, $operation:literal, $multipart:expr) => {{
        let error = $error;
        let code = error
            .as_service_error()
            .and_then(|service| service.meta().code());
        if code == Some("NoSuchUpload") {
            Ok(Ended::Yes)
        } else {
            Err(fault!(error).during($operation, $multipart.key))
        }
    }};
}

impl Bucket {
    /// Begins an object whose parts come without checksums of S3's own kinds: whoever sends them knows none.
    pub(crate) async fn begin_parts(&self, key: &str) -> Result<String, StorageError> {
        let begin = self.client().create_multipart_upload();
        match begin.bucket(&self.name).key(key).send().await {
            Ok(begun) => Ok(begun.upload_id.unwrap_or_default()),
            Err(error) => Err(fault!(error).during("begin", key)),
        }
    }

    /// Lists the parts that have come.
    pub(crate) async fn sent_parts(
        &self,
        multipart: Multipart<'_>,
    ) -> Result<Ended<Vec<SentPart>>, StorageError> {
        let list = self.client().list_parts().bucket(&self.name);
        let list = list.key(multipart.key).upload_id(multipart.upload);
        let mut pages = list.into_paginator().send();
        let mut parts = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                Err(error) => return ended!(error, "list the parts of", multipart),
            };
            for part in page.parts() {
                parts.push(SentPart {
                    number: part
                        .part_number()
                        .and_then(|it| it.try_into().ok())
                        .unwrap_or(0),
                    size_bytes: part.size().and_then(|it| it.try_into().ok()).unwrap_or(0),
                    tag: part.e_tag().unwrap_or_default().to_owned(),
                });
            }
        }
        Ok(Ended::No(parts))
    }

    /// Makes a URL to `PUT` a part of exactly its size to.
    pub(crate) async fn sign_part(
        &self,
        multipart: Multipart<'_>,
        part: &Part,
        config: PresigningConfig,
    ) -> Result<String, StorageError> {
        let put = self.client().upload_part().bucket(&self.name);
        let signed = put
            .key(multipart.key)
            .upload_id(multipart.upload)
            .part_number(number(part.number))
            .content_length(i64::try_from(part.size_bytes).unwrap_or(i64::MAX))
            .presigned(config)
            .await;
        match signed {
            Ok(signed) => Ok(signed.uri().to_owned()),
            Err(error) => Err(fault!(error).during("sign a part of", multipart.key)),
        }
    }

    /// Sends the file at `path` as a part.
    pub(crate) async fn put_part(
        &self,
        multipart: Multipart<'_>,
        sent: Part,
        path: &Path,
    ) -> Result<Ended<()>, StorageError> {
        let body = part(path, 0, sent.size_bytes, multipart.key).await?;
        let put = self.client().upload_part().bucket(&self.name);
        let put = put
            .key(multipart.key)
            .upload_id(multipart.upload)
            .part_number(number(sent.number))
            .body(body);
        // The other parts have none, and S3 takes all of one kind.
        let without = RequestChecksumCalculation::WhenRequired;
        let config = patient().request_checksum_calculation(without);
        match put.customize().config_override(config).send().await {
            Ok(_) => Ok(Ended::No(())),
            Err(error) => ended!(error, "write a part of", multipart),
        }
    }

    /// Makes an object of its parts.
    pub(crate) async fn join_parts(
        &self,
        multipart: Multipart<'_>,
        parts: Vec<SentPart>,
    ) -> Result<Ended<()>, StorageError> {
        let part = |part: SentPart| {
            let completed = CompletedPart::builder().part_number(number(part.number));
            completed.e_tag(part.tag).build()
        };
        let parts = parts.into_iter().map(part).collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let complete = self.client().complete_multipart_upload();
        let completed = complete
            .bucket(&self.name)
            .key(multipart.key)
            .upload_id(multipart.upload)
            .multipart_upload(parts.build())
            .send()
            .await;
        match completed {
            Ok(_) => Ok(Ended::No(())),
            Err(error) => ended!(error, "complete", multipart),
        }
    }

    /// Gives up an object, if it has not ended.
    pub(crate) async fn abort_parts(&self, multipart: Multipart<'_>) -> Result<(), StorageError> {
        let abort = self.client().abort_multipart_upload().bucket(&self.name);
        let abort = abort.key(multipart.key).upload_id(multipart.upload);
        let aborted = match abort.send().await {
            Ok(_) => Ok(Ended::No(())),
            Err(error) => ended!(error, "abort", multipart),
        };
        aborted.map(drop)
    }
}

fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
