//! The layer that has a request with an `idempotency-key` answered once.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, response::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
};
use llmopt_service::{
    AnswerLease, Answers, Begun, LARGEST_ANSWER, Recalled, RequestName, ServiceError,
};
use tracing::Instrument as _;

use crate::{Caller, Code, Problem, access::bearer};
use asked::Asked;

mod asked;
mod fingerprint;
mod kept;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Bytes of the longest key.
const LONGEST: usize = 255;
/// Whose requests those are that nobody has to show a key for.
const OPEN: &str = "open";
/// How long what is compared beforehand of a body may take to come.
const READING: Duration = Duration::from_secs(300);
/// Seconds after which it is worth while to look whether a request in flight is answered.
const LOOK_AGAIN: u64 = 1;

/// Answers a `POST` with an `idempotency-key` once; what has none passes untouched.
pub(crate) async fn once(
    State(answers): State<Option<Answers>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(answers) = answers else {
        return next.run(request).await;
    };
    match named(&request) {
        Ok(None) => next.run(request).await,
        Ok(Some(named)) => named.answer(&answers, request, next).await,
        Err(problem) => problem.into_response(),
    }
}

/// A request that has a name.
struct Named {
    name: RequestName,
    key: String,
}

/// Returns the name of a request, if it has one that counts.
fn named(request: &Request) -> Result<Option<Named>, Problem> {
    let route = request.extensions().get::<MatchedPath>();
    let (&Method::POST, Some(route)) = (request.method(), route) else {
        return Ok(None);
    };
    let Some(key) = key(request.headers())? else {
        return Ok(None);
    };
    let name = match request.extensions().get::<Caller>() {
        Some(caller) => {
            let secret = bearer(request.headers())?;
            RequestName::new(caller.id(), Some(secret), route.as_str(), key)
        }
        None => RequestName::new(OPEN, None, route.as_str(), key),
    };
    let key = key.to_owned();
    Ok(Some(Named { name, key }))
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let wrong = |found: &str| {
        let expected = format!("one `{KEY}` of 1 to {LONGEST} visible ASCII characters");
        Problem::new(
            Code::InvalidRequest,
            format!("expected {expected}, found {found}"),
        )
    };
    let mut all = headers.get_all(&KEY).iter();
    let Some(value) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        return Err(wrong("several"));
    }
    let bytes = value.as_bytes();
    let fits = (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    let key = value.to_str().ok().filter(|_| fits);
    key.map(Some).ok_or_else(|| wrong("another"))
}

impl Named {
    async fn answer(self, answers: &Answers, request: Request, next: Next) -> Response {
        let (parts, body) = request.into_parts();
        let read = tokio::time::timeout(READING, Asked::read(&parts, &self.key, body));
        let asked = match read.await {
            Ok(Ok(asked)) => asked,
            Ok(Err(problem)) => return problem.into_response(),
            Err(_) => return too_slow().into_response(),
        };
        match answers.begin(&self.name, asked.known()).await {
            Ok(Begun::Granted(lease)) => {
                let request = Request::from_parts(parts, asked.body());
                answer_apart(lease, asked, request, next).await
            }
            Ok(Begun::InFlight) => asked.then(in_flight()).await,
            Ok(Begun::Reused) => asked.then(reused().into_response()).await,
            Ok(Begun::Finished(past)) => match asked.fingerprint().await {
                Ok(fingerprint) => replay(past.recall(&fingerprint)),
                Err(problem) => problem.into_response(),
            },
            Err(error) => {
                let problem = Problem::from(ServiceError::from(error));
                asked.then(problem.into_response()).await
            }
        }
    }
}

/// Answers in a task of its own, so that what was begun is done and kept though its caller hangs up.
async fn answer_apart(lease: AnswerLease, asked: Asked, request: Request, next: Next) -> Response {
    let (reply, replied) = oneshot::channel();
    let work = async move {
        // One hold around all of it: renewals go on from one part to the next.
        let work = async {
            let response = next.run(request).await;
            answer(&lease, asked, response, reply).await;
        };
        lease.hold(work).await;
    };
    tokio::spawn(Box::pin(work).in_current_span());
    replied.await.unwrap_or_else(|_| {
        Problem::new(Code::Internal, "the request was given up: the log says why").into_response()
    })
}

/// Passes an answer on, and keeps it first: a function may be frozen as soon as its answer has been sent.
///
/// What went wrong is not kept, so that it can be tried again. Where nobody waits any more, the answer is kept
/// all the same.
async fn answer(
    lease: &AnswerLease,
    asked: Asked,
    response: Response,
    reply: oneshot::Sender<Response>,
) {
    if !response.status().is_success() {
        release(lease).await;
        let _ = reply.send(response);
        return;
    }
    let fingerprint = asked.fingerprint().await.ok();
    let (parts, body) = response.into_parts();
    if is_stream(&parts.headers) {
        let (forward, body_out) = mpsc::unbounded();
        let passing = Response::from_parts(parts.clone(), Body::from_stream(body_out));
        let _ = reply.send(passing);
        let bytes = pass_on(lease, body, &forward).await;
        settle(lease, fingerprint, &parts, bytes.as_deref()).await;
        return;
    }
    let bytes = to_bytes(body, usize::MAX).await;
    settle(lease, fingerprint, &parts, bytes.as_deref().ok()).await;
    let response = match bytes {
        Ok(bytes) => Response::from_parts(parts, Body::from(bytes)),
        Err(_) => Problem::new(Code::Internal, "the answer broke off").into_response(),
    };
    let _ = reply.send(response);
}

/// Passes a stream on as it comes, and returns it once it has ended well.
///
/// Nobody is waited for: a reader that stalls must not keep the request in flight. What is not read yet is
/// shared with what is collected.
async fn pass_on(
    lease: &AnswerLease,
    body: Body,
    forward: &mpsc::UnboundedSender<Result<Bytes, axum::Error>>,
) -> Option<Vec<u8>> {
    let mut bytes = Some(Vec::new());
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        if part.as_ref().map_or(true, |part| is_error(part)) && bytes.take().is_some() {
            // Before its reader learns of it, so that the next try is free.
            release(lease).await;
        }
        if let (Some(bytes), Ok(part)) = (&mut bytes, &part)
            && bytes.len() <= LARGEST_ANSWER
        {
            bytes.extend_from_slice(part);
        }
        let _ = forward.unbounded_send(part);
    }
    bytes
}

/// Keeps an answer, or gives the request up where there is none to keep.
async fn settle(
    lease: &AnswerLease,
    fingerprint: Option<String>,
    parts: &Parts,
    bytes: Option<&[u8]>,
) {
    let (Some(fingerprint), Some(bytes)) = (fingerprint, bytes) else {
        return release(lease).await;
    };
    let kept = lease.keep(&fingerprint, kept::encode(parts, bytes)).await;
    if let Err(error) = kept {
        let error = ServiceError::from(error);
        tracing::error!(
            error = llmopt_domain::error_chain(&error),
            "an answer was given and is not kept: who asks again in a minute is answered anew"
        );
    }
}

async fn release(lease: &AnswerLease) {
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "a request that failed is free in a minute only");
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Whether a part of a stream says that it failed; an event is one part.
fn is_error(part: &[u8]) -> bool {
    part.starts_with(b"event: error\n")
}

fn in_flight() -> Response {
    let problem = Problem::new(
        Code::IdempotencyInFlight,
        format!(
            "the first request with this `{KEY}` is not answered yet: ask again for its answer, at the latest a minute after whoever works on it has died"
        ),
    );
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, LOOK_AGAIN.into());
    response
}

fn too_slow() -> Problem {
    let seconds = READING.as_secs();
    Problem::new(
        Code::RequestTimeout,
        format!("the body took longer than {seconds} s to come, and nothing was done"),
    )
}

fn reused() -> Problem {
    Problem::new(
        Code::IdempotencyKeyReused,
        format!(
            "this `{KEY}` was sent with another path, query, body or kind of answer within a day: send another with a new request, or the first request again"
        ),
    )
}

fn replay(recalled: Recalled) -> Response {
    let gone = |why: &str| {
        Problem::new(
            Code::IdempotencyAnswerUnavailable,
            format!(
                "this request was done and answered, and the answer cannot be shown again: {why}; look for what it made, or send another `{KEY}` to do it once more"
            ),
        )
        .into_response()
    };
    let bytes = match recalled {
        Recalled::Answer(bytes) => bytes,
        Recalled::Reused => return reused().into_response(),
        Recalled::TooLarge => return gone("it is too large to be kept"),
        Recalled::Sealed => {
            return gone(
                "it is sealed with the secret that the key had then, before it was rotated",
            );
        }
    };
    let Some(mut response) = kept::decode(bytes) else {
        return gone("another version of the platform kept it");
    };
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests;
