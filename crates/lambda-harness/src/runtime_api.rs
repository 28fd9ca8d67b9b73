//! The Runtime API of 2018-06-01, which a function's process asks for its events and gives its answers.

use std::sync::Arc;

use aws_smithy_types::base64;
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::{
    FunctionError,
    body::{CollectError, Frame, collect, next_frame},
};

/// What an answer may have that is not a stream: 6 MB and a little.
const ANSWER_LIMIT: usize = 6_291_556;
const MODE: &str = "lambda-runtime-function-response-mode";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// What a process says.
#[derive(Debug)]
pub(crate) enum Said {
    /// It wants an event.
    Waiting(oneshot::Sender<Event>),
    /// It answers.
    Answered(Bytes),
    /// It begins an answer that comes bit by bit.
    Streaming { content_type: Option<String> },
    /// The next bit.
    Chunk(Bytes),
    /// The answer is whole.
    Streamed,
    /// The answer broke off: its process ends, or it gave up.
    BrokeOff,
    /// It failed at an event.
    Failed(FunctionError),
    /// It cannot start.
    NotInitialized(FunctionError),
}

/// An event for a process.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) request_id: String,
    pub(crate) payload: Bytes,
    pub(crate) deadline_ms: u64,
    pub(crate) function_arn: String,
}

/// The way from the Runtime API to whoever runs a process.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) said: mpsc::Sender<Said>,
    /// The invocation that an answer is waited for.
    pub(crate) current: Arc<Mutex<Option<String>>>,
}

impl Line {
    async fn say(&self, said: Said) -> Result<(), Refusal> {
        self.said.send(said).await.map_err(|_| Refusal::Gone)
    }

    /// An invocation is answered once.
    fn claim(&self, request_id: &str) -> Result<(), Refusal> {
        let claimed = self.current.lock().take_if(|current| current == request_id);
        claimed.map(|_| ()).ok_or(Refusal::InvalidRequestId)
    }
}

/// Why a process is not listened to.
enum Refusal {
    InvalidRequestId,
    TooLarge,
    Gone,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error_type, message) = match self {
            Self::InvalidRequestId => (
                StatusCode::BAD_REQUEST,
                "InvalidRequestID",
                "Invalid request ID",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                "Exceeded maximum allowed payload size",
            ),
            Self::Gone => (StatusCode::GONE, "Gone", "the process is to end"),
        };
        (
            status,
            Json(json!({"errorMessage": message, "errorType": error_type})),
        )
            .into_response()
    }
}

/// Returns the routes of one process.
pub(crate) fn router(line: Line) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/response",
            post(respond),
        )
        .route(
            "/2018-06-01/runtime/invocation/{id}/error",
            post(report_error),
        )
        .route("/2018-06-01/runtime/init/error", post(report_init_error))
        .route("/2018-06-01/runtime/restore/next", get(restore))
        .route("/2018-06-01/runtime/restore/error", post(report_init_error))
        .layer(DefaultBodyLimit::disable())
        .with_state(line)
}

/// A snapshot is taken of the process, and it is back to life.
async fn restore() -> StatusCode {
    StatusCode::OK
}

async fn next(State(line): State<Line>) -> Result<Response, Refusal> {
    let (event, is_there) = oneshot::channel();
    line.say(Said::Waiting(event)).await?;
    let event = is_there.await.map_err(|_| Refusal::Gone)?;
    let trace = format!("Root=1-{}", event.request_id);
    let headers = [
        ("lambda-runtime-aws-request-id", event.request_id),
        ("lambda-runtime-deadline-ms", event.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", event.function_arn),
        ("lambda-runtime-trace-id", trace),
        (header::CONTENT_TYPE.as_str(), "application/json".to_owned()),
    ];
    Ok((headers, event.payload).into_response())
}

async fn respond(
    State(line): State<Line>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    line.claim(&id)?;
    if text(&headers, MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("streaming")) {
        let content_type = text(&headers, "content-type").map(str::to_owned);
        line.say(Said::Streaming { content_type }).await?;
        let end = stream(&line, body).await?;
        line.say(end).await?;
        return Ok(StatusCode::ACCEPTED);
    }
    match collect(body, ANSWER_LIMIT).await {
        Ok(answer) => line.say(Said::Answered(answer)).await?,
        Err(CollectError::TooLarge) => {
            line.say(Said::Failed(FunctionError::too_large(ANSWER_LIMIT)))
                .await?;
            return Err(Refusal::TooLarge);
        }
        Err(CollectError::BrokeOff) => line.say(Said::BrokeOff).await?,
    }
    Ok(StatusCode::ACCEPTED)
}

/// Passes an answer on as it comes, and returns how it ends.
async fn stream(line: &Line, mut body: Body) -> Result<Said, Refusal> {
    while let Some(frame) = next_frame(&mut body).await {
        match frame {
            Ok(Frame::Data(chunk)) => line.say(Said::Chunk(chunk)).await?,
            Ok(Frame::Trailers(trailers)) => {
                if let Some(error) = trailer_error(&trailers) {
                    return Ok(Said::Failed(error));
                }
            }
            Err(_) => return Ok(Said::BrokeOff),
        }
    }
    Ok(Said::Streamed)
}

/// Reads the error that a runtime sends after an answer which it could not finish.
fn trailer_error(trailers: &HeaderMap) -> Option<FunctionError> {
    let error_type = text(trailers, ERROR_TYPE)?;
    let body = text(trailers, ERROR_BODY).unwrap_or_default();
    let body = base64::decode(body).unwrap_or_else(|_| body.as_bytes().to_vec());
    Some(FunctionError::reported(&body, Some(error_type)))
}

async fn report_error(
    State(line): State<Line>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    line.claim(&id)?;
    let error = reported(&headers, body).await;
    line.say(Said::Failed(error)).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn report_init_error(
    State(line): State<Line>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let error = reported(&headers, body).await;
    line.say(Said::NotInitialized(error)).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn reported(headers: &HeaderMap, body: Body) -> FunctionError {
    let body = collect(body, ANSWER_LIMIT).await.unwrap_or_default();
    FunctionError::reported(&body, text(headers, ERROR_TYPE))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
