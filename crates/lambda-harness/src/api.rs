//! The API: HTTP requests become events of an API Gateway REST API, and answers responses.

mod event;
mod response;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    FunctionError, HarnessError,
    body::{CollectError, collect},
    harness::Service,
    invocation::{Answer, Parts, new_request_id},
    prelude,
};

use event::Incoming;

/// What a request may have; a function gets less.
const REQUEST_LIMIT: usize = 10 * 1024 * 1024;

/// Why the API answers in place of a function, in the words of API Gateway.
#[derive(Debug)]
enum Refusal {
    NoRoute,
    RequestTooLarge,
    BadRequest,
    /// Lambda does not take the invocation.
    NotInvoked,
    /// The function failed, or its answer cannot be read.
    BadAnswer,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::NoRoute => (StatusCode::FORBIDDEN, "Missing Authentication Token"),
            Self::RequestTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, "Bad Request"),
            Self::NotInvoked => (StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
            Self::BadAnswer => (StatusCode::BAD_GATEWAY, "Internal server error"),
        };
        (status, Json(json!({"message": message}))).into_response()
    }
}

/// Answers any request that is not one of Lambda's own.
pub(crate) async fn handle(
    State(service): State<Arc<Service>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let request_id = new_request_id();
    let (parts, body) = request.into_parts();
    let incoming = Incoming {
        parts,
        request_id: &request_id,
        source_ip: client.ip(),
    };
    let answered = answer(&service, incoming, body).await;
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    if let Ok(id) = HeaderValue::try_from(request_id.as_str()) {
        response
            .headers_mut()
            .entry("x-amzn-requestid")
            .or_insert(id);
    }
    response
}

async fn answer(
    service: &Service,
    incoming: Incoming<'_>,
    body: Body,
) -> Result<Response, Refusal> {
    let matched = service
        .routes
        .find(incoming.parts.uri.path())
        .ok_or(Refusal::NoRoute)?;
    let function = service
        .function(matched.function)
        .map_err(|_| Refusal::NoRoute)?;
    let body = collect(body, REQUEST_LIMIT)
        .await
        .map_err(|error| match error {
            CollectError::TooLarge => Refusal::RequestTooLarge,
            CollectError::BrokeOff => Refusal::BadRequest,
        })?;
    let event = incoming.event(&matched, &service.api, &body);
    let answer = function
        .invoke(event.to_string().into())
        .await
        .map_err(|error| match error {
            HarnessError::EventTooLarge { .. } => Refusal::RequestTooLarge,
            _ => Refusal::NotInvoked,
        })?;
    match answer {
        Answer::Whole(Ok(document)) => response::parse(&document).ok_or(Refusal::BadAnswer),
        Answer::Whole(Err(_)) => Err(Refusal::BadAnswer),
        Answer::Stream {
            content_type,
            parts,
        } => {
            if content_type.as_deref() != Some(prelude::CONTENT_TYPE) {
                return Err(Refusal::BadAnswer);
            }
            streamed(parts).await.ok_or(Refusal::BadAnswer)
        }
    }
}

/// Makes a response of a stream whose body is passed on as it comes, and is cut where it fails.
async fn streamed(mut parts: Parts) -> Option<Response> {
    let prelude = prelude::read(&mut parts).await?;
    let first = Some(prelude.first).filter(|first| !first.is_empty());
    let body = futures::stream::unfold((first, parts), |(first, mut parts)| async {
        let part: Result<Bytes, FunctionError> = match first {
            Some(first) => Ok(first),
            None => parts.recv().await?,
        };
        Some((part, (None, parts)))
    });
    let response = (prelude.status, prelude.headers, Body::from_stream(body));
    Some(response.into_response())
}

/// What an API is set to.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) stage: String,
    pub(crate) binary_media_types: Vec<String>,
}
