//! `/models`: lists, shows and deletes models.
//!
//! Knows how a model is shown. Does not know where its files lie, nor how it answers.

mod view;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
};
use llmopt_http::{DescribedRouter, PageParameters, PageView, Parameters, Problem, routes};
use llmopt_service::ModelCatalog;
use utoipa::openapi::OpenApi;

use view::{ModelDetails, ModelView};

/// Returns the routes over `catalog`.
pub fn router(catalog: ModelCatalog) -> Router {
    routes().with_state(catalog)
}

/// Describes the routes.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> DescribedRouter<ModelCatalog> {
    DescribedRouter::default()
        .routes(routes!(list_models))
        .routes(routes!(get_model, delete_model))
}

/// Lists the models by their ids: bases, and of the fine-tuned the newest versions.
#[utoipa::path(
    get,
    path = "/models",
    tag = "models",
    params(PageParameters),
    responses((status = 200, description = "A part of the list.", body = PageView<ModelView>))
)]
async fn list_models(
    State(catalog): State<ModelCatalog>,
    Parameters(page): Parameters<PageParameters>,
) -> Result<Json<PageView<ModelView>>, Problem> {
    let models = catalog.list().await?;
    let mut views: Vec<ModelView> = models.into_iter().map(ModelView::from).collect();
    views.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Json(page.part_of(views, |view| &view.id)?))
}

/// Shows a model, and how it was trained.
#[utoipa::path(
    get,
    path = "/models/{model_id}",
    tag = "models",
    params(("model_id" = String, Path, description = "The model's id, with `/` as `%2F`.", example = "ft:distilgpt2:orders")),
    responses(
        (status = 200, description = "The model.", body = ModelDetails),
        (status = 404, description = "`model_not_found`"),
    )
)]
async fn get_model(
    State(catalog): State<ModelCatalog>,
    Path(id): Path<String>,
) -> Result<Json<ModelDetails>, Problem> {
    Ok(Json(catalog.get(&id).await?.into()))
}

/// Deletes a model; without a version all of its versions.
#[utoipa::path(
    delete,
    path = "/models/{model_id}",
    tag = "models",
    params(("model_id" = String, Path, description = "The model's id, with `/` as `%2F`.", example = "ft:distilgpt2:orders")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "`model_not_found`"),
        (status = 409, description = "`in_use`"),
    )
)]
async fn delete_model(
    State(catalog): State<ModelCatalog>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    catalog.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
