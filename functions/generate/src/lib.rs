//! `/generate`: asks a model, for the whole answer, a stream of it, or the answers to many questions.
//!
//! Knows how a question is asked and an answer shown, and which models are commercial. Does not know how text is
//! generated, nor where, nor what it costs.

mod answer;
mod batch;
mod commercial;
mod measured;
mod ours;
mod request;
mod response;
mod routed;
mod stream;

use std::time::Duration;

use axum::{
    Extension, Json, Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use llmopt_commercial::Commercial;
use llmopt_http::{Caller, JsonBody, Metered, Problem, ServerSentEvent, accepts_stream};
use llmopt_providers::Delivery;
use llmopt_service::Generation;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use answer::Patience;
use request::GenerateRequest;
use response::GenerateResponse;
use routed::Routed;

/// What the routes work with.
#[derive(Clone)]
pub struct GenerateState {
    /// Who answers.
    pub generation: Generation,
    /// Who answers for commercial models; absent where there are none.
    pub commercial: Option<Commercial>,
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
/// stream of `text` and `tool_call` events that ends with one `done` or `error`.
#[utoipa::path(
    post,
    path = "/generate",
    tag = "generate",
    request_body = GenerateRequest,
    responses(
        (
            status = 200,
            description = "The answer; or a stream of `text` events, each with a part of it, and `tool_call` events, each with a part of a call (`index`, `arguments`, and once `id` and `name`), that ends with one `done`, with the whole answer, or one `error`, with a problem.",
            content((GenerateResponse = "application/json"), (ServerSentEvent = "text/event-stream"))
        ),
        (status = 402, description = "`budget_exceeded`"),
        (status = 404, description = "`model_not_found`"),
        (status = 409, description = "`provider_not_configured`"),
        (status = 410, description = "`model_retired`"),
        (status = 422, description = "`provider_rejected_request` or `model_without_price`"),
        (status = 429, description = "`provider_limit_reached` or `provider_rate_limited`"),
        (status = 502, description = "`provider_failed` or `provider_key_refused`"),
        (status = 503, description = "`provider_unavailable` or `provider_quota_exhausted`"),
        (status = 504, description = "`model_timeout` or `provider_timeout`"),
        (status = 507, description = "`no_space`"),
    )
)]
async fn generate(
    State(state): State<GenerateState>,
    meter: Metered,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<GenerateRequest>,
) -> Result<Response, Problem> {
    let streams = request.stream.unwrap_or_else(|| accepts_stream(&headers));
    let delivery = if streams {
        Delivery::Stream
    } else {
        Delivery::Whole
    };
    let asked = request.validate("")?;
    let question = Routed::of(&state, asked, key_of(caller.as_ref()), delivery)?;
    if streams {
        let answer = stream::stream_answer(&state, meter, question).await?;
        return Ok(answer.into_response());
    }
    let answer = answer::whole_answer(&state, meter, question, Patience::None).await?;
    Ok(Json(answer).into_response())
}

/// Returns the id of the key that asks; nothing where none is needed.
fn key_of(caller: Option<&Extension<Caller>>) -> &str {
    caller.map_or("", |Extension(caller)| caller.id())
}

#[cfg(test)]
mod tests;
