//! `/datasets`: takes, lists, shows and deletes datasets.
//!
//! Knows how a file arrives over HTTP and how a dataset is shown. Does not know how rows are read or
//! checked, nor where they are kept.

mod upload;
mod view;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    routing::{get, post},
};
use llmopt_http::{PageParameters, PageView, Parameters, Problem};
use llmopt_service::Datasets;
use serde_json::Value;

use view::DatasetView;

/// Returns the routes over `datasets`.
pub fn router(datasets: Datasets) -> Router {
    Router::new()
        .route("/datasets", post(upload::create_dataset).get(list_datasets))
        // An upload is written as it comes and bounded by its own limit.
        .layer(DefaultBodyLimit::disable())
        .route(
            "/datasets/{dataset_id}",
            get(get_dataset).delete(delete_dataset),
        )
        .route("/datasets/{dataset_id}/report", get(get_report))
        .route("/datasets/uploads", post(upload::create_upload))
        .route(
            "/datasets/uploads/{upload_id}/complete",
            post(upload::complete_upload),
        )
        .with_state(datasets)
}

async fn list_datasets(
    State(datasets): State<Datasets>,
    Parameters(page): Parameters<PageParameters>,
) -> Result<Json<PageView<DatasetView>>, Problem> {
    let page = datasets.list(&page.listing(None)?).await?;
    Ok(Json(PageView::of(page, DatasetView::from)))
}

async fn get_dataset(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
) -> Result<Json<DatasetView>, Problem> {
    Ok(Json(datasets.get(&id).await?.into()))
}

async fn get_report(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(datasets.report(&id).await?))
}

async fn delete_dataset(
    State(datasets): State<Datasets>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    datasets.get(&id).await?;
    datasets.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
