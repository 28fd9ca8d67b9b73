use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
};
use futures::StreamExt;
use llmopt_domain::Digest;
use llmopt_http::{JsonBody, Problem, Validation};
use llmopt_service::Datasets;
use llmopt_storage::{Part, PartPlan, PartUpload};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    part_view::{PartListView, PartUploadView, PartView},
    upload::{FileBytes, LARGEST, broken, require_name},
};

/// Parts whose places are told at once.
const AT_ONCE: usize = 100;

/// A file that is to be sent in parts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartsRequest {
    /// What the file is called; its extension tells the format.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Its size.
    #[schema(minimum = 1, maximum = 4294967296_u64)]
    size_bytes: u64,
    /// The digest of its bytes, which is checked at the end.
    digest: Option<Digest>,
}

impl PartsRequest {
    pub(crate) fn validate(self) -> Result<PartPlan, Problem> {
        let mut validation = Validation::default();
        require_name(&mut validation, "/name", &self.name);
        let fits = (1..=LARGEST).contains(&self.size_bytes);
        validation.require(fits, "/size_bytes", || {
            format!("expected 1 to {LARGEST}, found {}", self.size_bytes)
        });
        validation.finish()?;
        Ok(PartPlan {
            name: self.name,
            size_bytes: self.size_bytes,
            digest: self.digest,
        })
    }
}

/// Shows an upload in parts: which of them are there, so that whoever was cut off goes on with the others.
#[utoipa::path(
    get,
    path = "/datasets/uploads/{upload_id}",
    tag = "datasets",
    params(("upload_id" = String, Path, description = "The upload's id.")),
    responses(
        (status = 200, description = "The upload.", body = PartUploadView),
        (status = 404, description = "`upload_not_found`, also once it has expired"),
    )
)]
pub(crate) async fn get_upload(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
) -> Result<Json<PartUploadView>, Problem> {
    Ok(Json(datasets.part_upload(&id).await?.into()))
}

/// Deletes an upload in parts, with what was sent of it.
#[utoipa::path(
    delete,
    path = "/datasets/uploads/{upload_id}",
    tag = "datasets",
    params(("upload_id" = String, Path, description = "The upload's id.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "`upload_not_found`"),
    )
)]
pub(crate) async fn delete_upload(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    datasets.part_upload(&id).await?;
    datasets.discard_parts(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which parts are to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocateRequest {
    /// Their numbers; the first is 1.
    #[schema(min_items = 1, max_items = 100)]
    parts: Vec<u32>,
}

impl LocateRequest {
    fn validate(self, upload: &PartUpload) -> Result<Vec<Part>, Problem> {
        let mut validation = Validation::default();
        let found = self.parts.len();
        validation.require((1..=AT_ONCE).contains(&found), "/parts", || {
            format!("expected 1 to {AT_ONCE} parts, found {found}")
        });
        let mut parts = Vec::new();
        for (at, &number) in self.parts.iter().take(AT_ONCE).enumerate() {
            let part = upload.record.part(number);
            validation.require(part.is_some(), &format!("/parts/{at}"), || {
                format!("expected 1 to {}, found {number}", upload.record.count())
            });
            parts.extend(part);
        }
        validation.finish()?;
        Ok(parts)
    }
}

/// Says where to `PUT` parts of an upload: those that are asked for, or with no body the first 100 that are missing.
#[utoipa::path(
    post,
    path = "/datasets/uploads/{upload_id}/parts",
    tag = "datasets",
    params(("upload_id" = String, Path, description = "The upload's id.")),
    request_body = Option<LocateRequest>,
    responses(
        (status = 200, description = "Where they go; none where none is missing.", body = PartListView),
        (status = 404, description = "`upload_not_found`"),
        (status = 409, description = "`already_exists`: the upload is complete"),
    )
)]
pub(crate) async fn locate_parts(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
    request: Option<JsonBody<LocateRequest>>,
) -> Result<Json<PartListView>, Problem> {
    let upload = datasets.part_upload(&id).await?;
    let parts = match request {
        Some(JsonBody(request)) => request.validate(&upload)?,
        None => first_missing(&upload),
    };
    if parts.is_empty() {
        return Ok(Json(PartListView::default()));
    }
    let places = datasets.locate_parts(&upload, &parts).await?;
    let parts = parts.into_iter().zip(places);
    let parts = parts.map(|(part, place)| PartView::new(&upload.id, part, place));
    Ok(Json(PartListView {
        parts: parts.collect(),
    }))
}

fn first_missing(upload: &PartUpload) -> Vec<Part> {
    let missing = upload.missing().into_iter().take(AT_ONCE);
    missing
        .filter_map(|number| upload.record.part(number))
        .collect()
}

/// Takes a part of a file, which replaces what was sent for it before.
///
/// On AWS parts go past the API, to the URLs that it gives for them: what goes through it may have 6 MB.
#[utoipa::path(
    put,
    path = "/datasets/uploads/{upload_id}/parts/{part_number}",
    tag = "datasets",
    params(
        ("upload_id" = String, Path, description = "The upload's id."),
        ("part_number" = u32, Path, description = "The part's number; the first is 1."),
    ),
    request_body(description = "The part's bytes.", content((FileBytes = "application/octet-stream"))),
    responses(
        (status = 204, description = "It is kept."),
        (status = 404, description = "`upload_not_found`"),
        (status = 409, description = "`already_exists`: the upload is complete"),
        (status = 507, description = "`no_space`"),
    )
)]
pub(crate) async fn put_part(
    State(datasets): State<Datasets>,
    Path((id, number)): Path<(String, u32)>,
    body: Body,
) -> Result<StatusCode, Problem> {
    let mut receipt = datasets.receive_part(&id, number).await?;
    let mut bytes = body.into_data_stream();
    while let Some(part) = bytes.next().await {
        let part = part.map_err(|error| broken(&error.to_string()))?;
        receipt.write(&part).await?;
    }
    datasets.keep_part(receipt).await?;
    Ok(StatusCode::NO_CONTENT)
}
