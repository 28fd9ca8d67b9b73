//! Lambda's own API, of which there is what invokes a function.

use std::sync::Arc;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::{
    FunctionError, HarnessError,
    body::{CollectError, collect},
    function::{EVENT_LIMIT, Function},
    harness::Service,
    invocation::{Answer, Parts},
};

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
const EXECUTED_VERSION: (&str, &str) = ("x-amz-executed-version", "$LATEST");

/// Why Lambda does not invoke a function, in its words.
#[derive(Debug)]
pub(crate) enum Refusal {
    UnknownFunction(String),
    TooLarge(usize),
    Throttled,
    BadRequest,
    Stopped,
}

impl From<HarnessError> for Refusal {
    fn from(error: HarnessError) -> Self {
        match error {
            HarnessError::UnknownFunction(name) => Self::UnknownFunction(name),
            HarnessError::EventTooLarge { limit_bytes, .. } => Self::TooLarge(limit_bytes),
            HarnessError::Throttled(_) => Self::Throttled,
            HarnessError::Start(_)
            | HarnessError::NoProgram { .. }
            | HarnessError::Function(_)
            | HarnessError::NotJson(_)
            | HarnessError::Stopped => Self::Stopped,
        }
    }
}

impl From<CollectError> for Refusal {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::TooLarge => Self::TooLarge(EVENT_LIMIT),
            CollectError::BrokeOff => Self::BadRequest,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error_type, message) = match self {
            Self::UnknownFunction(name) => (
                StatusCode::NOT_FOUND,
                "ResourceNotFoundException",
                format!("Function not found: {name}"),
            ),
            Self::TooLarge(limit) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                format!(
                    "Request must be smaller than {limit} bytes for the InvokeFunction operation"
                ),
            ),
            Self::Throttled => (
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsException",
                "Rate Exceeded.".to_owned(),
            ),
            Self::BadRequest => (
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                "Could not read the request".to_owned(),
            ),
            Self::Stopped => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "ServiceException",
                "the harness was stopped".to_owned(),
            ),
        };
        let body = Json(json!({"Type": "User", "message": message, "Message": message}));
        (status, [("x-amzn-errortype", error_type)], body).into_response()
    }
}

/// `POST /2015-03-31/functions/{name}/invocations`
pub(crate) async fn invoke(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (function, payload) = read(&service, &name, body).await?;
    match invocation_type(&headers) {
        "Event" => {
            function.invoke_later(payload)?;
            Ok(StatusCode::ACCEPTED.into_response())
        }
        "DryRun" => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Ok(match whole(function.invoke(payload).await?).await {
            Ok(answer) => ([EXECUTED_VERSION], answer).into_response(),
            Err(error) => {
                let failed = [EXECUTED_VERSION, ("x-amz-function-error", "Unhandled")];
                (failed, error.document()).into_response()
            }
        }),
    }
}

/// `POST /2021-11-15/functions/{name}/response-streaming-invocations`
pub(crate) async fn invoke_with_response_stream(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let (function, payload) = read(&service, &name, body).await?;
    if invocation_type(&headers) == "DryRun" {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let answer = function.invoke(payload).await?;
    let content_type = match &answer {
        Answer::Stream {
            content_type: Some(content_type),
            ..
        } => content_type.clone(),
        _ => "application/octet-stream".to_owned(),
    };
    let headers = [
        ("x-amz-executed-version", "$LATEST"),
        ("x-amzn-remapped-content-type", &content_type),
        ("content-type", EVENT_STREAM),
    ];
    Ok((headers, Body::from_stream(events(answer))).into_response())
}

/// Returns the whole of an answer, put together if it comes bit by bit.
pub(crate) async fn whole(answer: Answer) -> Result<Bytes, FunctionError> {
    match answer {
        Answer::Whole(answer) => answer,
        Answer::Stream { mut parts, .. } => {
            let mut collected = Vec::new();
            while let Some(part) = parts.recv().await {
                collected.extend_from_slice(&part?);
            }
            Ok(collected.into())
        }
    }
}

async fn read(
    service: &Service,
    name: &str,
    body: Body,
) -> Result<(Arc<Function>, Bytes), Refusal> {
    let function = service.function(unqualified(name))?;
    Ok((Arc::clone(function), collect(body, EVENT_LIMIT).await?))
}

/// Returns the name alone of `name`, `name:alias`, or an ARN with or without an alias.
fn unqualified(name: &str) -> &str {
    let name = name.rsplit_once("function:").map_or(name, |(_, name)| name);
    name.split(':').next().unwrap_or(name)
}

fn invocation_type(headers: &HeaderMap) -> &str {
    let named = headers.get("x-amz-invocation-type");
    named
        .and_then(|named| named.to_str().ok())
        .unwrap_or("RequestResponse")
}

/// Returns the frames of an answer: its bits as they come, and that it is complete.
fn events(answer: Answer) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    let parts = match answer {
        Answer::Stream { parts, .. } => stream::unfold(parts, |mut parts: Parts| async {
            Some((parts.recv().await?, parts))
        })
        .left_stream(),
        Answer::Whole(answer) => stream::iter([answer]).right_stream(),
    };
    // The last is the end: an error, or what comes after all bits.
    parts
        .map(Some)
        .chain(stream::iter([None]))
        .scan(false, |has_failed, part| {
            let after_the_end = *has_failed;
            *has_failed |= matches!(part, Some(Err(_)));
            futures::future::ready((!after_the_end).then_some(part))
        })
        .map(|part| match part {
            Some(Ok(chunk)) => frame("PayloadChunk", "application/octet-stream", chunk),
            Some(Err(error)) => complete(json!({
                "ErrorCode": "Unhandled",
                "ErrorDetails": String::from_utf8_lossy(&error.document()),
            })),
            None => complete(json!({})),
        })
}

fn complete(document: Value) -> Result<Bytes, std::io::Error> {
    frame(
        "InvokeComplete",
        "application/json",
        document.to_string().into(),
    )
}

fn frame(event: &str, content_type: &str, payload: Bytes) -> Result<Bytes, std::io::Error> {
    let header = |name: &str, value: &str| {
        Header::new(
            name.to_owned(),
            HeaderValue::String(value.to_owned().into()),
        )
    };
    let message = Message::new(payload)
        .add_header(header(":event-type", event))
        .add_header(header(":content-type", content_type))
        .add_header(header(":message-type", "event"));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::unqualified;

    #[test]
    fn a_function_is_named_in_several_ways() {
        for name in [
            "f",
            "f:live",
            "arn:aws:lambda:us-east-1:000000000000:function:f",
            "arn:aws:lambda:us-east-1:000000000000:function:f:live",
            "000000000000:function:f",
        ] {
            assert_eq!(unqualified(name), "f");
        }
    }
}
