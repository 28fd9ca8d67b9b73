use std::time::UNIX_EPOCH;

use llmopt_domain::{ColumnMap, UploadedDataset};
use llmopt_http::timestamp;
use llmopt_storage::UploadTarget;
use serde::Serialize;
use utoipa::ToSchema;

/// A dataset as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct DatasetView {
    id: String,
    name: String,
    format: String,
    rows: u64,
    size_bytes: u64,
    digest: String,
    /// Whether it can be trained on; `report` says what is wrong.
    valid: bool,
    errors: u64,
    warnings: u64,
    /// Which of its columns stand for those that are read, where they have other names.
    #[serde(skip_serializing_if = "ColumnMap::is_empty")]
    columns: ColumnMap,
    /// The dataset that it is a mended version of.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<String>,
    created_at: String,
}

impl From<UploadedDataset> for DatasetView {
    fn from(dataset: UploadedDataset) -> Self {
        Self {
            valid: dataset.is_valid(),
            id: dataset.id,
            name: dataset.name,
            format: dataset.layout,
            rows: dataset.rows,
            size_bytes: dataset.size_bytes,
            digest: dataset.digest.to_string(),
            errors: dataset.errors,
            warnings: dataset.warnings,
            columns: dataset.columns,
            parent_id: dataset.parent,
            created_at: timestamp(dataset.created_ms),
        }
    }
}

/// A place to send a file to, as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadView {
    upload_id: String,
    /// How to send the file.
    method: &'static str,
    url: String,
    expires: String,
}

impl From<UploadTarget> for UploadView {
    fn from(target: UploadTarget) -> Self {
        let since = target.expires.duration_since(UNIX_EPOCH);
        let expires_ms = since.map_or(0, |since| since.as_millis() as u64);
        Self {
            upload_id: target.id,
            method: "PUT",
            url: target.url,
            expires: timestamp(expires_ms),
        }
    }
}
