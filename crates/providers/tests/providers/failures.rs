use std::time::Duration;

use llmopt_domain::error_chain;
use llmopt_provider_mock::{Behaviour, Fault, Mock};
use llmopt_providers::{Outcome, Phase, ProviderError, ShouldRetry};

use crate::setup::{
    ALL, Kind, Place, SECRET, provider, question, said, settings, short, variant, whole_question,
};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);
/// Longer than any test runs.
const NEVER_MS: u64 = 3_600_000;

#[tokio::test]
async fn a_refusal_says_what_can_be_done() {
    let limited = |retry_after: Option<&str>| Fault::RateLimited {
        retry_after: retry_after.map(str::to_owned),
    };
    let cases = [
        (limited(Some("7")), "RateLimited", true),
        (Fault::QuotaExhausted, "QuotaExhausted", false),
        (Fault::Status { status: 400 }, "Invalid", false),
        (Fault::Status { status: 401 }, "Authentication", false),
        (Fault::Status { status: 403 }, "Permission", false),
        (Fault::Status { status: 404 }, "NotFound", false),
        (Fault::Status { status: 413 }, "TooLarge", false),
        (Fault::Status { status: 500 }, "Server", true),
        (Fault::Status { status: 529 }, "Overloaded", true),
    ];
    for kind in ALL {
        let place = Place::new(kind).await;
        for (fault, expected, retryable) in cases.clone() {
            let error = place.fail(fault.clone()).await;
            assert_eq!(variant(&error), expected, "{kind:?} {fault:?}");
            assert_eq!(
                error.is_retryable_before_first_byte(),
                retryable,
                "{fault:?}"
            );
            let refusal = error.refusal().unwrap();
            assert_eq!(refusal.request_id.as_deref(), Some("req_mock"));
            assert!(!refusal.said.as_str().is_empty());
            assert!(!format!("{error:?} {error}").contains(refusal.said.as_str()));
        }
        let error = place.fail(limited(Some("7"))).await;
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn a_limit_without_a_time_is_one_of_rates_or_of_spending() {
    let fault = Fault::RateLimited { retry_after: None };
    let openai = Place::new(Kind::OpenAi).await.fail(fault.clone()).await;
    assert_eq!(variant(&openai), "RateLimited");
    let anthropic = Place::new(Kind::Anthropic).await.fail(fault).await;
    assert_eq!(variant(&anthropic), "QuotaExhausted");
}

#[tokio::test]
async fn a_server_may_say_not_to_ask_again() {
    let place = Place::new(Kind::OpenAi).await;
    let error = place
        .fail(Fault::Raw {
            status: 500,
            headers: vec![("x-should-retry".to_owned(), "false".to_owned())],
            body: String::new(),
        })
        .await;
    assert_eq!(error.refusal().unwrap().should_retry, Some(ShouldRetry::No));
    assert!(!error.is_retryable_before_first_byte());
}

#[tokio::test]
async fn an_error_in_a_stream_is_one_of_the_call_until_something_was_said() {
    for kind in ALL {
        let place = Place::new(kind).await;
        // The first events say nothing.
        let silent = match kind {
            Kind::OpenAi => 1,
            Kind::Responses => 4,
            Kind::Anthropic => 3,
        };
        let error = place.fail(Fault::ErrorAfter { events: silent }).await;
        assert!(error.is_retryable_before_first_byte(), "{kind:?} {error:?}");
        assert!(error.refusal().is_some());

        let fault = Fault::ErrorAfter { events: silent + 2 };
        place.mock.next(Behaviour::failing(fault));
        let said = said(place.provider.complete(&question()).await.unwrap()).await;
        assert_eq!(said.text, "You said: ");
        let error = said.error.unwrap();
        let ProviderError::Interrupted { cause, usage } = &error else {
            panic!("{error:?}");
        };
        assert!(cause.is_retryable_before_first_byte());
        assert!(!error.is_retryable_before_first_byte());
        assert_eq!(usage.is_some(), kind == Kind::Anthropic);
        assert_eq!(Outcome::from(&error), Outcome::Fault);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_never_taken_for_whole() {
    for kind in ALL {
        let place = Place::new(kind).await;
        place.ask(&question()).await;
        let mut cuts = [0, 0, 0];
        // Every byte of the head of the stream, and some of the rest.
        let rest = match kind {
            Kind::OpenAi | Kind::Anthropic => (300..900).step_by(23),
            Kind::Responses => (300..3_600).step_by(61),
        };
        for bytes in (0..300).chain(rest) {
            place
                .mock
                .next(Behaviour::failing(Fault::CutAfter { bytes }));
            let error = match place.provider.complete(&question()).await {
                Err(error) => {
                    cuts[0] += 1;
                    assert!(error.is_retryable_before_first_byte(), "{error:?}");
                    continue;
                }
                Ok(completion) => said(completion).await.error,
            };
            let error = error.unwrap_or_else(|| panic!("{kind:?} was whole after {bytes} bytes"));
            assert_eq!(variant(&error), "Interrupted");
            cuts[1] += 1;
        }
        for events in 0..5 {
            place
                .mock
                .next(Behaviour::failing(Fault::EndAfter { events }));
            let error = match place.provider.complete(&question()).await {
                Err(error) => Some(error),
                Ok(completion) => said(completion).await.error,
            };
            assert!(error.is_some(), "{kind:?} was whole after {events} events");
            cuts[2] += 1;
        }
        assert!(cuts.iter().all(|cut| *cut > 0), "{cuts:?}");
        place
            .mock
            .next(Behaviour::failing(Fault::CutAfter { bytes: 50 }));
        let whole = place.provider.complete(&whole_question()).await;
        assert_eq!(variant(&whole.unwrap_err()), "Connection");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_said_to_be_none() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let value = "text/html".to_owned();
        let html = place.fail(Fault::ContentType { value }).await;
        let expected = "expected content of type `text/event-stream`, found `text/html`";
        assert!(html.to_string().contains(expected), "{html}");
        assert!(!html.is_retryable_before_first_byte());

        let broken = place.fail(Fault::MalformedAfter { events: 0 }).await;
        assert!(
            broken.to_string().contains("JSON that is cut off"),
            "{broken}"
        );

        place
            .mock
            .next(Behaviour::failing(Fault::MalformedAfter { events: 0 }));
        let whole = place
            .provider
            .complete(&whole_question())
            .await
            .unwrap_err();
        assert!(
            whole
                .to_string()
                .contains("the answer is JSON that is cut off"),
            "{whole}"
        );

        let redirect = Fault::Raw {
            status: 307,
            headers: vec![("location".to_owned(), "http://127.0.0.1:1/".to_owned())],
            body: String::new(),
        };
        let redirect = place.fail(redirect).await;
        assert!(redirect.to_string().contains("status 307"), "{redirect}");
    }
}

#[tokio::test]
async fn a_line_without_end_is_given_up() {
    let place = Place::new(Kind::OpenAi).await;
    let error = place.fail(Fault::HugeLine { bytes: 5 << 20 }).await;
    assert!(
        error.to_string().contains("more than 4194304 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn each_wait_has_its_limit() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let slow_head = Behaviour {
            head_ms: NEVER_MS,
            ..Behaviour::default()
        };
        let slow_events = Behaviour {
            event_ms: NEVER_MS,
            ..Behaviour::default()
        };
        let cases = [
            (&slow_head, short(SHORT, LONG, LONG), Phase::FirstByte),
            (&slow_events, short(SHORT, LONG, LONG), Phase::FirstByte),
            (&slow_head, short(LONG, LONG, SHORT), Phase::Total),
        ];
        for (behaviour, request, expected) in cases {
            place.mock.next(behaviour.clone());
            let error = place.provider.complete(&request).await.unwrap_err();
            let ProviderError::Timeout { phase, limit } = error else {
                panic!("{error:?}");
            };
            assert_eq!((phase, limit), (expected, SHORT), "{kind:?}");
            assert_eq!(
                error.is_retryable_before_first_byte(),
                phase != Phase::Total
            );
        }
        let mut whole = short(SHORT, SHORT, Duration::from_millis(300));
        whole.delivery = llmopt_providers::Delivery::Whole;
        place.mock.next(slow_head);
        let error = place.provider.complete(&whole).await.unwrap_err();
        assert!(
            matches!(
                error,
                ProviderError::Timeout {
                    phase: Phase::Total,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_does_not_go_on_is_given_up() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = connection.read(&mut request).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let event = r#"data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}"#;
        let text = format!("{head}{event}\n\n");
        connection.write_all(text.as_bytes()).await.unwrap();
        // Until the client closes the connection.
        let _ = connection.read(&mut request).await;
    });
    let keys = std::sync::Arc::new(llmopt_providers::FixedKey(None));
    let provider = provider(Kind::OpenAi, settings(url, keys));
    let completion = provider.complete(&short(LONG, SHORT, LONG)).await.unwrap();
    let said = said(completion).await;
    assert_eq!(said.text, "Hi");
    let expected =
        "the answer broke off: the provider took longer than 0.05 s to go on with its answer";
    assert_eq!(error_chain(&said.error.unwrap()), expected);
    server.await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failed_connection() {
    let mock = Mock::start(0).await.unwrap();
    let url = mock.openai_url();
    drop(mock);
    let keys = std::sync::Arc::new(llmopt_providers::FixedKey(None));
    let provider = provider(Kind::OpenAi, settings(url.clone(), keys));
    // The port is free from when the server's task is gone.
    let error = loop {
        match provider.complete(&question()).await {
            Err(error @ ProviderError::Connection(_)) => break error,
            _ => tokio::task::yield_now().await,
        }
    };
    assert!(error.is_retryable_before_first_byte());
    assert!(
        !error_chain(&error).contains(&url),
        "an address may have a secret"
    );
}

#[tokio::test]
async fn a_key_that_a_server_repeats_is_taken_out() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let body = format!(r#"{{"error": {{"type": "x", "message": "wrong key: {SECRET}"}}}}"#);
        let error = place
            .fail(Fault::Raw {
                status: 401,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body,
            })
            .await;
        assert_eq!(error.refusal().unwrap().said.as_str(), "wrong key: ***");
        assert!(!format!("{error:?}").contains(SECRET));
    }
}
