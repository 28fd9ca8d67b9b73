//! `/generate`: asks a model, for the whole answer, a stream of it, or the answers to many questions.
//!
//! Knows how a question is asked and an answer shown. Does not know how text is generated, nor where.

mod answer;
mod batch;
mod request;
mod stream;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::post,
};
use llmopt_http::{JsonBody, Problem, accepts_stream};
use llmopt_service::Generation;

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
    Router::new()
        .route("/generate", post(generate))
        .route("/generate/batch", post(batch::generate_batch))
        .with_state(state)
}

/// Answers one question: as JSON, or where `stream` is set or `text/event-stream` is accepted, as a
/// stream of `text` events that ends with one `done` or `error`.
async fn generate(
    State(state): State<GenerateState>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<GenerateRequest>,
) -> Result<Response, Problem> {
    let streams = request.stream.unwrap_or_else(|| accepts_stream(&headers));
    let question = request.validate("")?;
    if streams {
        Ok(stream::stream_answer(&state, question)
            .await?
            .into_response())
    } else {
        Ok(Json(answer::whole_answer(&state, question).await?).into_response())
    }
}

#[cfg(test)]
mod tests;
