use serde::{Deserialize, Serialize};

use crate::{ColumnMap, Digest, Format};

/// The record of an uploaded dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadedDataset {
    /// The version of this format.
    pub format: Format<1>,
    /// The short form of its digest: the same bytes, read in the same way, give the same dataset.
    pub id: String,
    /// When it was first uploaded, in milliseconds since 1970.
    pub created_ms: u64,
    /// The name it was uploaded under, such as `orders.jsonl`.
    pub name: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// How its rows are laid out: `jsonl`, `json` or `csv`.
    pub layout: String,
    /// Which of its columns stand for those that are recognised.
    #[serde(default, skip_serializing_if = "ColumnMap::is_empty")]
    pub columns: ColumnMap,
    /// Its rows.
    pub rows: u64,
    /// Findings that keep it from being trained on.
    pub errors: u64,
    /// Findings that training would get by with, but probably not as meant.
    pub warnings: u64,
    /// The dataset that it is a mended version of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The first dataset that it is a version of, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

impl UploadedDataset {
    /// Returns the first dataset that it is a version of: its versions have the same.
    pub fn origin(&self) -> &str {
        self.origin.as_deref().unwrap_or(&self.id)
    }

    /// Returns whether it can be trained on.
    pub fn is_valid(&self) -> bool {
        self.errors == 0
    }
}
