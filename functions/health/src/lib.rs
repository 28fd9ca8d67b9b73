//! `/health`, `/ready` and `/status`: whether the service is alive, ready and how it fares.
//!
//! Knows how that is shown. Does not know what is checked.

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use llmopt_http::{Code, Problem};
use llmopt_service::{Health, Status};
use serde_json::{Value, json};

/// Returns the routes over `health`.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/health", get(get_health))
        .route("/ready", get(get_readiness))
        .route("/status", get(get_status))
        .with_state(health)
}

/// Says that the process answers; it looks at nothing.
async fn get_health() -> impl IntoResponse {
    (
        [("content-type", "application/json")],
        "{\"status\":\"ok\"}",
    )
}

/// Says whether everything that a request may need is there.
async fn get_readiness(State(health): State<Health>) -> Result<Json<Value>, Problem> {
    let checks = health.checks().await;
    let failed: Vec<String> = checks
        .iter()
        .filter_map(|check| Some(format!("{}: {}", check.name, check.failure?)))
        .collect();
    if failed.is_empty() {
        return Ok(Json(json!({ "status": "ready", "checks": checks })));
    }
    Err(Problem::new(Code::NotReady, failed.join("; ")))
}

async fn get_status(State(health): State<Health>) -> Result<Json<Status>, Problem> {
    Ok(Json(health.status().await?))
}
