//! OpenAI's Responses API, where it differs from the others.

use llmopt_provider_mock::{Behaviour, Tokens};
use llmopt_providers::{
    AnswerParser, CompletionRequest, Delivery, FinishReason, ProviderError, ProviderEvent,
};
use serde_json::{Value, json};

use crate::{
    bodies::{full, sent},
    setup::{Kind, Place, question, variant, whole_question},
};

/// All that comes of events, and the error.
fn parsed(events: &[Value]) -> (Vec<ProviderEvent>, Option<ProviderError>) {
    let mut parser = AnswerParser::openai_responses("m");
    for event in events {
        parser.push(format!("data: {event}\n\n").as_bytes());
    }
    parser.end();
    let mut said = Vec::new();
    while let Some(event) = parser.next_event() {
        match event {
            Ok(event) => said.push(event),
            Err(error) => return (said, Some(error)),
        }
    }
    (said, None)
}

fn reason(said: &[ProviderEvent]) -> Option<&FinishReason> {
    match said.last()? {
        ProviderEvent::Finished(finished) => Some(&finished.finish_reason),
        ProviderEvent::Text(_) | ProviderEvent::ToolCall(_) => None,
    }
}

fn completed() -> Value {
    json!({"type": "response.completed", "response": {"status": "completed"}})
}

#[tokio::test]
async fn a_request_has_the_form_of_the_route() {
    let request = CompletionRequest {
        stop: Vec::new(),
        ..full()
    };
    let expected = json!({
        "model": "model-x",
        "input": [
            {"type": "message", "role": "system", "content": "Be brief."},
            {"type": "message", "role": "system", "content": "Be kind."},
            {"type": "message", "role": "user", "content": "Weather?"},
            {
                "type": "function_call",
                "call_id": "call_1",
                "name": "weather",
                "arguments": "{\"city\":\"Bern\"}",
            },
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            {"type": "message", "role": "user", "content": "So?"},
        ],
        "max_output_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.75,
        "tools": [{
            "type": "function",
            "name": "weather",
            "description": "d",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            "strict": false,
        }],
        "tool_choice": {"type": "function", "name": "weather"},
        "text": {"format": {
            "type": "json_schema", "name": "s", "strict": true, "schema": {"type": "object"},
        }},
        "store": false,
        "service_tier": "default",
        "stream": true,
        "stream_options": {"include_obfuscation": false},
    });
    assert_eq!(sent(Kind::Responses, &request).await, expected);

    let turns = json!([{"type": "message", "role": "user", "content": "Grüße an die 🦀 bitte"}]);
    let expected = json!({
        "model": "model-x", "input": turns, "max_output_tokens": 100, "store": false,
        "service_tier": "default", "stream": false,
    });
    assert_eq!(sent(Kind::Responses, &whole_question()).await, expected);
}

#[tokio::test]
async fn every_form_of_a_choice_and_of_an_answer_is_turned_into_the_routes() {
    let function = json!({"type": "function", "function": {"name": "f"}});
    let flat = json!({"type": "function", "name": "f"});
    let allowed = json!({
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [function]},
    });
    let choices = [
        (json!("auto"), json!("auto")),
        (
            allowed,
            json!({"type": "allowed_tools", "mode": "auto", "tools": [flat]}),
        ),
        (flat.clone(), flat.clone()),
    ];
    for (choice, expected) in choices {
        let request = CompletionRequest {
            tools: vec![flat.clone()],
            tool_choice: Some(choice),
            response_format: Some(json!({"type": "json_object"})),
            ..question()
        };
        let body = sent(Kind::Responses, &request).await;
        assert_eq!(body["tool_choice"], expected);
        assert_eq!(body["text"], json!({"format": {"type": "json_object"}}));
        let no_parameters = json!({"type": "object", "properties": {}});
        assert_eq!(body["tools"][0]["parameters"], no_parameters);
    }
}

#[tokio::test]
async fn what_has_no_form_at_the_route_is_not_sent() {
    type Change = fn(&mut CompletionRequest);
    let cases: [(Change, &str); 6] = [
        (|it| it.stop = vec!["END".to_owned()], "stop"),
        (|it| it.max_tokens = 15, "max_tokens"),
        (
            |it| it.messages[0].name = Some("Ada".to_owned()),
            "messages[0].name",
        ),
        (
            |it| it.tools = vec![json!({"type": "web_search"})],
            "tools[0]",
        ),
        (|it| it.tool_choice = Some(json!(7)), "tool_choice"),
        (
            |it| it.response_format = Some(json!({"type": "json_schema"})),
            "response_format.json_schema",
        ),
    ];
    let place = Place::new(Kind::Responses).await;
    for (change, expected) in cases {
        let mut request = question();
        change(&mut request);
        let error = place.provider.complete(&request).await.unwrap_err();
        let ProviderError::Unsendable { place: found, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(found, expected);
    }
    assert!(place.mock.exchanges().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_cut_to_its_length_says_so() {
    let place = Place::new(Kind::Responses).await;
    for delivery in [Delivery::Stream, Delivery::Whole] {
        place.mock.next(Behaviour {
            text: Some("word ".repeat(20)),
            ..Behaviour::default()
        });
        let request = CompletionRequest {
            max_tokens: 16,
            delivery,
            ..question()
        };
        let said = place.ask(&request).await;
        assert_eq!(said.text, "word ".repeat(16));
        let finished = said.finished.unwrap();
        assert_eq!(finished.finish_reason, FinishReason::Length);
        assert_eq!(finished.usage.unwrap().tokens.output_tokens, 16);
        assert_eq!(place.last().target, "POST /v1/responses");
    }
}

#[tokio::test]
async fn a_call_after_thoughts_is_the_first_of_the_calls() {
    let place = Place::new(Kind::Responses).await;
    for delivery in [Delivery::Stream, Delivery::Whole] {
        place.mock.next(Behaviour {
            tokens: Some(Tokens {
                input: 1,
                output: 9,
                reasoning: 2,
                ..Tokens::default()
            }),
            ..Behaviour::default()
        });
        let request = CompletionRequest {
            tools: vec![json!({"type": "function", "function": {"name": "weather"}})],
            tool_choice: Some(json!("required")),
            delivery,
            ..question()
        };
        let said = place.ask(&request).await;
        assert_eq!(said.call_ids, ["call_mock"]);
        let arguments: Value = serde_json::from_str(&said.calls[0].1).unwrap();
        assert_eq!(arguments, json!({"city": "Zürich", "days": 2}));
        let finished = said.finished.unwrap();
        assert_eq!(finished.finish_reason, FinishReason::ToolCalls);
        assert_eq!(finished.usage.unwrap().tokens.reasoning_tokens, 2);
    }
}

#[test]
fn calls_that_are_made_at_once_are_told_apart() {
    let added = |place: u32, name: &str| {
        json!({"type": "response.output_item.added", "output_index": place, "item": {
            "type": "function_call", "id": "i", "call_id": format!("call_{name}"), "name": name, "arguments": "",
        }})
    };
    let delta = |place: u32, text: &str| json!({"type": "response.function_call_arguments.delta", "output_index": place, "delta": text});
    // The second comes without parts.
    let done = json!({"type": "response.output_item.done", "output_index": 5, "item": {
        "type": "function_call", "call_id": "call_g", "name": "g", "arguments": "{\"b\":2}",
    }});
    let whole = json!({"type": "response.output_item.done", "output_index": 3, "item": {
        "type": "function_call", "call_id": "call_f", "name": "f", "arguments": "{\"a\":1}",
    }});
    let events = [
        added(3, "f"),
        delta(3, "{\"a\""),
        added(5, "g"),
        delta(3, ":1}"),
        done,
        whole,
        completed(),
    ];
    let (said, error) = parsed(&events);
    assert!(error.is_none(), "{error:?}");
    let mut arguments = [String::new(), String::new()];
    let mut heads = Vec::new();
    for event in &said {
        if let ProviderEvent::ToolCall(part) = event {
            arguments[part.index as usize].push_str(&part.arguments);
            heads.extend(part.id.clone().map(|id| (part.index, id)));
        }
    }
    assert_eq!(arguments, ["{\"a\":1}", "{\"b\":2}"]);
    assert_eq!(heads, [(0, "call_f".to_owned()), (1, "call_g".to_owned())]);
    assert_eq!(reason(&said), Some(&FinishReason::ToolCalls));

    let (_, error) = parsed(&[delta(3, "{}")]);
    let error = error.unwrap().to_string();
    assert!(error.contains("a call that has not begun"), "{error}");
}

#[test]
fn an_end_says_why_it_came() {
    let incomplete = |reason: &str| json!({"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": {"reason": reason}}});
    let refused = json!({"type": "response.refusal.delta", "delta": "No."});
    let cases = [
        (vec![completed()], FinishReason::Stop),
        (vec![refused, completed()], FinishReason::Refusal),
        (vec![incomplete("max_output_tokens")], FinishReason::Length),
        (
            vec![incomplete("content_filter")],
            FinishReason::ContentFilter,
        ),
        (
            vec![incomplete("tired")],
            FinishReason::Other("tired".to_owned()),
        ),
    ];
    for (events, expected) in cases {
        let (said, error) = parsed(&events);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(reason(&said), Some(&expected));
    }
    let whole = |response: Value| {
        AnswerParser::openai_responses_whole("m", response.to_string().as_bytes())
    };
    let message = json!({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]});
    let said = whole(json!({"status": "completed", "output": [message]})).unwrap();
    assert_eq!(said[0], ProviderEvent::Text("No.".to_owned()));
    assert_eq!(reason(&said), Some(&FinishReason::Refusal));
    for response in [json!({}), json!({"status": "queued"})] {
        let error = whole(response).unwrap_err();
        assert_eq!(variant(&error), "Protocol");
    }
    let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "m"}});
    assert_eq!(variant(&whole(failed).unwrap_err()), "Server");
}

#[test]
fn an_error_in_a_stream_says_what_can_be_done() {
    let event = |code: Value| json!({"type": "error", "code": code, "message": "secret words", "param": null});
    let failed = |code: &str| json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": code, "message": "secret words"}, "usage": {"input_tokens": 3, "output_tokens": 2}}});
    let enveloped = |kind: &str| json!({"type": "error", "error": {"type": kind, "code": null, "message": "secret words"}});
    let cases = [
        (event(Value::Null), "Server", true),
        (event(json!("server_error")), "Server", true),
        (event(json!("rate_limit_exceeded")), "RateLimited", true),
        (event(json!("insufficient_quota")), "QuotaExhausted", false),
        (event(json!("context_length_exceeded")), "TooLarge", false),
        (failed("server_error"), "Server", true),
        (failed("rate_limit_exceeded"), "RateLimited", true),
        (failed("invalid_prompt"), "Invalid", false),
        (enveloped("invalid_request_error"), "Invalid", false),
        (enveloped("rate_limit_error"), "RateLimited", true),
        (
            json!({"error": {"type": "server_error", "message": "secret words"}}),
            "Server",
            true,
        ),
    ];
    for (event, expected, retryable) in cases {
        let (said, error) = parsed(std::slice::from_ref(&event));
        let error = error.unwrap();
        assert!(said.is_empty());
        assert_eq!(variant(&error), expected, "{event}");
        assert_eq!(error.is_retryable_before_first_byte(), retryable, "{event}");
        assert_eq!(error.refusal().unwrap().said.as_str(), "secret words");
        assert!(!format!("{error} {error:?}").contains("secret"));

        let text = json!({"type": "response.output_text.delta", "delta": "Hi"});
        let (said, error) = parsed(&[text, event.clone()]);
        assert_eq!(said, [ProviderEvent::Text("Hi".to_owned())]);
        let Some(ProviderError::Interrupted { cause, usage }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(variant(&cause), expected);
        let counted = usage.map(|usage| usage.output_tokens);
        let expected = event.pointer("/response/usage").map(|_| 2);
        assert_eq!(counted, expected, "{event}");
    }
}

#[test]
fn events_that_are_not_known_are_passed_over() {
    let events = [
        json!({"type": "response.created", "response": {"status": "in_progress", "error": null}}),
        json!({"type": "response.reasoning_summary_text.delta", "delta": "hm"}),
        json!({"type": "response.something_new", "delta": 7}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "new_call", "call_id": 7}}),
        json!({"type": "response.output_text.delta", "delta": "Hi"}),
        completed(),
    ];
    let (said, error) = parsed(&events);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(said.len(), 2);
    let broken =
        json!({"type": "response.completed", "response": {"usage": {"output_tokens": "many"}}});
    let error = parsed(&[broken]).1.unwrap().to_string();
    let expected =
        "the event `response.completed` has something unexpected at `response.usage.output_tokens`";
    assert!(error.contains(expected), "{error}");
}
