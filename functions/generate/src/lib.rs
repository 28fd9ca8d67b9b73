//! `/generate`: asks a model, for the whole answer, a stream of it, or the answers to many questions.
//!
//! Knows how a question is asked and an answer shown, and which models are commercial. Does not know how text is
//! generated, nor where, nor what it costs.

#[cfg(feature = "lambda")]
mod account;
mod answer;
mod batch;
mod commercial;
mod measured;
mod ours;
mod queued;
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
use llmopt_http::{
    Caller, DescribedRouter, JsonBody, Metered, Problem, ServerSentEvent, accepts_stream, asker,
    routes,
};
use llmopt_providers::Delivery;
use llmopt_service::Generation;
use utoipa::openapi::OpenApi;

#[cfg(feature = "lambda")]
pub use account::{Opened, open};
use answer::Inquiry;
use queued::QueuedAnswer;
pub use queued::{AnswerWorker, QueuedAnswers, Worked};
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
    /// Where questions wait that are answered later; absent where all are answered at once.
    pub queued: Option<QueuedAnswers>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long many questions of one request may take together, where whoever is in between waits no longer; `None` is as
    /// long as it takes.
    pub longest: Option<Duration>,
}

/// Returns the routes over `state`.
pub fn router(state: GenerateState) -> Router {
    routes().with_state(state)
}

/// Describes the routes.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> DescribedRouter<GenerateState> {
    DescribedRouter::default()
        .routes(routes!(generate))
        .routes(routes!(batch::generate_batch))
        .routes(routes!(queued::get_result))
}

/// Answers one question: as JSON, or where `stream` is set or `text/event-stream` is accepted, as a
/// stream of `text` and `tool_call` events that ends with one `done` or `error`. With `prefer: respond-async`, what is not
/// asked for as a stream is queued, and answered once its turn has come, for twelve hours if need be.
#[utoipa::path(
    post,
    path = "/generate",
    tag = "generate",
    request_body = GenerateRequest,
    params(
        ("prefer" = Option<String>, Header, description = "`respond-async` to have the question queued, and look its answer up later."),
    ),
    responses(
        (
            status = 200,
            description = "The answer; or a stream of `text` events, each with a part of it, and `tool_call` events, each with a part of a call (`index`, `arguments`, and once `id` and `name`), that ends with one `done`, with the whole answer, or one `error`, with a problem.",
            content((GenerateResponse = "application/json"), (ServerSentEvent = "text/event-stream"))
        ),
        (
            status = 202,
            description = "It is queued, as `prefer: respond-async` asks for.",
            body = QueuedAnswer,
            headers(
                ("location" = String, description = "Where the answer will be."),
                ("preference-applied" = String, description = "`respond-async`."),
            )
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
    let asker = asker(caller.as_ref());
    let later = state.queued.as_ref().filter(|_| !streams);
    let later = later.filter(|_| queued::prefers_later(&headers));
    let as_asked = later.map(|_| request.clone());
    let asked = request.validate("")?;
    let question = Routed::of(&state, asked, &asker, delivery)?;
    if let (Some(later), Some(request)) = (later, as_asked) {
        queued::check(&state, &question).await?;
        return later.put(request, asker).await;
    }
    if streams {
        let answer = stream::stream_answer(&state, meter, question).await?;
        return Ok(answer.into_response());
    }
    let answer = answer::whole_answer(&state, meter, Inquiry::now(&state, question)).await?;
    Ok(Json(answer).into_response())
}

#[cfg(test)]
mod tests;
