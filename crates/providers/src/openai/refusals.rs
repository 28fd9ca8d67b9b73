//! What OpenAI's errors mean, and those of servers that speak its API.

use serde_json::Value;

use crate::{LimitScope, ProviderError, Refusal, endpoint::words};

/// Codes of an account that has nothing left: waiting does not help.
const NO_QUOTA: [&str; 7] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_usage_limit_exceeded",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
];
/// Codes of turns that are too long; the second is llama.cpp's.
const TOO_LONG: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];
/// Codes of a provider that has too much to do; the last is llama.cpp's while it loads a model.
const OVERLOADED: [&str; 4] = [
    "overloaded_error",
    "server_overloaded",
    "engine_overloaded",
    "unavailable_error",
];

/// Reads `{"error": {"message", "type", "param", "code"}}`; servers also send the error without the envelope,
/// as a text, or under `detail`, and a number as the code.
pub(crate) fn describe(refusal: &mut Refusal, body: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let error = body
        .get("error")
        .filter(|it| !it.is_null())
        .unwrap_or(&body);
    let said = [error, &error["message"], &error["detail"]];
    refusal.said = said
        .into_iter()
        .find(|it| it.is_string())
        .map(words)
        .unwrap_or_default();
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    refusal.kind = text("type").unwrap_or_default();
    refusal.param = text("param");
    refusal.code = text("code").or_else(|| error["code"].as_u64().map(|code| code.to_string()));
}

/// Tells what can be done about a refusal.
pub(crate) fn classify(refusal: Refusal, model: &str) -> ProviderError {
    let model = model.to_owned();
    let refusal = Box::new(refusal);
    let is_any = |names: &[&str]| {
        let code = refusal.code.as_deref().unwrap_or_default();
        names.contains(&code) || names.contains(&refusal.kind.as_str())
    };
    if is_any(&NO_QUOTA) {
        return ProviderError::QuotaExhausted(refusal);
    }
    if is_any(&TOO_LONG) {
        return ProviderError::TooLarge(refusal);
    }
    if is_any(&OVERLOADED) {
        return ProviderError::Overloaded(refusal);
    }
    if is_any(&["model_not_found"]) {
        return ProviderError::NotFound { model, refusal };
    }
    match meant_status(&refusal) {
        401 => ProviderError::Authentication(refusal),
        402 => ProviderError::QuotaExhausted(refusal),
        403 => ProviderError::Permission(refusal),
        404 => ProviderError::NotFound { model, refusal },
        413 => ProviderError::TooLarge(refusal),
        429 => ProviderError::RateLimited {
            scope: scope(&refusal),
            refusal,
        },
        503 | 529 => ProviderError::Overloaded(refusal),
        // Two requests at once, or a slow one: these may work another time.
        408 | 409 | 425 => ProviderError::Server(refusal),
        400..=499 => ProviderError::Invalid(refusal),
        _ => ProviderError::Server(refusal),
    }
}

/// Returns the status that an error has, or would have if it came before the head was sent.
fn meant_status(refusal: &Refusal) -> u16 {
    if refusal.status >= 400 {
        return refusal.status;
    }
    let code = refusal.code.as_deref().unwrap_or_default();
    match (code, refusal.kind.as_str()) {
        ("rate_limit_exceeded" | "slow_down", _) | (_, "rate_limit_error") => 429,
        ("invalid_api_key", _) | (_, "authentication_error") => 401,
        (_, "permission_error") => 403,
        (_, "not_found_error") => 404,
        (code, "invalid_request_error") => code.parse().unwrap_or(400),
        (code, _) => code.parse().unwrap_or(500),
    }
}

/// Returns what there was too much of: OpenAI says so in the kind of the error.
fn scope(refusal: &Refusal) -> LimitScope {
    match refusal.kind.as_str() {
        "tokens" => LimitScope::Tokens,
        "requests" => LimitScope::Requests,
        _ if refusal.rate.tokens.is_exhausted() => LimitScope::Tokens,
        _ if refusal.rate.requests.is_exhausted() => LimitScope::Requests,
        _ => LimitScope::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: u16, body: &Value) -> ProviderError {
        let mut refusal = Refusal {
            status,
            ..Refusal::default()
        };
        describe(&mut refusal, body.to_string().as_bytes());
        classify(refusal, "gpt-x")
    }

    fn name(error: &ProviderError) -> &'static str {
        crate::testing::variant(error)
    }

    #[test]
    fn every_status_and_code_says_what_can_be_done() {
        let envelope = |kind: &str, code: Value| json!({"error": {"message": "m", "type": kind, "param": null, "code": code}});
        let none = Value::Null;
        let table = [
            (
                400,
                envelope("invalid_request_error", none.clone()),
                "Invalid",
                false,
            ),
            (
                400,
                envelope("invalid_request_error", json!("context_length_exceeded")),
                "TooLarge",
                false,
            ),
            (
                400,
                envelope("invalid_request_error", json!("model_not_found")),
                "NotFound",
                false,
            ),
            (
                400,
                envelope("exceed_context_size_error", json!(400)),
                "TooLarge",
                false,
            ),
            (
                400,
                envelope("BadRequestError", json!(400)),
                "Invalid",
                false,
            ),
            (
                401,
                envelope("invalid_request_error", json!("invalid_api_key")),
                "Authentication",
                false,
            ),
            (402, envelope("", none.clone()), "QuotaExhausted", false),
            (
                403,
                envelope("", json!("unsupported_country_region_territory")),
                "Permission",
                false,
            ),
            (
                404,
                envelope("invalid_request_error", json!("model_not_found")),
                "NotFound",
                false,
            ),
            (404, none.clone(), "NotFound", false),
            (405, none.clone(), "Invalid", false),
            (408, none.clone(), "Server", true),
            (409, none.clone(), "Server", true),
            (413, none.clone(), "TooLarge", false),
            (422, none.clone(), "Invalid", false),
            (425, none.clone(), "Server", true),
            (
                429,
                envelope("requests", json!("rate_limit_exceeded")),
                "RateLimited",
                true,
            ),
            (
                429,
                envelope("requests", json!("slow_down")),
                "RateLimited",
                true,
            ),
            (429, none.clone(), "RateLimited", true),
            (
                429,
                envelope("insufficient_quota", json!("insufficient_quota")),
                "QuotaExhausted",
                false,
            ),
            (
                429,
                envelope("insufficient_quota", json!("credit_balance_exhausted")),
                "QuotaExhausted",
                false,
            ),
            (
                429,
                envelope("insufficient_quota", none.clone()),
                "QuotaExhausted",
                false,
            ),
            (
                429,
                envelope("", json!("project_spend_limit_exceeded")),
                "QuotaExhausted",
                false,
            ),
            (
                429,
                envelope("", json!("organization_spend_limit_exceeded")),
                "QuotaExhausted",
                false,
            ),
            (500, envelope("server_error", none.clone()), "Server", true),
            (500, none.clone(), "Server", true),
            (501, none.clone(), "Server", false),
            (502, none.clone(), "Server", true),
            (
                503,
                envelope("unavailable_error", json!(503)),
                "Overloaded",
                true,
            ),
            (503, none.clone(), "Overloaded", true),
            (504, none.clone(), "Server", true),
            (524, none.clone(), "Server", true),
            (529, none.clone(), "Overloaded", true),
            // After the head.
            (200, envelope("server_error", none.clone()), "Server", true),
            (
                200,
                envelope("requests", json!("rate_limit_exceeded")),
                "RateLimited",
                true,
            ),
            (
                200,
                envelope("insufficient_quota", none.clone()),
                "QuotaExhausted",
                false,
            ),
            (
                200,
                envelope("BadRequestError", json!(400)),
                "Invalid",
                false,
            ),
            (
                200,
                envelope("InternalServerError", json!(500)),
                "Server",
                true,
            ),
            (200, envelope("overloaded_error", none), "Overloaded", true),
        ];
        for (status, body, expected, retryable) in table {
            let error = refused(status, &body);
            assert_eq!(name(&error), expected, "{status} {body}");
            assert_eq!(
                error.is_retryable_before_first_byte(),
                retryable,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_limit_says_of_what_it_is() {
        let scope_of = |kind: &str| match refused(429, &json!({"error": {"type": kind}})) {
            ProviderError::RateLimited { scope, .. } => scope,
            other => panic!("{other:?}"),
        };
        assert_eq!(scope_of("tokens"), LimitScope::Tokens);
        assert_eq!(scope_of("requests"), LimitScope::Requests);
        assert_eq!(scope_of(""), LimitScope::Unknown);
    }

    #[test]
    fn errors_of_other_servers_are_understood() {
        let cases = [
            json!({"error": {"message": "no", "code": 400}}),
            json!({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}),
            json!({"error": "no"}),
            json!({"detail": "no"}),
        ];
        for body in cases {
            let error = refused(400, &body);
            assert_eq!(error.refusal().unwrap().said.as_str(), "no", "{body}");
            assert!(!format!("{error:?} {error}").contains("no\""));
        }
        let html = {
            let mut refusal = Refusal::default();
            describe(&mut refusal, b"<html>");
            refusal
        };
        assert_eq!(html, Refusal::default());
    }
}
