use llmopt_domain::UploadedDataset;
use llmopt_http::timestamp;
use serde::Serialize;

/// A dataset as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
            created_at: timestamp(dataset.created_ms),
        }
    }
}
