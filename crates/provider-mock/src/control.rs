//! What a script asks of the server over HTTP.

use axum::{
    Json, Router,
    extract::{Path, State as Shared},
    http::StatusCode,
    routing::{delete, get, post, put},
};

use crate::{Behaviour, Exchange, state::State};

/// Returns the routes: what was asked, how the next request is answered, how all for a model are, and to forget it all.
pub(crate) fn routes() -> Router<State> {
    Router::new()
        .route("/mock/exchanges", get(list_exchanges))
        .route("/mock/next", post(push_behaviour))
        .route("/mock/models/{model}", put(set_model))
        .route("/mock", delete(clear))
}

async fn list_exchanges(Shared(state): Shared<State>) -> Json<Vec<Exchange>> {
    Json(state.exchanges())
}

async fn push_behaviour(
    Shared(state): Shared<State>,
    Json(behaviour): Json<Behaviour>,
) -> StatusCode {
    state.push(behaviour);
    StatusCode::NO_CONTENT
}

async fn set_model(
    Shared(state): Shared<State>,
    Path(model): Path<String>,
    Json(behaviour): Json<Behaviour>,
) -> StatusCode {
    state.set_model(model, behaviour);
    StatusCode::NO_CONTENT
}

async fn clear(Shared(state): Shared<State>) -> StatusCode {
    state.clear();
    StatusCode::NO_CONTENT
}
