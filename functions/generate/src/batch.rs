use axum::{Json, extract::State};
use futures::{StreamExt, stream};
use llmopt_http::{JsonBody, Metered, Problem, ProblemView, Validation};
use llmopt_service::Question;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    GenerateState, answer::GenerateResponse, answer::whole_answer, request::GenerateRequest,
};

/// Questions in one request at most.
const MAX_REQUESTS: usize = 100;
/// Questions that are worked on at once: enough to keep several models busy.
const AT_ONCE: usize = 8;

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

/// Answers many questions. What is malformed refuses the whole request before anything is computed.
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
    JsonBody(batch): JsonBody<BatchRequest>,
) -> Result<Json<BatchResponse>, Problem> {
    let questions = validate(batch)?;
    let answers = questions.into_iter().map(|question| {
        let (state, meter) = (state.clone(), meter.clone());
        async move { whole_answer(&state, meter, question).await }
    });
    let results = stream::iter(answers)
        .buffered(AT_ONCE)
        .map(|answered| match answered {
            Ok(response) => BatchResult::Response(Box::new(response)),
            Err(problem) => BatchResult::Error(problem.to_json(None)),
        })
        .collect()
        .await;
    Ok(Json(BatchResponse { results }))
}

fn validate(batch: BatchRequest) -> Result<Vec<Question>, Problem> {
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
        .map(|(index, request)| request.validate(&format!("/requests/{index}")))
        .collect()
}
