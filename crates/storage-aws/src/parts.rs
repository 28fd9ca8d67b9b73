use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use llmopt_domain::Format;
use llmopt_storage::{
    PART_BYTES, Part, PartPlace, PartPlan, PartRecord, PartStore, PartUpload, StorageError,
};
use serde::{Deserialize, Serialize};

use crate::{
    Aws,
    bucket::Bucket,
    download::Fetch,
    folders::io_error,
    multipart::{Ended, Multipart, SentPart},
    random::random_name,
    uploads::{KIND, PREFIX, is_id, unknown},
};

/// A [`PartStore`] in an S3 bucket: multipart uploads below `uploads/`, whose parts go to presigned URLs.
///
/// The bucket's own rules end what is over: they abort what was not completed, and delete the rest.
pub struct S3Parts {
    bucket: Bucket,
    part_bytes: u64,
}

/// The record of an upload as an object.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// What S3 calls it.
    multipart: String,
    upload: PartRecord,
}

/// Where an upload's parts are.
enum Parts {
    /// On their own, as many as have come.
    Sent(Vec<SentPart>),
    /// Put together.
    Whole,
}

impl S3Parts {
    /// Takes files into the bucket called `bucket`.
    pub fn new(aws: &Aws, bucket: &str) -> Self {
        Self::on(Bucket::new(aws, bucket), PART_BYTES)
    }

    pub(crate) fn on(bucket: Bucket, part_bytes: u64) -> Self {
        Self { bucket, part_bytes }
    }

    async fn note(&self, id: &str) -> Result<Note, StorageError> {
        if !is_id(id) {
            return Err(unknown(id));
        }
        let Some(json) = self.bucket.get(&note_key(id)).await? else {
            return Err(unknown(id));
        };
        let note: Note = serde_json::from_slice(&json).map_err(|error| StorageError::Corrupt {
            subject: format!("{KIND}/{id}"),
            reason: format!("its record cannot be read: {error}; delete it"),
        })?;
        if note.upload.is_over(now_ms()) {
            return Err(unknown(id));
        }
        Ok(note)
    }

    /// Returns the note of an upload that takes parts.
    async fn open(&self, id: &str) -> Result<Note, StorageError> {
        let note = self.note(id).await?;
        match note.upload.outcome {
            None => Ok(note),
            Some(_) => Err(unknown(id)),
        }
    }

    async fn write(&self, id: &str, note: &Note) -> Result<(), StorageError> {
        let json = serde_json::to_vec(note).map_err(|error| StorageError::Internal {
            operation: "write",
            subject: format!("{KIND}/{id}"),
            source: Box::new(error),
        })?;
        self.bucket.put(&note_key(id), json).await
    }

    /// Finds the parts that have come with their right sizes.
    async fn parts(&self, id: &str, note: &Note) -> Result<Parts, StorageError> {
        let key = file_key(id);
        match self.bucket.sent_parts(note.at(&key)).await? {
            Ended::No(mut parts) => {
                let is_right = |it: &SentPart| {
                    let part = note.upload.part(it.number);
                    part.is_some_and(|part| part.size_bytes == it.size_bytes)
                };
                parts.retain(is_right);
                Ok(Parts::Sent(parts))
            }
            // Completed by a process that died then, or aborted by the bucket's rules.
            Ended::Yes if self.bucket.has(&key, note.upload.plan.size_bytes).await? => {
                Ok(Parts::Whole)
            }
            Ended::Yes => Err(unknown(id)),
        }
    }

    /// Has S3 put the parts together, unless it has.
    async fn complete(&self, id: &str, note: &Note) -> Result<(), StorageError> {
        let Parts::Sent(parts) = self.parts(id, note).await? else {
            return Ok(());
        };
        if parts.len() != note.upload.count() as usize {
            return Err(unknown(id));
        }
        let key = file_key(id);
        match self.bucket.join_parts(note.at(&key), parts).await? {
            Ended::No(()) => Ok(()),
            // It may have been our own try that nobody answered, or another process was faster.
            Ended::Yes if self.bucket.has(&key, note.upload.plan.size_bytes).await? => Ok(()),
            Ended::Yes => Err(unknown(id)),
        }
    }
}

impl Note {
    fn at<'a>(&'a self, key: &'a str) -> Multipart<'a> {
        Multipart {
            key,
            upload: &self.multipart,
        }
    }
}

#[async_trait]
impl PartStore for S3Parts {
    async fn begin(&self, plan: PartPlan, valid: Duration) -> Result<PartUpload, StorageError> {
        let id = random_name::<16>()?;
        let valid_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
        let note = Note {
            // What is begun and not noted is aborted by the bucket's rules.
            multipart: self.bucket.begin_parts(&file_key(&id)).await?,
            upload: PartRecord {
                format: Format,
                plan,
                part_bytes: self.part_bytes,
                expires_ms: now_ms().saturating_add(valid_ms),
                outcome: None,
            },
        };
        self.write(&id, &note).await?;
        Ok(PartUpload {
            id,
            record: note.upload,
            received: [].into(),
        })
    }

    async fn look(&self, id: &str) -> Result<PartUpload, StorageError> {
        let note = self.note(id).await?;
        let received = match note.upload.outcome {
            Some(_) => [].into(),
            None => match self.parts(id, &note).await? {
                Parts::Sent(parts) => parts.iter().map(|part| part.number).collect(),
                Parts::Whole => (1..=note.upload.count()).collect(),
            },
        };
        Ok(PartUpload {
            id: id.to_owned(),
            record: note.upload,
            received,
        })
    }

    async fn locate(
        &self,
        id: &str,
        parts: &[Part],
        valid: Duration,
    ) -> Result<Vec<PartPlace>, StorageError> {
        let note = self.open(id).await?;
        let (key, expires) = (file_key(id), SystemTime::now() + valid);
        let config =
            PresigningConfig::expires_in(valid).map_err(|error| StorageError::Internal {
                operation: "open an upload in",
                subject: self.bucket.name.clone(),
                source: error.into(),
            })?;
        let mut places = Vec::new();
        for part in parts {
            let signed = self.bucket.sign_part(note.at(&key), part, config.clone());
            let url = signed.await?;
            places.push(PartPlace::Url { url, expires });
        }
        Ok(places)
    }

    async fn put(&self, id: &str, part: Part, path: &Path) -> Result<(), StorageError> {
        let note = self.open(id).await?;
        let key = file_key(id);
        match self.bucket.put_part(note.at(&key), part, path).await? {
            Ended::No(()) => Ok(()),
            Ended::Yes => Err(unknown(id)),
        }
    }

    async fn assemble(&self, id: &str, into: &Path) -> Result<(), StorageError> {
        let note = self.open(id).await?;
        self.complete(id, &note).await?;
        let size_bytes = note.upload.plan.size_bytes;
        match self
            .bucket
            .fetch_sized(&file_key(id), size_bytes, into)
            .await
        {
            Ok(_) => Ok(()),
            // Another process has settled it.
            Err(Fetch::Missing) => Err(unknown(id)),
            Err(Fetch::Io(error)) => Err(io_error("write", &into.display().to_string(), error)),
            Err(Fetch::Storage(error)) => Err(error),
        }
    }

    async fn settle(&self, id: &str, outcome: &str) -> Result<(), StorageError> {
        let mut note = self.note(id).await?;
        note.upload.outcome = Some(outcome.to_owned());
        // First: whoever finds no parts finds what became of them.
        self.write(id, &note).await?;
        self.bucket.delete(&file_key(id)).await
    }

    async fn discard(&self, id: &str) -> Result<(), StorageError> {
        let note = match self.note(id).await {
            Err(StorageError::NoRecord { .. }) => return Ok(()),
            other => other?,
        };
        let key = file_key(id);
        self.bucket.delete(&note_key(id)).await?;
        self.bucket.abort_parts(note.at(&key)).await?;
        self.bucket.delete(&key).await
    }
}

fn note_key(id: &str) -> String {
    format!("{PREFIX}{id}/upload.json")
}

fn file_key(id: &str) -> String {
    format!("{PREFIX}{id}/file")
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use llmopt_domain::Digest;

    use super::*;

    #[test]
    fn a_note_of_the_first_format_is_read_and_written_as_ever() {
        let golden = include_str!("golden/upload-1.json").trim_ascii();
        let note: Note = serde_json::from_str(golden).unwrap();
        assert_eq!(note.multipart, "2~abc");
        let plan = PartPlan {
            name: "orders.jsonl".to_owned(),
            size_bytes: 16_777_217,
            digest: Some(Digest::of_bytes(b"abc")),
        };
        assert_eq!((&note.upload.plan, note.upload.count()), (&plan, 3));
        assert_eq!(serde_json::to_string(&note).unwrap(), golden);
    }
}
