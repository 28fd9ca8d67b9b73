//! The errors of both APIs.

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};
use serde_json::{Value, json};

use crate::{Api, Fault};

/// An error that a request is answered with.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Refusal {
    /// Refuses a request that is wrong at `param`.
    pub(crate) fn invalid(api: Api, param: &str, message: &str) -> Self {
        let body = match api {
            Api::Openai => openai(message, "invalid_request_error", Some(param), None),
            Api::Anthropic => anthropic(
                &format!("{param}: {message}"),
                "invalid_request_error",
                None,
            ),
        };
        Self::json(400, &body)
    }

    /// Refuses a key that is not there.
    pub(crate) fn no_key(api: Api) -> Self {
        Self::json(401, &body_of_status(api, 401))
    }

    /// Says that there is no such model.
    pub(crate) fn no_model(api: Api, model: &str) -> Self {
        let message =
            format!("The model `{model}` does not exist or you do not have access to it.");
        let body = match api {
            Api::Openai => openai(
                &message,
                "invalid_request_error",
                None,
                Some("model_not_found"),
            ),
            Api::Anthropic => anthropic(&format!("model: {model}"), "not_found_error", None),
        };
        Self::json(404, &body)
    }

    /// Returns the refusal that a fault is, if it is one.
    pub(crate) fn of_fault(api: Api, fault: &Fault) -> Option<Self> {
        match fault {
            Fault::RateLimited { retry_after } => {
                let mut refusal = Self::json(429, &body_of_status(api, 429));
                let header = |value: &String| ("retry-after".to_owned(), value.clone());
                refusal.headers.extend(retry_after.as_ref().map(header));
                Some(refusal)
            }
            Fault::QuotaExhausted => Some(Self::json(429, &no_quota(api))),
            Fault::Status { status } => Some(Self::json(*status, &body_of_status(api, *status))),
            Fault::Raw {
                status,
                headers,
                body,
            } => Some(Self {
                status: *status,
                headers: headers.clone(),
                body: body.clone(),
            }),
            Fault::ContentType { .. }
            | Fault::CutAfter { .. }
            | Fault::BreakAfter { .. }
            | Fault::EndAfter { .. }
            | Fault::ErrorAfter { .. }
            | Fault::StallAfter { .. }
            | Fault::MalformedAfter { .. }
            | Fault::HugeLine { .. }
            | Fault::NoUsage => None,
        }
    }

    fn json(status: u16, body: &Value) -> Self {
        let content_type = (header::CONTENT_TYPE.as_str(), "application/json");
        Self {
            status,
            headers: vec![(content_type.0.to_owned(), content_type.1.to_owned())],
            body: body.to_string(),
        }
    }

    /// Makes the response, with the headers that all have.
    pub(crate) fn response(self, mut headers: Vec<(String, String)>) -> Response<Body> {
        headers.extend(self.headers);
        respond(self.status, &headers, Body::from(self.body))
    }
}

/// Makes a response; headers that cannot be sent are left out.
pub(crate) fn respond(status: u16, headers: &[(String, String)], body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn openai(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

fn anthropic(message: &str, kind: &str, code: Option<&str>) -> Value {
    let mut error = json!({"type": kind, "message": message});
    if let Some(code) = code {
        error["details"] = json!({"error_code": code});
    }
    json!({"type": "error", "error": error, "request_id": "req_mock"})
}

fn no_quota(api: Api) -> Value {
    let code = Some("insufficient_quota");
    match api {
        Api::Openai => openai(
            "You exceeded your current quota.",
            "insufficient_quota",
            None,
            code,
        ),
        Api::Anthropic => anthropic(
            "You have reached the monthly API usage threshold of your tier.",
            "rate_limit_error",
            Some("enforced_spend_limit_reached"),
        ),
    }
}

/// Returns what stands in a stream in place of the rest.
pub(crate) fn error_in_stream(api: Api) -> Value {
    match api {
        Api::Openai => openai(
            "The server had an error while processing your request.",
            "server_error",
            None,
            None,
        ),
        Api::Anthropic => anthropic("Overloaded", "overloaded_error", None),
    }
}

fn body_of_status(api: Api, status: u16) -> Value {
    match api {
        Api::Openai => {
            let (kind, code) = openai_kind(status);
            openai("A mock failed as it was told to.", kind, None, code)
        }
        Api::Anthropic => anthropic(
            "A mock failed as it was told to.",
            anthropic_kind(status),
            None,
        ),
    }
}

fn openai_kind(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        500..=599 => ("server_error", None),
        _ => ("invalid_request_error", None),
    }
}

fn anthropic_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    }
}
