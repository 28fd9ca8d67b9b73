//! `/health`, `/ready` and `/status`: whether the service is alive, ready and how it fares; and what the API is.
//!
//! Knows how that is shown. Does not know what is checked.

mod description;

use axum::{Json, Router, extract::State};
use llmopt_http::{Code, DescribedRouter, Problem, routes};
use llmopt_service::{Check, Health, Status};
use serde::Serialize;
use utoipa::{ToSchema, openapi::OpenApi};

/// Returns the routes over `health`.
pub fn router(health: Health) -> Router {
    let described: Router = routes().with_state(health);
    described.merge(description::page())
}

/// Describes the routes.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> DescribedRouter<Health> {
    DescribedRouter::default()
        .routes(routes!(get_health))
        .routes(routes!(get_readiness))
        .routes(routes!(get_status))
        .routes(routes!(description::get_openapi))
}

/// That the process answers.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// `ok`.
    status: &'static str,
}

/// That requests can be answered.
#[derive(Debug, Serialize, ToSchema)]
struct Ready {
    /// `ready`.
    status: &'static str,
    checks: Vec<Check>,
}

/// Says that the process answers; it looks at nothing.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses((status = 200, description = "It answers.", body = Alive))
)]
async fn get_health() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Says whether everything that a request may need is there.
#[utoipa::path(
    get,
    path = "/ready",
    tag = "health",
    responses(
        (status = 200, description = "It is.", body = Ready),
        (status = 503, description = "`not_ready`, with the names of what is not there"),
    )
)]
async fn get_readiness(State(health): State<Health>) -> Result<Json<Ready>, Problem> {
    let checks = health.checks().await;
    let failed: Vec<String> = checks
        .iter()
        .filter_map(|check| Some(format!("{}: {}", check.name, check.failure?)))
        .collect();
    if failed.is_empty() {
        let status = "ready";
        return Ok(Json(Ready { status, checks }));
    }
    Err(Problem::new(Code::NotReady, failed.join("; ")))
}

/// Tells how the service fares.
#[utoipa::path(
    get,
    path = "/status",
    tag = "health",
    responses((status = 200, description = "How it fares.", body = Status))
)]
async fn get_status(State(health): State<Health>) -> Json<Status> {
    Json(health.status().await)
}
