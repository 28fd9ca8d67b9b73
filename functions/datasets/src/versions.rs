use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use llmopt_dataset::{Change, Repair, RepairSummary};
use llmopt_http::{JsonBody, PageParameters, PageView, Parameters, Problem, Validation};
use llmopt_service::{Datasets, Mended};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::view::DatasetView;

/// What is to be mended.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FixRequest {
    /// The repairs, by the codes of what they mend.
    #[schema(min_items = 1)]
    repairs: Vec<Repair>,
}

/// A mended version of a dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FixView {
    dataset: DatasetView,
    summary: RepairSummary,
    /// The first 100 changes; `GET /datasets/{dataset_id}/changes` has all.
    changes: Vec<Change>,
}

impl From<Mended> for FixView {
    fn from(mended: Mended) -> Self {
        Self {
            dataset: mended.uploaded.dataset.into(),
            summary: mended.summary,
            changes: mended.changes,
        }
    }
}

/// Makes a version of a dataset in which the repairs asked for are done; the dataset stays as it is.
#[utoipa::path(
    post,
    path = "/datasets/{dataset_id}/fix",
    tag = "datasets",
    params(("dataset_id" = String, Path, description = "The dataset's id.")),
    request_body = FixRequest,
    responses(
        (status = 201, description = "The new version.", body = FixView),
        (status = 200, description = "A version with the same bytes was there, or nothing had to be mended.", body = FixView),
        (status = 404, description = "`dataset_not_found`"),
        (status = 507, description = "`no_space`"),
    )
)]
pub(crate) async fn fix_dataset(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<FixRequest>,
) -> Result<(StatusCode, Json<FixView>), Problem> {
    let mut validation = Validation::default();
    validation.require(!request.repairs.is_empty(), "/repairs", || {
        let all = Repair::ALL.map(|repair| format!("`{repair}`"));
        format!("expected at least one of {}", all.join(", "))
    });
    validation.finish()?;
    let mended = datasets.mend(&id, request.repairs).await?;
    let status = match mended.uploaded.created {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(mended.into())))
}

/// Lists the versions of a dataset, itself among them, the last made first.
#[utoipa::path(
    get,
    path = "/datasets/{dataset_id}/versions",
    tag = "datasets",
    params(("dataset_id" = String, Path, description = "The dataset's id."), PageParameters),
    responses(
        (status = 200, description = "A part of the list.", body = PageView<DatasetView>),
        (status = 404, description = "`dataset_not_found`"),
    )
)]
pub(crate) async fn list_versions(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
    Parameters(page): Parameters<PageParameters>,
) -> Result<Json<PageView<DatasetView>>, Problem> {
    let page = datasets.versions(&id, page.listing(None)?).await?;
    Ok(Json(PageView::of(page, DatasetView::from)))
}

/// Tells every change that made a dataset of the one it is a version of, one on each line; nothing where it is of none.
#[utoipa::path(
    get,
    path = "/datasets/{dataset_id}/changes",
    tag = "datasets",
    params(("dataset_id" = String, Path, description = "The dataset's id.")),
    responses(
        (status = 200, description = "The changes.", body = String, content_type = "application/jsonl"),
        (status = 404, description = "`dataset_not_found`"),
    )
)]
pub(crate) async fn list_changes(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let body = datasets.changes(&id).await?;
    let kind = [(header::CONTENT_TYPE, "application/jsonl")];
    Ok((kind, Body::from(body)).into_response())
}
