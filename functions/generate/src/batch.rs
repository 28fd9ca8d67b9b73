use std::sync::{Arc, atomic::AtomicU32};

use axum::{Extension, Json, extract::State};
use futures::future::join_all;
use llmopt_commercial::Asker;
use llmopt_http::{Caller, Code, JsonBody, Metered, Problem, ProblemView, Validation, asker};
use llmopt_providers::Delivery;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{sync::Semaphore, time::Instant};
use utoipa::ToSchema;

use crate::{
    GenerateState,
    answer::{Inquiry, Patience, Turns, whole_answer},
    request::GenerateRequest,
    response::GenerateResponse,
    routed::Routed,
};

/// Questions in one request at most.
const MAX_REQUESTS: usize = 100;
/// Questions to our own models that are worked on at once: enough to keep several models busy.
const OURS_AT_ONCE: usize = 8;
/// Questions to commercial models that are under way at once: limits hold all the same.
const COMMERCIAL_AT_ONCE: usize = 32;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchRequest {
    /// The questions; none may ask for a stream.
    #[schema(min_items = 1, max_items = 100)]
    requests: Vec<GenerateRequest>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BatchResponse {
    /// One result for each request, in the same order.
    results: Vec<BatchResult>,
}

/// What came of one request; another's failure does not touch it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BatchResult {
    Response(Box<GenerateResponse>),
    #[schema(value_type = ProblemView)]
    Error(Value),
}

/// Answers many questions. What is malformed refuses the whole request before anything is computed; where a provider's
/// limit is reached, a question waits for its turn.
#[utoipa::path(
    post,
    path = "/generate/batch",
    tag = "generate",
    request_body = BatchRequest,
    responses((status = 200, description = "What came of each, in the same order.", body = BatchResponse))
)]
pub(crate) async fn generate_batch(
    State(state): State<GenerateState>,
    meter: Metered,
    caller: Option<Extension<Caller>>,
    JsonBody(batch): JsonBody<BatchRequest>,
) -> Result<Json<BatchResponse>, Problem> {
    let questions = validate(&state, batch, &asker(caller.as_ref()))?;
    let (ours, commercial) = (
        Semaphore::new(OURS_AT_ONCE),
        Semaphore::new(COMMERCIAL_AT_ONCE),
    );
    let waiting = Arc::new(AtomicU32::new(0));
    let end = state.longest.map(|longest| Instant::now() + longest);
    let answers = questions.into_iter().map(|question| async {
        let places = match question {
            Routed::Ours(_) => &ours,
            Routed::Commercial(_) => &commercial,
        };
        let _place = places.acquire().await;
        let now = Instant::now();
        let deadline = now + state.timeout;
        let deadline = end.map_or(deadline, |end| end.min(deadline));
        if deadline <= now {
            return Err(no_time());
        }
        let inquiry = Inquiry {
            question,
            patience: Patience::UntilTurn(Turns {
                waiting: Arc::clone(&waiting),
                until: deadline,
            }),
            deadline,
        };
        whole_answer(&state, meter.clone(), inquiry).await
    });
    let answers = join_all(answers).await.into_iter();
    let results = answers.map(|answered| match answered {
        Ok(response) => BatchResult::Response(Box::new(response)),
        Err(problem) => BatchResult::Error(problem.to_json(None)),
    });
    Ok(Json(BatchResponse {
        results: results.collect(),
    }))
}

/// Says why a question was not asked whose turn came too late.
fn no_time() -> Problem {
    Problem::new(
        Code::ModelTimeout,
        "the questions before it took all the time that a request has, so that it was not asked: send it again, and fewer at once",
    )
}

fn validate(
    state: &GenerateState,
    batch: BatchRequest,
    asker: &Asker,
) -> Result<Vec<Routed>, Problem> {
    let mut validation = Validation::default();
    let count = batch.requests.len();
    validation.require((1..=MAX_REQUESTS).contains(&count), "/requests", || {
        format!("expected 1 to {MAX_REQUESTS} requests, found {count}")
    });
    for (index, request) in batch.requests.iter().enumerate() {
        let pointer = format!("/requests/{index}/stream");
        validation.require(request.stream != Some(true), &pointer, || {
            "expected no stream: a batch is answered as a whole".to_owned()
        });
    }
    validation.finish()?;
    let questions = batch.requests.into_iter().enumerate();
    questions
        .map(|(index, request)| {
            let asked = request.validate(&format!("/requests/{index}"))?;
            Routed::of(state, asked, asker, Delivery::Whole)
        })
        .collect()
}
