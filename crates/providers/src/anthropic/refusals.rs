//! What Anthropic's errors mean.

use serde_json::Value;

use crate::{LimitScope, ProviderError, Refusal, ShouldRetry, endpoint::words};

/// Codes of an account that has nothing left: waiting does not help.
const NO_QUOTA: [&str; 4] = [
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "linked_organization_spend_limit_reached",
    "linked_organization_billing_unavailable",
];

/// How the message of an invalid request begins that is a limit of spending, which the user set (documented),
/// or a balance of nothing: these have no code of their own.
const NO_QUOTA_MESSAGES: [&str; 3] = [
    "You have reached your specified API usage limits",
    "You have reached your specified workspace API usage limits",
    "Your credit balance is too low",
];

/// Reads `{"type": "error", "error": {"type", "message", "details": {"error_code"}}}`.
pub(crate) fn describe(refusal: &mut Refusal, body: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let error = &body["error"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    refusal.kind = text(&error["type"]).unwrap_or_default();
    refusal.code = text(&error["details"]["error_code"]);
    refusal.said = words(&error["message"]);
    if refusal.request_id.is_none() {
        refusal.request_id = text(&body["request_id"]);
    }
}

/// Tells what can be done about a refusal.
pub(crate) fn classify(refusal: Refusal, model: &str) -> ProviderError {
    let model = model.to_owned();
    let refusal = Box::new(refusal);
    if is_quota(&refusal) {
        return ProviderError::QuotaExhausted(refusal);
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
        408 | 409 | 425 => ProviderError::Server(refusal),
        400..=499 if refusal.said.as_str().starts_with("prompt is too long") => {
            ProviderError::TooLarge(refusal)
        }
        400..=499 => ProviderError::Invalid(refusal),
        _ => ProviderError::Server(refusal),
    }
}

/// Returns whether an account has nothing left. A limit of rates says when to come again; where no header does,
/// and no rate is used up, it is a limit of spending from before these had codes.
fn is_quota(refusal: &Refusal) -> bool {
    let code = refusal.code.as_deref().unwrap_or_default();
    let said = refusal.said.as_str();
    let is_invalid = refusal.kind == "invalid_request_error";
    let has_no_end = refusal.status == 429
        && refusal.kind == "rate_limit_error"
        && refusal.retry_after.is_none()
        && refusal.should_retry != Some(ShouldRetry::Yes)
        && !refusal.rate.is_exhausted();
    NO_QUOTA.contains(&code)
        || has_no_end
        || is_invalid && NO_QUOTA_MESSAGES.iter().any(|it| said.starts_with(it))
}

/// Returns the status of a kind of error, which is the same before and after the head; that of the response for
/// a kind that is not known.
fn meant_status(refusal: &Refusal) -> u16 {
    match refusal.kind.as_str() {
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "conflict_error" => 409,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        "api_error" => 500,
        // It stands for other statuses too.
        "invalid_request_error" => refusal.status.max(400),
        _ => refusal.status,
    }
}

fn scope(refusal: &Refusal) -> LimitScope {
    let rate = &refusal.rate;
    let tokens = [rate.tokens, rate.input_tokens, rate.output_tokens];
    if rate.requests.is_exhausted() {
        LimitScope::Requests
    } else if tokens.iter().any(|state| state.is_exhausted()) {
        LimitScope::Tokens
    } else {
        LimitScope::Unknown
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{RateState, testing::variant};

    fn refused(mut refusal: Refusal, body: &Value) -> ProviderError {
        describe(&mut refusal, body.to_string().as_bytes());
        classify(refusal, "claude-x")
    }

    fn of_status(status: u16) -> Refusal {
        Refusal {
            status,
            retry_after: Some(Duration::from_secs(1)),
            ..Refusal::default()
        }
    }

    #[test]
    fn every_status_and_kind_says_what_can_be_done() {
        let table = [
            (400, "invalid_request_error", "Invalid", false),
            (401, "authentication_error", "Authentication", false),
            (402, "billing_error", "QuotaExhausted", false),
            (403, "permission_error", "Permission", false),
            (404, "not_found_error", "NotFound", false),
            (405, "invalid_request_error", "Invalid", false),
            (408, "", "Server", true),
            (409, "conflict_error", "Server", true),
            (413, "request_too_large", "TooLarge", false),
            (422, "", "Invalid", false),
            (429, "rate_limit_error", "RateLimited", true),
            (500, "api_error", "Server", true),
            (500, "", "Server", true),
            (502, "", "Server", true),
            (503, "", "Overloaded", true),
            (504, "timeout_error", "Server", true),
            (529, "overloaded_error", "Overloaded", true),
            (529, "", "Overloaded", true),
            // After the head.
            (200, "overloaded_error", "Overloaded", true),
            (200, "rate_limit_error", "RateLimited", true),
            (200, "api_error", "Server", true),
            (200, "timeout_error", "Server", true),
            (200, "invalid_request_error", "Invalid", false),
            (200, "authentication_error", "Authentication", false),
            (200, "something_new", "Server", true),
        ];
        for (status, kind, expected, retryable) in table {
            let body = json!({"type": "error", "error": {"type": kind, "message": "m"}});
            let error = refused(of_status(status), &body);
            assert_eq!(variant(&error), expected, "{status} {kind}");
            assert_eq!(
                error.is_retryable_before_first_byte(),
                retryable,
                "{status} {kind}"
            );
        }
    }

    #[test]
    fn a_limit_of_spending_is_not_a_limit_of_rates() {
        let body = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "m"}});
        let bare = Refusal {
            status: 429,
            ..Refusal::default()
        };
        assert_eq!(variant(&refused(bare.clone(), &body)), "QuotaExhausted");
        let told_to_retry = Refusal {
            should_retry: Some(ShouldRetry::Yes),
            ..bare.clone()
        };
        assert_eq!(variant(&refused(told_to_retry, &body)), "RateLimited");
        let mut used_up = bare;
        used_up.rate.input_tokens = RateState {
            remaining: Some(0),
            ..RateState::default()
        };
        let error = refused(used_up, &body);
        let ProviderError::RateLimited { scope, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(scope, LimitScope::Tokens);
        let details = json!({"error_code": "enforced_spend_limit_reached"});
        let coded =
            json!({"error": {"type": "rate_limit_error", "message": "m", "details": details}});
        assert_eq!(variant(&refused(of_status(429), &coded)), "QuotaExhausted");
        let ramp = json!({"error": {"type": "rate_limit_error", "details": {"error_code": "ramp_limit_exceeded"}}});
        assert_eq!(variant(&refused(of_status(429), &ramp)), "RateLimited");
    }

    #[test]
    fn some_invalid_requests_are_of_another_kind() {
        let of_message = |message: &str| {
            let body = json!({"error": {"type": "invalid_request_error", "message": message}});
            refused(of_status(400), &body)
        };
        for message in NO_QUOTA_MESSAGES {
            let error = of_message(&format!("{message}. More."));
            assert_eq!(variant(&error), "QuotaExhausted");
        }
        let long = of_message("prompt is too long: 210000 tokens > 200000 maximum");
        assert_eq!(variant(&long), "TooLarge");
    }

    #[test]
    fn the_id_of_a_request_is_also_in_the_body() {
        let body = json!({"error": {"type": "api_error"}, "request_id": "req_1"});
        let error = refused(of_status(500), &body);
        let id = error.refusal().unwrap().request_id.as_deref();
        assert_eq!(id, Some("req_1"));
    }
}
