//! Chat completions, as OpenAI's OpenAPI document has them.

use serde_json::{Value, json};

use crate::{
    Api, Behaviour, Fault, Tokens,
    delivery::Piece,
    refusal::{Refusal, error_in_stream},
    request::{ARGUMENTS, Answer, Asked, End, check_turns, count, last_words, model, stops},
};

const ID: &str = "chatcmpl-mock";
const CREATED: u64 = 1_790_000_000;

/// Reads a request.
pub(crate) fn read(body: &Value, behaviour: &Behaviour) -> Result<Asked, Refusal> {
    let api = Api::Openai;
    let model = model(api, body)?;
    check_turns(api, body)?;
    let streams = body["stream"] == true;
    let options = &body["stream_options"];
    if !streams && !options.is_null() {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::invalid(api, "stream_options", message));
    }
    let fields = [&body["max_completion_tokens"], &body["max_tokens"]];
    let max_tokens = fields
        .iter()
        .find_map(|field| field.as_u64())
        .unwrap_or(u64::MAX);
    let text = behaviour
        .text
        .clone()
        .unwrap_or_else(|| format!("You said: {}", last_words(body)));
    let answer = match tool(body) {
        Some(tool) => Answer::calling(tool),
        None => Answer::new(&text, max_tokens, &stops(&body["stop"])),
    };
    Ok(Asked {
        model,
        streams,
        wants_usage: options["include_usage"] == true,
        tokens: count(body, &answer, behaviour),
        answer,
    })
}

/// Returns the tool that has to be called, if one has to.
fn tool(body: &Value) -> Option<String> {
    let choice = &body["tool_choice"];
    let named = choice.pointer("/function/name").and_then(Value::as_str);
    let first = || {
        body.pointer("/tools/0/function/name")
            .and_then(Value::as_str)
    };
    let required = (choice == "required").then(first).flatten();
    named.or(required).map(str::to_owned)
}

fn finish_reason(end: &End) -> &'static str {
    match end {
        End::Turn | End::StopText(_) => "stop",
        End::Length => "length",
        End::Tool => "tool_calls",
    }
}

/// Counts as OpenAI does: what a cache had is part of the prompt.
fn usage(tokens: Tokens) -> Value {
    let writes = tokens.cache_write + tokens.cache_write_long;
    let prompt = tokens.input + tokens.cache_read + writes;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": tokens.output,
        "total_tokens": prompt + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read, "cache_write_tokens": writes, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// Writes an answer that is sent at once.
pub(crate) fn whole(asked: &Asked, behaviour: &Behaviour) -> Value {
    let answer = &asked.answer;
    let mut message =
        json!({"role": "assistant", "content": answer.text(), "refusal": null, "annotations": []});
    if let Some(tool) = &answer.tool {
        message["content"] = Value::Null;
        message["tool_calls"] = json!([call(tool, ARGUMENTS)]);
    }
    let mut body = json!({
        "id": ID,
        "object": "chat.completion",
        "created": CREATED,
        "model": format!("{}-2026-01-01", asked.model),
        "choices": [{
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": finish_reason(&answer.end),
        }],
        "service_tier": service_tier(behaviour),
        "system_fingerprint": "fp_mock",
    });
    if behaviour.fault != Some(Fault::NoUsage) {
        body["usage"] = usage(asked.tokens);
    }
    body
}

fn call(tool: &str, arguments: &str) -> Value {
    let function = json!({"name": tool, "arguments": arguments});
    json!({"id": "call_mock", "type": "function", "function": function})
}

fn service_tier(behaviour: &Behaviour) -> &str {
    behaviour.service_tier.as_deref().unwrap_or("default")
}

/// Writes an answer that is sent in parts.
pub(crate) fn stream(asked: &Asked, behaviour: &Behaviour) -> Vec<Piece> {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": ID,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": format!("{}-2026-01-01", asked.model),
            "service_tier": service_tier(behaviour),
            "system_fingerprint": "fp_mock",
            "choices": choices,
        });
        if asked.wants_usage {
            chunk["usage"] = usage;
        }
        chunk
    };
    let choice = |delta: Value, reason: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
        chunk(json!([choice]), Value::Null)
    };
    let answer = &asked.answer;
    let mut pieces = vec![event(
        &choice(
            json!({"role": "assistant", "content": "", "refusal": null}),
            None,
        ),
        0,
    )];
    let words = answer.words.iter();
    pieces.extend(words.map(|word| event(&choice(json!({"content": word}), None), 1)));
    if let Some(tool) = &answer.tool {
        let deltas = call_deltas(tool);
        pieces.extend(deltas.map(|delta| event(&choice(delta, None), 1)));
    }
    pieces.push(event(
        &choice(json!({}), Some(finish_reason(&answer.end))),
        0,
    ));
    if asked.wants_usage && behaviour.fault != Some(Fault::NoUsage) {
        pieces.push(event(&chunk(json!([]), usage(asked.tokens)), 0));
    }
    pieces.push(Piece::new("data: [DONE]\n\n".to_owned(), 0));
    pieces
}

/// Makes a call's deltas: the head, and the arguments in two parts.
fn call_deltas(tool: &str) -> impl Iterator<Item = Value> {
    let (first, second) = ARGUMENTS.split_at(ARGUMENTS.find(':').unwrap_or_default());
    let mut head = call(tool, "");
    head["index"] = json!(0);
    let part = |text: &str| json!({"index": 0, "function": {"arguments": text}});
    let deltas = [head, part(first), part(second)];
    deltas.into_iter().map(|call| json!({"tool_calls": [call]}))
}

fn event(data: &Value, tokens: u64) -> Piece {
    Piece::new(format!("data: {data}\n\n"), tokens)
}

/// Writes the error that stands in a stream in place of the rest.
pub(crate) fn error() -> Piece {
    event(&error_in_stream(Api::Openai), 0)
}

/// Lists models.
pub(crate) fn models() -> Value {
    let model = |id: &str, shutdown: Option<&str>| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "mock", "shutdown_date": shutdown});
    json!({"object": "list", "data": [model("gpt-mock", None), model("gpt-mock-old", Some("2026-12-11"))]})
}
