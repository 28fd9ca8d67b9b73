//! `/datasets`: takes, lists, shows and deletes datasets.
//!
//! Knows how a file arrives over HTTP and how a dataset is shown. Does not know how rows are read or
//! checked, nor where they are kept.

mod part_view;
mod parts;
mod preview;
mod report;
mod upload;
mod versions;
mod view;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
};
use llmopt_http::{DescribedRouter, PageParameters, PageView, Parameters, Problem, routes};
use llmopt_service::Datasets;
use utoipa::openapi::OpenApi;

use view::DatasetView;

/// Returns the routes over `datasets`.
pub fn router(datasets: Datasets) -> Router {
    routes().with_state(datasets)
}

/// Describes the routes.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> DescribedRouter<Datasets> {
    DescribedRouter::default()
        .routes(routes!(upload::create_dataset, list_datasets))
        .routes(routes!(parts::put_part))
        // What is uploaded is written as it comes and bounded by its own limit.
        .layer(DefaultBodyLimit::disable())
        .routes(routes!(get_dataset, delete_dataset))
        .routes(routes!(report::get_report))
        .routes(routes!(preview::preview_dataset))
        .routes(routes!(versions::fix_dataset))
        .routes(routes!(versions::list_versions))
        .routes(routes!(versions::list_changes))
        .routes(routes!(upload::create_upload))
        .routes(routes!(upload::complete_upload))
        .routes(routes!(parts::get_upload, parts::delete_upload))
        .routes(routes!(parts::locate_parts))
}

/// Lists the datasets, the last uploaded first.
#[utoipa::path(
    get,
    path = "/datasets",
    tag = "datasets",
    params(PageParameters),
    responses((status = 200, description = "A part of the list.", body = PageView<DatasetView>))
)]
async fn list_datasets(
    State(datasets): State<Datasets>,
    Parameters(page): Parameters<PageParameters>,
) -> Result<Json<PageView<DatasetView>>, Problem> {
    let page = datasets.list(&page.listing(None)?).await?;
    Ok(Json(PageView::of(page, DatasetView::from)))
}

/// Shows a dataset.
#[utoipa::path(
    get,
    path = "/datasets/{dataset_id}",
    tag = "datasets",
    params(("dataset_id" = String, Path, description = "The dataset's id.")),
    responses(
        (status = 200, description = "The dataset.", body = DatasetView),
        (status = 404, description = "`dataset_not_found`"),
    )
)]
async fn get_dataset(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
) -> Result<Json<DatasetView>, Problem> {
    Ok(Json(datasets.get(&id).await?.into()))
}

/// Deletes a dataset that no active job needs.
#[utoipa::path(
    delete,
    path = "/datasets/{dataset_id}",
    tag = "datasets",
    params(("dataset_id" = String, Path, description = "The dataset's id.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "`dataset_not_found`"),
        (status = 409, description = "`in_use`"),
    )
)]
async fn delete_dataset(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    datasets.get(&id).await?;
    datasets.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests;
