use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::StreamExt as _;
use llmopt_domain::TokenUsage;
use llmopt_provider_mock::{Behaviour, Ended, Fault, Tokens};
use llmopt_providers::{
    CompletionRequest, Delivery, FinishReason, FixedKey, Go, ProviderError, ProviderEvent,
};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpListener, time::timeout};

use crate::setup::{ALL, Kind, Place, provider, question, said, settings, whole_question};

const TOKENS: Tokens = Tokens {
    input: 100,
    cache_read: 600,
    cache_write: 30,
    cache_write_long: 0,
    output: 50,
    reasoning: 20,
};

const USAGE: TokenUsage = TokenUsage {
    input_tokens: 100,
    cache_read_tokens: 600,
    cache_write_tokens: 30,
    cache_write_long_tokens: 0,
    output_tokens: 50,
    reasoning_tokens: 20,
};

#[tokio::test]
async fn an_answer_is_the_same_in_parts_and_whole() {
    for kind in ALL {
        let place = Place::new(kind).await;
        for request in [question(), whole_question()] {
            place.mock.next(Behaviour {
                tokens: Some(TOKENS),
                service_tier: Some("priority".to_owned()),
                ..Behaviour::default()
            });
            let said = place.ask(&request).await;
            assert_eq!(said.text, "You said: Grüße an die 🦀 bitte", "{kind:?}");
            let finished = said.finished.unwrap();
            assert_eq!(finished.finish_reason, FinishReason::Stop);
            let usage = finished.usage.unwrap();
            assert_eq!(usage.tokens, USAGE, "{kind:?}");
            assert_eq!(usage.problem, None);
            assert!(finished.model.unwrap().starts_with("model-x-"));
            assert_eq!(finished.service_tier.as_deref(), Some("priority"));
            assert_eq!(finished.request_id.as_deref(), Some("req_mock"));
            assert_eq!(
                place.last().billed,
                Some(TOKENS),
                "what it bills is what it told"
            );
        }
    }
}

#[tokio::test]
async fn anthropic_tells_what_was_cached_for_an_hour() {
    let place = Place::new(Kind::Anthropic).await;
    for request in [question(), whole_question()] {
        let tokens = Tokens {
            cache_write_long: 9,
            ..TOKENS
        };
        place.mock.next(Behaviour {
            tokens: Some(tokens),
            ..Behaviour::default()
        });
        let usage = place.ask(&request).await.finished.unwrap().usage.unwrap();
        let expected = TokenUsage {
            cache_write_long_tokens: 9,
            ..USAGE
        };
        assert_eq!(usage.tokens, expected);
        assert_eq!(usage.problem, None);
    }
}

#[tokio::test]
async fn the_head_of_an_answer_says_what_is_left_and_what_is_owed() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let completion = place.provider.complete(&question()).await.unwrap();
        assert_eq!(completion.request_id.as_deref(), Some("req_mock"));
        assert!(completion.rate.requests.remaining.is_some());
        let input = completion.input.map(|usage| usage.prompt_tokens());
        let expected = match kind {
            Kind::OpenAi | Kind::Responses => None,
            Kind::Anthropic => Some(5),
        };
        assert_eq!(input, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn an_answer_ends_where_it_is_asked_to() {
    // The Responses API takes neither so few tokens nor a text that ends an answer.
    for kind in [Kind::OpenAi, Kind::Anthropic] {
        let place = Place::new(kind).await;
        for delivery in [Delivery::Stream, Delivery::Whole] {
            let short = CompletionRequest {
                max_tokens: 2,
                delivery,
                ..question()
            };
            let said = place.ask(&short).await;
            assert_eq!(said.text, "You said: ");
            assert_eq!(said.finished.unwrap().finish_reason, FinishReason::Length);
            let stopped = CompletionRequest {
                stop: vec!["die".to_owned()],
                delivery,
                ..question()
            };
            let said = place.ask(&stopped).await;
            assert_eq!(said.text, "You said: Grüße an ");
            assert_eq!(said.finished.unwrap().finish_reason, FinishReason::Stop);
        }
    }
}

#[tokio::test]
async fn a_tool_is_called_with_its_arguments() {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function =
        json!({"name": "weather", "description": "Tells the weather.", "parameters": parameters});
    for kind in ALL {
        let place = Place::new(kind).await;
        for delivery in [Delivery::Stream, Delivery::Whole] {
            let request = CompletionRequest {
                tools: vec![json!({"type": "function", "function": function})],
                tool_choice: Some(json!("required")),
                delivery,
                ..question()
            };
            let said = place.ask(&request).await;
            let (name, arguments) = &said.calls[0];
            assert_eq!(name, "weather");
            let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap();
            assert_eq!(arguments, json!({"city": "Zürich", "days": 2}), "{kind:?}");
            assert_eq!(said.call_ids.len(), 1);
            assert_eq!(
                said.finished.unwrap().finish_reason,
                FinishReason::ToolCalls
            );
        }
    }
}

#[tokio::test]
async fn tokens_that_are_not_told_are_not_made_up() {
    for kind in ALL {
        let place = Place::new(kind).await;
        for request in [question(), whole_question()] {
            place.mock.next(Behaviour::failing(Fault::NoUsage));
            let finished = place.ask(&request).await.finished.unwrap();
            assert_eq!(finished.usage, None, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_ends_the_connection() {
    for kind in ALL {
        let place = Place::new(kind).await;
        place.mock.next(Behaviour {
            text: Some("word ".repeat(100_000)),
            event_ms: 1,
            ..Behaviour::default()
        });
        let mut request = question();
        request.max_tokens = 1_000_000;
        let mut completion = place.provider.complete(&request).await.unwrap();
        let first = completion.events.next().await.unwrap().unwrap();
        assert_eq!(first, ProviderEvent::Text("word ".to_owned()));
        drop(completion);
        // The server notices at one of its next words; if it did not, it would say all of them.
        while place.last().ended == Ended::Open {
            tokio::task::yield_now().await;
        }
        assert_eq!(place.last().ended, Ended::Abandoned, "{kind:?}");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_the_connection() {
    for kind in ALL {
        let place = Place::new(kind).await;
        place.mock.next(Behaviour {
            head_ms: 3_600_000,
            ..Behaviour::default()
        });
        let request = question();
        let is_asked = async {
            while place.mock.exchanges().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answer = place.provider.complete(&request) => panic!("{answer:?}"),
            () = is_asked => {}
        }
        while place.last().ended == Ended::Open {
            tokio::task::yield_now().await;
        }
        assert_eq!(place.last().ended, Ended::Abandoned, "{kind:?}");
    }
}

/// Time for what is not to happen.
const WHILE: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_question_that_waits_for_its_last_byte_is_none_before() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let request = question();
        let (go, held) = Go::later();
        let mut asked = place.provider.complete_after(held, &request);
        assert!(timeout(WHILE, &mut asked).await.is_err(), "{kind:?}");
        assert!(place.mock.exchanges().is_empty(), "{kind:?}");
        go.send(()).unwrap();
        let said = said(asked.await.unwrap()).await;
        assert_eq!(said.text, "You said: Grüße an die 🦀 bitte", "{kind:?}");

        let (go, held) = Go::later();
        go.send(()).unwrap();
        let asked = place.provider.complete_after(held, &request).await;
        assert!(asked.is_ok(), "{kind:?}: {asked:?}");
        assert_eq!(place.mock.exchanges().len(), 2, "{kind:?}");
    }
}

#[tokio::test]
async fn all_but_the_last_byte_of_a_question_goes_ahead() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let provider = provider(Kind::OpenAi, settings(base_url, Arc::new(FixedKey(None))));
    let request = question();
    let (go, held) = Go::later();
    let mut asked = provider.complete_after(held, &request);
    let mut seen = String::new();
    let arrives = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut piece = [0; 4096];
        loop {
            let read = stream.read(&mut piece).await.unwrap();
            seen.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            let (head, body) = seen.split_once("\r\n\r\n").unwrap_or_default();
            let length = head.split_once("content-length: ").map_or("", |it| it.1);
            let length = length.split("\r\n").next().unwrap_or_default();
            if length.parse() == Ok(body.len() + 1) {
                return stream;
            }
        }
    };
    let mut stream = tokio::select! {
        answer = &mut asked => panic!("{answer:?}"),
        stream = arrives => stream,
    };
    go.send(()).unwrap();
    let mut last = [0; 9];
    let read = tokio::select! {
        answer = &mut asked => panic!("{answer:?}"),
        read = stream.read(&mut last) => read.unwrap(),
    };
    assert_eq!(&last[..read], b"}");
}

#[tokio::test]
async fn a_question_whose_last_byte_is_withheld_is_never_one() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let request = question();
        let (go, held) = Go::later();
        let mut asked = place.provider.complete_after(held, &request);
        assert!(timeout(WHILE, &mut asked).await.is_err(), "{kind:?}");
        drop(go);
        let error = asked.await.unwrap_err();
        assert!(matches!(error, ProviderError::Connection(_)), "{error:?}");
        tokio::time::sleep(WHILE).await;
        assert!(place.mock.exchanges().is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_line_that_means_nothing_is_passed_over_however_long() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let fault = Fault::HugeLine { bytes: 1 << 20 };
        place.mock.next(Behaviour::failing(fault));
        let completion = place.provider.complete(&question()).await.unwrap();
        assert!(said(completion).await.finished.is_some());
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    for kind in ALL {
        let place = Place::new(kind).await;
        for request in [question(), whole_question()].iter().cycle().take(30) {
            place.ask(request).await;
        }
        let exchanges = place.mock.exchanges();
        let ports: BTreeSet<_> = exchanges
            .iter()
            .map(|exchange| exchange.peer_port)
            .collect();
        assert!(
            ports.len() < 15,
            "{kind:?} took {} connections for 30 requests",
            ports.len()
        );
    }
}
