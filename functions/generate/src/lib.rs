//! `/generate`: asks a model, for the whole answer, a stream of it, or the answers to many questions.
//!
//! Knows how a question is asked and an answer shown. Does not know how text is generated, nor where.

mod answer;
mod batch;
mod measured;
mod request;
mod stream;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use llmopt_http::{JsonBody, Metered, Problem, ServerSentEvent, accepts_stream};
use llmopt_service::Generation;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use answer::GenerateResponse;
use request::GenerateRequest;

/// What the routes work with.
#[derive(Clone)]
pub struct GenerateState {
    /// Who answers.
    pub generation: Generation,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Returns the routes over `state`.
pub fn router(state: GenerateState) -> Router {
    routes().with_state(state).into()
}

/// Describes the routes.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<GenerateState> {
    OpenApiRouter::default()
        .routes(routes!(generate))
        .routes(routes!(batch::generate_batch))
}

/// Answers one question: as JSON, or where `stream` is set or `text/event-stream` is accepted, as a
/// stream of `text` events that ends with one `done` or `error`.
#[utoipa::path(
    post,
    path = "/generate",
    tag = "generate",
    request_body = GenerateRequest,
    responses(
        (
            status = 200,
            description = "The answer; or a stream of `text` events, each with a part of it, that ends with one `done`, with the whole answer, or one `error`, with a problem.",
            content((GenerateResponse = "application/json"), (ServerSentEvent = "text/event-stream"))
        ),
        (status = 404, description = "`model_not_found`"),
        (status = 504, description = "`model_timeout`"),
        (status = 507, description = "`no_space`"),
    )
)]
async fn generate(
    State(state): State<GenerateState>,
    meter: Metered,
    headers: HeaderMap,
    JsonBody(request): JsonBody<GenerateRequest>,
) -> Result<Response, Problem> {
    let streams = request.stream.unwrap_or_else(|| accepts_stream(&headers));
    let question = request.validate("")?;
    if streams {
        Ok(stream::stream_answer(&state, meter, question)
            .await?
            .into_response())
    } else {
        Ok(Json(answer::whole_answer(&state, meter, question).await?).into_response())
    }
}

#[cfg(test)]
mod tests;
