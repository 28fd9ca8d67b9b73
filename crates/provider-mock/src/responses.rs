//! Responses, as OpenAI's OpenAPI document has them.

use serde_json::{Value, json};

use crate::{
    Api, Behaviour, Fault, Tokens,
    delivery::Piece,
    refusal::Refusal,
    request::{ARGUMENTS, Answer, Asked, End, count, last_words, model},
};

const ID: &str = "resp_mock";
const CREATED: u64 = 1_790_000_000;
const API: Api = Api::Openai;

/// The parameters of a request that the document has; the API refuses any other.
const PARAMETERS: [&str; 13] = [
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "text",
    "store",
    "service_tier",
    "stream",
    "stream_options",
];

/// Reads a request.
pub(crate) fn read(body: &Value, behaviour: &Behaviour) -> Result<Asked, Refusal> {
    let model = model(API, body)?;
    check_parameters(body)?;
    check_input(&body["input"])?;
    check_tools(body)?;
    let max_tokens = max_tokens(&body["max_output_tokens"])?;
    let text = behaviour
        .text
        .clone()
        .unwrap_or_else(|| format!("You said: {}", last_words(body)));
    let answer = match tool(body) {
        Some(tool) => Answer::calling(tool),
        None => Answer::new(&text, max_tokens, &[]),
    };
    Ok(Asked {
        model,
        streams: body["stream"] == true,
        wants_usage: true,
        tokens: count(body, &answer, behaviour),
        answer,
    })
}

fn check_parameters(body: &Value) -> Result<(), Refusal> {
    let mut names = body.as_object().into_iter().flat_map(|body| body.keys());
    if let Some(name) = names.find(|name| !PARAMETERS.contains(&name.as_str())) {
        let message = format!("Unknown parameter: '{name}'.");
        return Err(Refusal::invalid(API, name, &message));
    }
    let options = &body["stream_options"];
    if body["stream"] != true && !options.is_null() {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::invalid(API, "stream_options", message));
    }
    if !options["include_usage"].is_null() {
        let message = "Unknown parameter: 'stream_options.include_usage'.";
        return Err(Refusal::invalid(API, "stream_options", message));
    }
    Ok(())
}

fn max_tokens(field: &Value) -> Result<u64, Refusal> {
    match (field, field.as_u64()) {
        (Value::Null, _) => Ok(u64::MAX),
        (_, Some(most)) if most >= 16 => Ok(most),
        _ => Err(Refusal::invalid(
            API,
            "max_output_tokens",
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.",
        )),
    }
}

fn check_input(input: &Value) -> Result<(), Refusal> {
    let is_input = match input {
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty() && items.iter().all(is_item),
        _ => false,
    };
    match is_input {
        true => Ok(()),
        false => Err(Refusal::invalid(API, "input", "Invalid value for 'input'.")),
    }
}

fn is_item(item: &Value) -> bool {
    let has = |names: &[&str]| names.iter().all(|name| item[*name].is_string());
    match item["type"].as_str() {
        None | Some("message") => {
            let role = item["role"].as_str().unwrap_or_default();
            ["user", "assistant", "system", "developer"].contains(&role)
                && (item["content"].is_string() || item["content"].is_array())
        }
        Some("function_call") => has(&["call_id", "name", "arguments"]),
        Some("function_call_output") => has(&["call_id", "output"]),
        Some(_) => false,
    }
}

fn check_tools(body: &Value) -> Result<(), Refusal> {
    let tools = body["tools"].as_array();
    let tools = tools.map(Vec::as_slice).unwrap_or_default();
    let is_tool = |tool: &Value| tool["type"] == "function" && tool["name"].is_string();
    if !tools.iter().all(is_tool) {
        let message = "Missing required parameter: 'tools[0].name'.";
        return Err(Refusal::invalid(API, "tools", message));
    }
    let choice = &body["tool_choice"];
    if choice["type"] == "function" && !choice["name"].is_string() {
        let message = "Missing required parameter: 'tool_choice.name'.";
        return Err(Refusal::invalid(API, "tool_choice", message));
    }
    let format = &body["text"]["format"];
    if format["type"] == "json_schema"
        && !(format["name"].is_string() && format["schema"].is_object())
    {
        let message = "Missing required parameter: 'text.format.name'.";
        return Err(Refusal::invalid(API, "text.format", message));
    }
    Ok(())
}

/// Returns the tool that has to be called, if one has to.
fn tool(body: &Value) -> Option<String> {
    let choice = &body["tool_choice"];
    let first = || body.pointer("/tools/0/name").and_then(Value::as_str);
    let required = (choice == "required").then(first).flatten();
    choice["name"].as_str().or(required).map(str::to_owned)
}

/// Counts as OpenAI does: what a cache had is part of the input.
fn usage(tokens: Tokens) -> Value {
    let writes = tokens.cache_write + tokens.cache_write_long;
    let input = tokens.input + tokens.cache_read + writes;
    json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": tokens.cache_read, "cache_write_tokens": writes},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": input + tokens.output,
    })
}

/// Writes a response of which nothing is put out yet.
fn begun(asked: &Asked, behaviour: &Behaviour) -> Value {
    json!({
        "id": ID,
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "model": format!("{}-2026-01-01", asked.model),
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "service_tier": behaviour.service_tier.as_deref().unwrap_or("default"),
        "store": false,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": null,
        "user": null,
        "metadata": {},
    })
}

/// Writes an answer that is sent at once.
pub(crate) fn whole(asked: &Asked, behaviour: &Behaviour) -> Value {
    let mut body = begun(asked, behaviour);
    let is_cut = asked.answer.end == End::Length;
    let status = if is_cut { "incomplete" } else { "completed" };
    body["status"] = json!(status);
    if is_cut {
        body["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    let thoughts = (asked.tokens.reasoning > 0).then(thoughts);
    let items = thoughts.into_iter().chain([item(&asked.answer, status)]);
    body["output"] = items.collect();
    if behaviour.fault != Some(Fault::NoUsage) {
        body["usage"] = usage(asked.tokens);
    }
    body
}

fn thoughts() -> Value {
    json!({"id": "rs_mock", "type": "reasoning", "summary": []})
}

fn item(answer: &Answer, status: &str) -> Value {
    match &answer.tool {
        Some(tool) => call(tool, ARGUMENTS, status),
        None => message(&json!([text(&answer.text())]), status),
    }
}

fn call(tool: &str, arguments: &str, status: &str) -> Value {
    json!({
        "id": "fc_mock",
        "type": "function_call",
        "call_id": "call_mock",
        "name": tool,
        "arguments": arguments,
        "status": status,
    })
}

fn message(content: &Value, status: &str) -> Value {
    json!({
        "id": "msg_mock",
        "type": "message",
        "role": "assistant",
        "content": content,
        "status": status,
    })
}

fn text(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Events, in the order in which they are numbered.
struct Events(Vec<Piece>);

impl Events {
    fn push(&mut self, kind: &str, mut data: Value, tokens: u64) {
        data["sequence_number"] = json!(self.0.len());
        self.0.push(event(kind, data, tokens));
    }
}

fn event(kind: &str, mut data: Value, tokens: u64) -> Piece {
    data["type"] = json!(kind);
    Piece::new(format!("event: {kind}\ndata: {data}\n\n"), tokens)
}

/// Writes an answer that is sent in parts.
pub(crate) fn stream(asked: &Asked, behaviour: &Behaviour) -> Vec<Piece> {
    let mut events = Events(Vec::new());
    let begun = begun(asked, behaviour);
    events.push("response.created", json!({"response": begun}), 0);
    events.push("response.in_progress", json!({"response": begun}), 0);
    let mut place = 0;
    if asked.tokens.reasoning > 0 {
        let thought = json!({"output_index": place, "item": thoughts()});
        events.push("response.output_item.added", thought.clone(), 0);
        events.push("response.output_item.done", thought, 0);
        place += 1;
    }
    let whole = whole(asked, behaviour);
    match &asked.answer.tool {
        Some(tool) => push_call(&mut events, place, tool),
        None => push_message(&mut events, place, &asked.answer),
    }
    let done = json!({"output_index": place, "item": whole["output"][place]});
    events.push("response.output_item.done", done, 0);
    let kind = match asked.answer.end {
        End::Length => "response.incomplete",
        End::Turn | End::StopText(_) | End::Tool => "response.completed",
    };
    events.push(kind, json!({"response": whole}), 0);
    events.0
}

fn push_message(events: &mut Events, place: usize, answer: &Answer) {
    let added = json!({"output_index": place, "item": message(&json!([]), "in_progress")});
    events.push("response.output_item.added", added, 0);
    let part = |fields: Value| {
        let mut part = json!({"item_id": "msg_mock", "output_index": place, "content_index": 0});
        if let (Some(part), Some(fields)) = (part.as_object_mut(), fields.as_object()) {
            part.extend(fields.clone());
        }
        part
    };
    let empty = json!({"part": text("")});
    events.push("response.content_part.added", part(empty), 0);
    for word in &answer.words {
        let delta = json!({"delta": word, "logprobs": []});
        events.push("response.output_text.delta", part(delta), 1);
    }
    let done = json!({"text": answer.text(), "logprobs": []});
    events.push("response.output_text.done", part(done), 0);
    let whole = json!({"part": text(&answer.text())});
    events.push("response.content_part.done", part(whole), 0);
}

fn push_call(events: &mut Events, place: usize, tool: &str) {
    let added = json!({"output_index": place, "item": call(tool, "", "in_progress")});
    events.push("response.output_item.added", added, 1);
    let (first, second) = ARGUMENTS.split_at(ARGUMENTS.find(':').unwrap_or_default());
    for delta in [first, second] {
        let delta = json!({"item_id": "fc_mock", "output_index": place, "delta": delta});
        events.push("response.function_call_arguments.delta", delta, 1);
    }
    let done = json!({
        "item_id": "fc_mock",
        "output_index": place,
        "name": tool,
        "arguments": ARGUMENTS,
    });
    events.push("response.function_call_arguments.done", done, 0);
}

/// Writes the error that stands in a stream in place of the rest.
pub(crate) fn error(behaviour: &Behaviour) -> Piece {
    let number = match behaviour.fault {
        Some(Fault::ErrorAfter { events }) => events,
        _ => 0,
    };
    let data = json!({
        "code": "server_error",
        "message": "The server had an error while processing your request.",
        "param": null,
        "sequence_number": number,
    });
    event("error", data, 0)
}
