//! `/models`: lists, shows and deletes models.
//!
//! Knows how a model is shown. Does not know where its files lie, nor how it answers.

mod view;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use llmopt_http::{PageParameters, PageView, Parameters, Problem};
use llmopt_service::ModelCatalog;

use view::{ModelDetails, ModelView};

/// Returns the routes over `catalog`.
pub fn router(catalog: ModelCatalog) -> Router {
    Router::new()
        .route("/models", get(list_models))
        .route("/models/{model_id}", get(get_model).delete(delete_model))
        .with_state(catalog)
}

async fn list_models(
    State(catalog): State<ModelCatalog>,
    Parameters(page): Parameters<PageParameters>,
) -> Result<Json<PageView<ModelView>>, Problem> {
    let models = catalog.list().await?;
    let mut views: Vec<ModelView> = models.into_iter().map(ModelView::from).collect();
    views.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Json(page.part_of(views, |view| &view.id)?))
}

async fn get_model(
    State(catalog): State<ModelCatalog>,
    Path(id): Path<String>,
) -> Result<Json<ModelDetails>, Problem> {
    Ok(Json(catalog.get(&id).await?.into()))
}

async fn delete_model(
    State(catalog): State<ModelCatalog>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    catalog.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
