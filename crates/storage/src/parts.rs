use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use llmopt_domain::{Digest, Format};
use serde::{Deserialize, Serialize};

use crate::StorageError;

/// The size of every part of an upload but its last, in bytes.
///
/// S3 takes none that is smaller than 5 MiB, and what breaks off is sent again by parts.
pub const PART_BYTES: u64 = 8 << 20;

/// A file that is to be sent in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartPlan {
    /// What the file is called.
    pub name: String,
    /// Its size in bytes, which is not 0.
    pub size_bytes: u64,
    /// The digest of its bytes, where it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// The record of an upload in parts, as adapters keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRecord {
    /// The version of this format.
    pub format: Format<1>,
    /// What is to be sent.
    pub plan: PartPlan,
    /// The size of every part but the last, in bytes.
    pub part_bytes: u64,
    /// When it ends, whatever came of it, in milliseconds since 1970.
    pub expires_ms: u64,
    /// What it became, once it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// An upload in parts, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartUpload {
    /// What it is called.
    pub id: String,
    /// What is known of it.
    pub record: PartRecord,
    /// The numbers of the parts that are there, which begin at 1; none where it is settled.
    pub received: BTreeSet<u32>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number; the first is 1.
    pub number: u32,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// Where a part is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartPlace {
    /// To this process, which hands it to [`PartStore::put`].
    Here,
    /// To a URL, by `PUT`; it is a permission, so not for logs.
    Url {
        /// The URL.
        url: String,
        /// When it stops working.
        expires: SystemTime,
    },
}

impl PartRecord {
    /// Returns how many parts the file has.
    pub fn count(&self) -> u32 {
        let count = self.plan.size_bytes.div_ceil(self.part_bytes.max(1));
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Returns the part with this number, if the file has one.
    pub fn part(&self, number: u32) -> Option<Part> {
        let offset = u64::from(number.checked_sub(1)?).checked_mul(self.part_bytes)?;
        let left = self.plan.size_bytes.checked_sub(offset)?;
        let size_bytes = left.min(self.part_bytes);
        (size_bytes > 0).then_some(Part {
            number,
            offset,
            size_bytes,
        })
    }

    /// Returns whether it is over at `now_ms`.
    pub fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.expires_ms
    }
}

impl PartUpload {
    /// Returns the numbers of the parts that are not there, in order; none where it is settled.
    pub fn missing(&self) -> Vec<u32> {
        if self.record.outcome.is_some() {
            return Vec::new();
        }
        let all = 1..=self.record.count();
        all.filter(|number| !self.received.contains(number))
            .collect()
    }
}

/// Takes files in parts, in any order and each as often as need be, so that whoever is cut off goes on with
/// what is missing.
///
/// **Visibility.** A part is there entirely or not at all, and only with the size that it has to have; of
/// several that are sent for one number, one is kept. A process that dies at any moment leaves what was
/// acknowledged, and nothing else that is told of.
///
/// **Time.** An upload is there for as long as it was begun for, and unknown afterwards. What it took up is
/// freed then or soon after, by the store itself.
#[async_trait]
pub trait PartStore: Send + Sync {
    /// Begins an upload that ends after `valid`.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn begin(&self, plan: PartPlan, valid: Duration) -> Result<PartUpload, StorageError>;

    /// Returns the upload with this id.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] if there is none, or it is over.
    async fn look(&self, id: &str) -> Result<PartUpload, StorageError>;

    /// Says where each of `parts` is to be sent, in their order; URLs last for as long as `valid`.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] as for [`look`](Self::look).
    async fn locate(
        &self,
        id: &str,
        parts: &[Part],
        valid: Duration,
    ) -> Result<Vec<PartPlace>, StorageError>;

    /// Keeps the file at `path`, which has the part's size, as that part; the file may be gone afterwards.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] as for [`look`](Self::look), or if the upload is settled.
    async fn put(&self, id: &str, part: Part, path: &Path) -> Result<(), StorageError>;

    /// Writes the whole file as the new file `into`. It can be done again until the upload is settled.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] as for [`look`](Self::look), or if a part is missing or the upload is
    /// settled.
    async fn assemble(&self, id: &str, into: &Path) -> Result<(), StorageError>;

    /// Notes what the upload became, and lets go of its parts; [`look`](Self::look) tells it from then on.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] as for [`look`](Self::look).
    async fn settle(&self, id: &str, outcome: &str) -> Result<(), StorageError>;

    /// Deletes the upload; where there is none, this succeeds too.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::Internal`].
    async fn discard(&self, id: &str) -> Result<(), StorageError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(size_bytes: u64) -> PartRecord {
        PartRecord {
            format: Format,
            plan: PartPlan {
                name: "a.jsonl".to_owned(),
                size_bytes,
                digest: None,
            },
            part_bytes: 10,
            expires_ms: 5,
            outcome: None,
        }
    }

    #[test]
    fn the_parts_of_a_file_are_all_of_it_and_no_more() {
        for size in [1, 9, 10, 11, 20, 99] {
            let record = record(size);
            let parts: Vec<Part> = (1..=record.count())
                .map(|number| record.part(number).unwrap())
                .collect();
            let mut end = 0;
            for part in &parts {
                assert_eq!(part.offset, end);
                end += part.size_bytes;
            }
            assert_eq!(end, size);
            assert_eq!(record.part(0), None);
            assert_eq!(record.part(record.count() + 1), None);
            assert_eq!(record.part(u32::MAX), None);
        }
    }

    #[test]
    fn what_is_missing_is_what_was_not_received_until_it_is_settled() {
        let mut upload = PartUpload {
            id: "a".to_owned(),
            record: record(31),
            received: [2, 4].into(),
        };
        assert_eq!(upload.missing(), [1, 3]);
        upload.record.outcome = Some("d".to_owned());
        upload.received.clear();
        assert!(upload.missing().is_empty());
    }

    #[test]
    fn an_upload_is_over_at_the_moment_it_expires() {
        assert_eq!(
            [4, 5, 6].map(|now| record(1).is_over(now)),
            [false, true, true]
        );
    }
}
