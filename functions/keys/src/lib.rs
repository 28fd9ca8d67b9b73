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
    routing::{get, post},
};
use llmopt_domain::ApiKey;
use llmopt_http::{JsonBody, PageParameters, PageView, Parameters, Problem};
use llmopt_service::Keys;

use request::{CreateKey, RotateKey};
use view::{IssuedKeyView, KeyView};

/// Returns the routes over `keys`.
pub fn router(keys: Keys) -> Router {
    Router::new()
        .route("/keys", get(list_keys).post(create_key))
        .route("/keys/{key_id}", get(get_key).delete(revoke_key))
        .route("/keys/{key_id}/rotate", post(rotate_key))
        .with_state(keys)
}

async fn create_key(
    State(keys): State<Keys>,
    JsonBody(request): JsonBody<CreateKey>,
) -> Result<(StatusCode, Json<IssuedKeyView>), Problem> {
    let issued = keys.create(request.validate()?).await?;
    Ok((StatusCode::CREATED, Json(IssuedKeyView::of(issued, None))))
}

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

async fn get_key(
    State(keys): State<Keys>,
    Path(id): Path<String>,
) -> Result<Json<KeyView>, Problem> {
    let used_ms = keys.last_used(&id).await?;
    Ok(Json(KeyView::of(keys.get(&id).await?, used_ms)))
}

async fn revoke_key(
    State(keys): State<Keys>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    keys.revoke(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

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
