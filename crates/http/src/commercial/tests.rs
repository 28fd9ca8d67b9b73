use axum::{
    http::{StatusCode, header},
    response::IntoResponse,
};
use llmopt_providers::{
    ConnectionError, KeyUnavailable, LimitScope, Phase, ProviderText, Refusal as Refused,
};
use llmopt_storage::spend::RowKey;

use super::*;
use crate::problem::SHOULD_RETRY;

const SECRET: &str = "your prompt was: hunter2";

/// A refusal whose words repeat the prompt.
fn refused() -> Box<Refused> {
    Box::new(Refused {
        status: 400,
        said: ProviderText::new(SECRET.to_owned()),
        retry_after: Some(Duration::from_millis(2_100)),
        ..Refused::default()
    })
}

fn asked(source: ProviderError) -> CommercialError {
    CommercialError::Provider {
        provider: "openai".to_owned(),
        attempts: 3,
        source: Box::new(source),
    }
}

fn timed_out() -> ProviderError {
    ProviderError::Timeout {
        phase: Phase::Idle,
        limit: Duration::from_secs(60),
    }
}

fn unavailable() -> StorageError {
    StorageError::Unavailable {
        operation: "take",
        subject: "budgets".to_owned(),
        source: "busy".into(),
    }
}

fn row() -> RowKey {
    RowKey {
        scope: "key/abc".to_owned().try_into().unwrap(),
        window: "2026-11-26".to_owned(),
    }
}

fn request() -> RequestId {
    "r1".to_owned().try_into().unwrap()
}

/// Returns the status of a problem, its `retry-after` and its `x-should-retry`.
fn headers(problem: Problem) -> (StatusCode, Option<String>, Option<String>) {
    let response = problem.into_response();
    let header = |name| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    (
        response.status(),
        header(header::RETRY_AFTER),
        header(SHOULD_RETRY),
    )
}

#[test]
fn each_failure_of_a_provider_is_told_as_what_it_is_and_not_to_be_tried_at_once() {
    let no_key = KeyUnavailable::new("the key is empty");
    let cases = [
        (
            ProviderError::RateLimited {
                scope: LimitScope::Requests,
                refusal: refused(),
            },
            "provider_rate_limited",
            429,
        ),
        (
            ProviderError::QuotaExhausted(refused()),
            "provider_quota_exhausted",
            503,
        ),
        (
            ProviderError::Overloaded(refused()),
            "provider_unavailable",
            503,
        ),
        (
            ProviderError::Authentication(refused()),
            "provider_key_refused",
            502,
        ),
        (
            ProviderError::Permission(refused()),
            "provider_key_refused",
            502,
        ),
        (ProviderError::Key(no_key), "provider_key_refused", 502),
        (
            ProviderError::NotFound {
                model: "gpt-9".to_owned(),
                refusal: refused(),
            },
            "model_not_found",
            404,
        ),
        (
            ProviderError::Invalid(refused()),
            "provider_rejected_request",
            422,
        ),
        (
            ProviderError::TooLarge(refused()),
            "provider_rejected_request",
            422,
        ),
        (
            ProviderError::Unsendable {
                place: "messages[1]".to_owned(),
                problem: "expected text",
            },
            "provider_rejected_request",
            422,
        ),
        (ProviderError::Server(refused()), "provider_failed", 502),
        (
            ProviderError::Connection(ConnectionError::Ended),
            "provider_failed",
            502,
        ),
        (
            ProviderError::Protocol("no JSON".to_owned()),
            "provider_failed",
            502,
        ),
        (timed_out(), "provider_timeout", 504),
        (
            ProviderError::Interrupted {
                cause: Box::new(timed_out()),
                usage: None,
            },
            "provider_timeout",
            504,
        ),
    ];
    for (error, code, status) in cases {
        let words = error.to_string();
        let problem = Problem::from(asked(error));
        let shown = problem.to_json(None);
        assert_eq!(shown["code"], code, "{words}");
        let detail = shown["detail"].as_str().unwrap();
        assert!(detail.contains("openai"), "{detail}");
        assert!(detail.contains(&words), "{detail}");
        let (found, _, should_retry) = headers(problem);
        assert_eq!(found.as_u16(), status, "{words}");
        assert_eq!(should_retry.as_deref(), Some("false"), "{words}");
    }
}

#[test]
fn a_providers_words_are_told_where_they_say_what_to_mend_and_nowhere_else() {
    let detail = |error| Problem::from(asked(error)).to_json(None)["detail"].to_string();
    assert!(detail(ProviderError::Invalid(refused())).contains(SECRET));
    assert!(detail(ProviderError::TooLarge(refused())).contains(SECRET));
    for error in [
        ProviderError::Server(refused()),
        ProviderError::Overloaded(refused()),
        ProviderError::Authentication(refused()),
        ProviderError::QuotaExhausted(refused()),
    ] {
        let detail = detail(error);
        assert!(!detail.contains("hunter2"), "{detail}");
    }
}

#[test]
fn a_wait_is_told_in_whole_seconds_that_are_enough() {
    let limited = CommercialError::Limited {
        provider: "openai".to_owned(),
        limit: "60 requests a minute".to_owned(),
        wait: Duration::from_millis(3_001),
    };
    let problem = Problem::from(limited);
    assert_eq!(problem.code(), Code::ProviderLimitReached);
    assert_eq!(problem.to_json(None)["retry_after_seconds"], 4);
    let four = Some("4".to_owned());
    assert_eq!(
        headers(problem),
        (StatusCode::TOO_MANY_REQUESTS, four, None)
    );

    let wait = Duration::from_millis(900);
    let of_key = CommercialError::KeyLimited { limit: 5, wait };
    let problem = Problem::from(of_key);
    assert_eq!(problem.code(), Code::TooManyRequests);
    let one = Some("1".to_owned());
    assert_eq!(headers(problem), (StatusCode::TOO_MANY_REQUESTS, one, None));

    let open = CommercialError::CircuitOpen {
        provider: "openai".to_owned(),
        retry_after: Duration::from_secs(5),
    };
    let five = Some("5".to_owned());
    assert_eq!(
        headers(open.into()),
        (StatusCode::SERVICE_UNAVAILABLE, five, None)
    );

    // The provider's own wait is told, and still no client is to try at once.
    let limited = asked(ProviderError::RateLimited {
        scope: LimitScope::Tokens,
        refusal: refused(),
    });
    let (_, after, should_retry) = headers(limited.into());
    assert_eq!(after.as_deref(), Some("3"));
    assert_eq!(should_retry.as_deref(), Some("false"));
}

#[test]
fn a_budget_that_has_too_little_is_told_with_everything_that_is_known_of_it() {
    let error = CommercialError::Budget {
        bound: Picodollars::new(3_000_000).unwrap(),
        refusal: Box::new(Refusal {
            row: row(),
            available: -5,
            limit: Picodollars::dollars(1).unwrap(),
            resets_ms: Some(1_795_737_600_000),
        }),
    };
    let problem = Problem::from(error);
    let shown = problem.to_json(None);
    assert_eq!(shown["code"], "budget_exceeded");
    let budget = serde_json::json!({
        "scope": "key/abc",
        "window": "2026-11-26",
        "limit_picodollars": 1_000_000_000_000_u64,
        "available_picodollars": -5,
        "needed_picodollars": 3_000_000,
        "resets_at": "2026-11-27T00:00:00Z",
    });
    assert_eq!(shown["budget"], budget);
    let detail = shown["detail"].as_str().unwrap();
    assert!(
        detail.contains("wait until 2026-11-27T00:00:00Z"),
        "{detail}"
    );
    let (status, after, should_retry) = headers(problem);
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!((after, should_retry.as_deref()), (None, Some("false")));
}

#[test]
fn what_keeps_a_question_from_being_asked_says_who_can_mend_it() {
    let model = || "gpt-9".to_owned();
    let cost = |source| CommercialError::Cost {
        model: model(),
        source,
    };
    let spending = |error| CommercialError::Spending(error);
    let cases = [
        (
            CommercialError::UnknownModel { model: model() },
            "model_not_found",
            404,
        ),
        (
            CommercialError::NoAnswers { model: model() },
            "model_not_found",
            404,
        ),
        (
            CommercialError::NotConfigured {
                model: model(),
                provider: "openai".to_owned(),
            },
            "provider_not_configured",
            409,
        ),
        (
            CommercialError::NoPrice { model: model() },
            "model_without_price",
            422,
        ),
        (
            CommercialError::Retired {
                model: model(),
                since: "2026-10-23".parse().unwrap(),
                replacement: Some("gpt-10".to_owned()),
            },
            "model_retired",
            410,
        ),
        (
            cost(CostError::NoTerms { terms: "flex" }),
            "model_without_price",
            422,
        ),
        (cost(CostError::TooMuch), "validation_failed", 422),
        (
            CommercialError::OverTokenLimit {
                of: "openai".to_owned(),
                wanted: 9,
                limit: 8,
            },
            "validation_failed",
            422,
        ),
        (CommercialError::Repeated, "internal", 500),
        (CommercialError::Lost, "internal", 500),
        (
            CommercialError::Rates(unavailable()),
            "store_unavailable",
            503,
        ),
        (
            spending(SpendingError::Storage(unavailable())),
            "store_unavailable",
            503,
        ),
        (
            spending(SpendingError::Crowded { row: row() }),
            "too_many_requests",
            429,
        ),
        (
            spending(SpendingError::Unsteady { row: row() }),
            "too_many_requests",
            429,
        ),
        (
            spending(SpendingError::Gone { request: request() }),
            "internal",
            500,
        ),
    ];
    for (error, code, status) in cases {
        let problem = Problem::from(error);
        assert_eq!(problem.to_json(None)["code"], code);
        let (found, after, _) = headers(problem);
        assert_eq!(found.as_u16(), status, "{code}");
        // Whoever is told to come again is told when.
        assert_eq!(after.is_some(), status == 429, "{code}");
    }
}

#[test]
fn no_two_requests_are_billed_under_one_name() {
    let (one, other) = (billed_request().unwrap(), billed_request().unwrap());
    assert_ne!(one, other);
    assert_eq!(one.as_str().len(), "req_".len() + 32);
}
