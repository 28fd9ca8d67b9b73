//! Messages, as Anthropic's reference has them.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use crate::{
    Api, Behaviour, Fault, Tokens,
    delivery::Piece,
    refusal::{Refusal, error_in_stream},
    request::{ARGUMENTS, Answer, Asked, End, check_turns, count, last_words, model, stops},
};

const ID: &str = "msg_mock";

/// Reads a request.
pub(crate) fn read(
    headers: &HeaderMap,
    body: &Value,
    behaviour: &Behaviour,
) -> Result<Asked, Refusal> {
    let api = Api::Anthropic;
    if !headers.contains_key("anthropic-version") {
        return Err(Refusal::invalid(
            api,
            "anthropic-version",
            "header is required",
        ));
    }
    let model = model(api, body)?;
    check_turns(api, body)?;
    check_roles(body)?;
    let max_tokens = body["max_tokens"].as_u64().filter(|most| *most > 0);
    let max_tokens =
        max_tokens.ok_or_else(|| Refusal::invalid(api, "max_tokens", "Field required"))?;
    let text = behaviour
        .text
        .clone()
        .unwrap_or_else(|| format!("You said: {}", last_words(body)));
    let answer = match tool(body) {
        Some(tool) => Answer::calling(tool),
        None => Answer::new(&text, max_tokens, &stops(&body["stop_sequences"])),
    };
    Ok(Asked {
        model,
        streams: body["stream"] == true,
        wants_usage: true,
        tokens: count(body, &answer, behaviour),
        answer,
    })
}

/// Turns are the user's or the assistant's: what frames them is `system`.
fn check_roles(body: &Value) -> Result<(), Refusal> {
    let turns = body["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    match turns
        .iter()
        .all(|turn| turn["role"] == "user" || turn["role"] == "assistant")
    {
        true => Ok(()),
        false => Err(Refusal::invalid(
            Api::Anthropic,
            "messages",
            "Unexpected role. Allowed roles are \"user\" or \"assistant\".",
        )),
    }
}

/// Returns the tool that has to be called, if one has to.
fn tool(body: &Value) -> Option<String> {
    let choice = &body["tool_choice"];
    let name = match choice["type"].as_str()? {
        "tool" => &choice["name"],
        "any" => body.pointer("/tools/0/name")?,
        _ => return None,
    };
    name.as_str().map(str::to_owned)
}

fn stop_reason(end: &End) -> (&'static str, Option<&str>) {
    match end {
        End::Turn => ("end_turn", None),
        End::StopText(text) => ("stop_sequence", Some(text)),
        End::Length => ("max_tokens", None),
        End::Tool => ("tool_use", None),
    }
}

/// Counts as Anthropic does: what a cache had comes on top of the input.
fn usage(tokens: Tokens, output: u64, behaviour: &Behaviour) -> Value {
    json!({
        "input_tokens": tokens.input,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write + tokens.cache_write_long,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write,
            "ephemeral_1h_input_tokens": tokens.cache_write_long,
        },
        "output_tokens": output,
        "service_tier": behaviour.service_tier.as_deref().unwrap_or("standard"),
        "inference_geo": behaviour.inference_geo.as_deref().unwrap_or("not_available"),
    })
}

/// Returns the usage of all the answer, in which what was thought is known.
fn final_usage(asked: &Asked, behaviour: &Behaviour) -> Value {
    let mut usage = usage(asked.tokens, asked.tokens.output, behaviour);
    if asked.tokens.reasoning > 0 {
        usage["output_tokens_details"] = json!({"thinking_tokens": asked.tokens.reasoning});
    }
    usage
}

fn message(asked: &Asked) -> Value {
    json!({
        "id": ID,
        "type": "message",
        "role": "assistant",
        "model": format!("{}-20260101", asked.model),
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    })
}

/// Writes an answer that is sent at once.
pub(crate) fn whole(asked: &Asked, behaviour: &Behaviour) -> Value {
    let mut body = message(asked);
    let (reason, stop) = stop_reason(&asked.answer.end);
    let arguments = serde_json::from_str::<Value>(ARGUMENTS).unwrap_or_default();
    body["content"] = match &asked.answer.tool {
        Some(tool) => {
            json!([{"type": "tool_use", "id": "toolu_mock", "name": tool, "input": arguments}])
        }
        None => json!([{"type": "text", "text": asked.answer.text(), "citations": null}]),
    };
    body["stop_reason"] = json!(reason);
    body["stop_sequence"] = json!(stop);
    if behaviour.fault != Some(Fault::NoUsage) {
        body["usage"] = final_usage(asked, behaviour);
    }
    body
}

/// Writes an answer that is sent in parts.
pub(crate) fn stream(asked: &Asked, behaviour: &Behaviour) -> Vec<Piece> {
    let tells_usage = behaviour.fault != Some(Fault::NoUsage);
    let mut start = message(asked);
    let mut end = json!({});
    if tells_usage {
        start["usage"] = usage(asked.tokens, 1, behaviour);
        let mut last = final_usage(asked, behaviour);
        // These are told at the beginning only.
        if let Some(last) = last.as_object_mut() {
            last.remove("cache_creation");
            last.remove("service_tier");
            last.remove("inference_geo");
        }
        end["usage"] = last;
    }
    let mut pieces = vec![
        event("message_start", json!({"message": start}), 0),
        event("ping", json!({}), 0),
    ];
    pieces.extend(block(&asked.answer));
    let (reason, stop) = stop_reason(&asked.answer.end);
    end["delta"] = json!({"stop_reason": reason, "stop_sequence": stop});
    pieces.push(event("message_delta", end, 0));
    pieces.push(event("message_stop", json!({}), 0));
    pieces
}

/// Writes the only block of an answer.
fn block(answer: &Answer) -> Vec<Piece> {
    let delta = |delta: Value| {
        event(
            "content_block_delta",
            json!({"index": 0, "delta": delta}),
            1,
        )
    };
    let (start, deltas): (Value, Vec<Piece>) = match &answer.tool {
        Some(tool) => {
            let (first, second) = ARGUMENTS.split_at(ARGUMENTS.find(':').unwrap_or_default());
            let part = |text| delta(json!({"type": "input_json_delta", "partial_json": text}));
            (
                json!({"type": "tool_use", "id": "toolu_mock", "name": tool, "input": {}}),
                vec![part(""), part(first), part(second)],
            )
        }
        None => {
            let part = |word| delta(json!({"type": "text_delta", "text": word}));
            (
                json!({"type": "text", "text": ""}),
                answer.words.iter().map(part).collect(),
            )
        }
    };
    let start = event(
        "content_block_start",
        json!({"index": 0, "content_block": start}),
        0,
    );
    let stop = event("content_block_stop", json!({"index": 0}), 0);
    std::iter::once(start).chain(deltas).chain([stop]).collect()
}

fn event(kind: &str, mut data: Value, tokens: u64) -> Piece {
    data["type"] = json!(kind);
    Piece::new(format!("event: {kind}\ndata: {data}\n\n"), tokens)
}

/// Writes the error that stands in a stream in place of the rest.
pub(crate) fn error() -> Piece {
    let data = error_in_stream(Api::Anthropic);
    Piece::new(format!("event: error\ndata: {data}\n\n"), 0)
}

/// Lists models.
pub(crate) fn models() -> Value {
    let model = |id: &str| {
        json!({
            "type": "model",
            "id": id,
            "display_name": "Mock",
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
            "max_input_tokens": 200_000,
            "max_tokens": 64_000,
        })
    };
    let (first, last) = ("claude-mock", "claude-mock-small");
    json!({"data": [model(first), model(last)], "has_more": false, "first_id": first, "last_id": last})
}
