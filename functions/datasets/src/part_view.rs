use std::time::UNIX_EPOCH;

use llmopt_http::timestamp;
use llmopt_storage::{Part, PartPlace, PartUpload};
use serde::Serialize;
use utoipa::ToSchema;

/// An upload in parts, as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartUploadView {
    upload_id: String,
    name: String,
    size_bytes: u64,
    /// The size of every part but the last, which has the rest.
    part_size_bytes: u64,
    /// How many parts the file has.
    parts: u32,
    /// The numbers of those that are there.
    received: Vec<u32>,
    /// The numbers of those that are to be sent.
    missing: Vec<u32>,
    /// What it became, once it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_id: Option<String>,
    /// When what was sent of it is deleted.
    expires: String,
}

impl From<PartUpload> for PartUploadView {
    fn from(upload: PartUpload) -> Self {
        Self {
            parts: upload.record.count(),
            missing: upload.missing(),
            upload_id: upload.id,
            part_size_bytes: upload.record.part_bytes,
            received: upload.received.into_iter().collect(),
            expires: timestamp(upload.record.expires_ms),
            dataset_id: upload.record.outcome,
            name: upload.record.plan.name,
            size_bytes: upload.record.plan.size_bytes,
        }
    }
}

/// Where parts go.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct PartListView {
    pub(crate) parts: Vec<PartView>,
}

/// Where a part goes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartView {
    /// The part's number.
    part: u32,
    /// Where it begins in the file.
    offset: u64,
    size_bytes: u64,
    /// How to send it.
    method: &'static str,
    /// A path of this API, below `/api/v1` and with a key, or a whole URL, which is a permission in itself and takes
    /// no key.
    url: String,
    /// When a whole URL stops working.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

impl PartView {
    pub(crate) fn new(upload: &str, part: Part, place: PartPlace) -> Self {
        let (url, expires) = match place {
            PartPlace::Here => {
                let path = format!("/datasets/uploads/{upload}/parts/{}", part.number);
                (path, None)
            }
            PartPlace::Url { url, expires } => {
                let since = expires.duration_since(UNIX_EPOCH);
                let expires_ms = since.map_or(0, |since| since.as_millis() as u64);
                (url, Some(timestamp(expires_ms)))
            }
        };
        Self {
            part: part.number,
            offset: part.offset,
            size_bytes: part.size_bytes,
            method: "PUT",
            url,
            expires,
        }
    }
}
