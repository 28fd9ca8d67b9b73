//! What is sent.

use std::{sync::Arc, time::Duration};

use llmopt_domain::{Message, Role, ToolCall};
use llmopt_provider_mock::Mock;
use llmopt_providers::{
    CompletionRequest, Dialect, FixedKey, OpenAiProvider, Provider as _, ProviderError, Transport,
};
use serde_json::{Value, json};

use crate::setup::{ALL, Kind, Place, SECRET, question, settings, whole_question};

/// A request with everything in it.
pub(crate) fn full() -> CompletionRequest {
    let arguments = json!({"city": "Bern"});
    let call = ToolCall {
        id: Some("call_1".to_owned()),
        name: "weather".to_owned(),
        arguments: arguments.as_object().unwrap().clone(),
    };
    let mut calling = Message::new(Role::Assistant, "");
    calling.tool_calls = vec![call];
    let mut result = Message::new(Role::Tool, "sunny");
    result.tool_call_id = Some("call_1".to_owned());
    result.name = Some("weather".to_owned());
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function = json!({"name": "weather", "description": "d", "parameters": parameters});
    let schema = json!({"name": "s", "strict": true, "schema": {"type": "object"}});
    CompletionRequest {
        messages: vec![
            Message::new(Role::System, "Be brief."),
            Message::new(Role::System, "Be kind."),
            Message::new(Role::User, "Weather?"),
            calling,
            result,
            Message::new(Role::User, "So?"),
        ],
        temperature: Some(0.5),
        top_p: Some(0.75),
        stop: vec!["END".to_owned()],
        tools: vec![json!({"type": "function", "function": function})],
        tool_choice: Some(json!({"type": "function", "function": {"name": "weather"}})),
        response_format: Some(json!({"type": "json_schema", "json_schema": schema})),
        ..question()
    }
}

pub(crate) async fn sent(kind: Kind, request: &CompletionRequest) -> Value {
    let place = Place::new(kind).await;
    place.ask(request).await;
    place.last().body
}

#[tokio::test]
async fn openai_is_asked_in_its_form() {
    let request = full();
    let expected = json!({
        "model": "model-x",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": null, "tool_calls": [{
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"},
            }]},
            {"role": "tool", "content": "sunny", "tool_call_id": "call_1"},
            {"role": "user", "content": "So?"},
        ],
        "max_completion_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.75,
        "stop": ["END"],
        "tools": request.tools,
        "tool_choice": request.tool_choice,
        "response_format": request.response_format,
        "service_tier": "default",
        "stream": true,
        "stream_options": {"include_usage": true, "include_obfuscation": false},
    });
    assert_eq!(sent(Kind::OpenAi, &request).await, expected);
}

#[tokio::test]
async fn anthropic_is_asked_in_its_form() {
    let expected = json!({
        "model": "model-x",
        "max_tokens": 100,
        "system": "Be brief.\n\nBe kind.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Bern"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"},
                {"type": "text", "text": "So?"},
            ]},
        ],
        "temperature": 0.5,
        "top_p": 0.75,
        "stop_sequences": ["END"],
        "tools": [{
            "name": "weather",
            "description": "d",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        }],
        "tool_choice": {"type": "tool", "name": "weather"},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "service_tier": "standard_only",
        "stream": true,
    });
    assert_eq!(sent(Kind::Anthropic, &full()).await, expected);
}

#[tokio::test]
async fn nothing_is_sent_that_was_not_asked_for() {
    let turns = json!([{"role": "user", "content": "Grüße an die 🦀 bitte"}]);
    let expected = json!({
        "model": "model-x", "messages": turns, "max_completion_tokens": 100,
        "service_tier": "default", "stream": false,
    });
    assert_eq!(sent(Kind::OpenAi, &whole_question()).await, expected);
    let turns =
        json!([{"role": "user", "content": [{"type": "text", "text": "Grüße an die 🦀 bitte"}]}]);
    let expected = json!({
        "model": "model-x", "max_tokens": 100, "messages": turns,
        "service_tier": "standard_only", "stream": false,
    });
    assert_eq!(sent(Kind::Anthropic, &whole_question()).await, expected);
}

#[tokio::test]
async fn other_servers_are_asked_for_what_they_know() {
    let mock = Mock::start(0).await.unwrap();
    let cases = [
        (Dialect::VLLM, json!({"include_usage": true})),
        (Dialect::LLAMA_CPP, json!({"include_usage": true})),
        (Dialect::OLLAMA, json!({"include_usage": true})),
        (Dialect::COMPATIBLE, Value::Null),
    ];
    for (dialect, options) in cases {
        let key = llmopt_providers::ProviderKey::new(SECRET).unwrap();
        let settings = settings(mock.openai_url(), Arc::new(FixedKey(Some(key))));
        let transport = Transport::new(Duration::from_secs(5)).unwrap();
        let provider = OpenAiProvider::new(transport, settings, dialect).unwrap();
        let completion = provider.complete(&question()).await.unwrap();
        crate::setup::said(completion).await;
        let body = mock.exchanges().pop().unwrap().body;
        assert_eq!(body["max_tokens"], 100, "{dialect:?}");
        assert_eq!(body.get("max_completion_tokens"), None);
        assert_eq!(body.get("service_tier"), None);
        assert_eq!(body["stream_options"], options, "{dialect:?}");
    }
}

#[tokio::test]
async fn what_has_no_form_in_an_api_is_not_sent() {
    let without_id = |role| {
        let mut message = Message::new(role, "text");
        if role == Role::Assistant {
            message.tool_calls = vec![ToolCall {
                id: None,
                name: "f".to_owned(),
                arguments: serde_json::Map::new(),
            }];
        }
        message
    };
    let anthropic = [Kind::Anthropic];
    let late_system = Message::new(Role::System, "late");
    let silent = Message::new(Role::Assistant, "");
    let cases: [(Message, &[Kind], &str); 4] = [
        (without_id(Role::Tool), &ALL, "messages[1].tool_call_id"),
        (
            without_id(Role::Assistant),
            &ALL,
            "messages[1].tool_calls[0].id",
        ),
        (late_system, &anthropic, "messages[1].role"),
        (silent, &anthropic, "messages[1].content"),
    ];
    for (message, kinds, expected) in cases {
        for kind in kinds {
            let place = Place::new(*kind).await;
            let mut request = question();
            request.messages.push(message.clone());
            let error = place.provider.complete(&request).await.unwrap_err();
            let ProviderError::Unsendable { place: found, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(found, expected, "{kind:?}");
            assert!(place.mock.exchanges().is_empty());
        }
    }
    for tool in [
        json!({"type": "web_search_20250305", "name": "web_search"}),
        json!({"type": "web_search"}),
    ] {
        for kind in [Kind::OpenAi, Kind::Anthropic] {
            let place = Place::new(kind).await;
            let mut request = question();
            request.tools = vec![tool.clone()];
            let error = place.provider.complete(&request).await.unwrap_err();
            assert!(error.to_string().contains("`tools[0]`"), "{error}");
            assert!(place.mock.exchanges().is_empty());
        }
    }
    let mut request = question();
    request.response_format = Some(json!({"type": "json_object"}));
    let place = Place::new(Kind::Anthropic).await;
    let error = place.provider.complete(&request).await.unwrap_err();
    assert!(error.to_string().contains("`response_format`"), "{error}");
}
