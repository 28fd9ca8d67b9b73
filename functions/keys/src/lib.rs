//! `/keys`: makes, lists, shows, rotates and revokes platform keys, for administrators.
//!
//! Knows how a key is shown: its secret once, in the answer that makes it. Does not know where keys are
//! kept, nor who may ask.

mod request;
mod view;

use std::collections::HashMap;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
};
use llmopt_domain::ApiKey;
use llmopt_http::{
    DescribedRouter, JsonBody, PageParameters, PageView, Parameters, Problem, now_ms, routes,
};
use llmopt_service::Keys;
use utoipa::openapi::OpenApi;

use request::{CreateKey, RotateKey};
use view::{IssuedKeyView, KeyView};

/// Returns the routes over `keys`.
pub fn router(keys: Keys) -> Router {
    routes().with_state(keys)
}

/// Describes the routes.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> DescribedRouter<Keys> {
    DescribedRouter::default()
        .routes(routes!(list_keys, create_key))
        .routes(routes!(get_key, revoke_key))
        .routes(routes!(rotate_key))
}

/// Makes a key, whose text only this answer has.
#[utoipa::path(
    post,
    path = "/keys",
    tag = "keys",
    request_body = CreateKey,
    responses((status = 201, description = "The key.", body = IssuedKeyView))
)]
async fn create_key(
    State(keys): State<Keys>,
    JsonBody(request): JsonBody<CreateKey>,
) -> Result<(StatusCode, Json<IssuedKeyView>), Problem> {
    let issued = keys.create(request.validate(now_ms())?).await?;
    Ok((StatusCode::CREATED, Json(IssuedKeyView::of(issued, None))))
}

/// Lists the keys, the oldest first.
#[utoipa::path(
    get,
    path = "/keys",
    tag = "keys",
    params(PageParameters),
    responses((status = 200, description = "A part of the list.", body = PageView<KeyView>))
)]
async fn list_keys(
    State(keys): State<Keys>,
    Parameters(page): Parameters<PageParameters>,
) -> Result<Json<PageView<KeyView>>, Problem> {
    let page = keys.list(&page.listing(None)?).await?;
    let mut used = HashMap::new();
    for stored in &page.records {
        let id = &stored.record.id;
        used.insert(id.clone(), keys.last_used(id).await?);
    }
    let view = |key: ApiKey| {
        let used_ms = used.get(&key.id).copied().flatten();
        KeyView::of(key, used_ms)
    };
    Ok(Json(PageView::of(page, view)))
}

/// Shows a key, without its secret.
#[utoipa::path(
    get,
    path = "/keys/{key_id}",
    tag = "keys",
    params(("key_id" = String, Path, description = "The key's id.")),
    responses(
        (status = 200, description = "The key.", body = KeyView),
        (status = 404, description = "`key_not_found`"),
    )
)]
async fn get_key(
    State(keys): State<Keys>,
    Path(id): Path<String>,
) -> Result<Json<KeyView>, Problem> {
    let used_ms = keys.last_used(&id).await?;
    Ok(Json(KeyView::of(keys.get(&id).await?, used_ms)))
}

/// Revokes a key: within 5 seconds it is taken nowhere.
#[utoipa::path(
    delete,
    path = "/keys/{key_id}",
    tag = "keys",
    params(("key_id" = String, Path, description = "The key's id.")),
    responses(
        (status = 204, description = "It is revoked."),
        (status = 404, description = "`key_not_found`"),
    )
)]
async fn revoke_key(
    State(keys): State<Keys>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    keys.revoke(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a key another secret; the one before is taken for a while more.
#[utoipa::path(
    post,
    path = "/keys/{key_id}/rotate",
    tag = "keys",
    params(("key_id" = String, Path, description = "The key's id.")),
    request_body = Option<RotateKey>,
    responses(
        (status = 200, description = "The key with its new text.", body = IssuedKeyView),
        (status = 404, description = "`key_not_found`"),
        (status = 409, description = "`key_state`: it was revoked, or has ended"),
    )
)]
async fn rotate_key(
    State(keys): State<Keys>,
    Path(id): Path<String>,
    request: Option<JsonBody<RotateKey>>,
) -> Result<Json<IssuedKeyView>, Problem> {
    let request = request.map_or_else(RotateKey::default, |JsonBody(request)| request);
    let issued = keys.rotate(&id, request.overlap()?).await?;
    let used_ms = keys.last_used(&id).await?;
    Ok(Json(IssuedKeyView::of(issued, used_ms)))
}

#[cfg(test)]
mod tests;
