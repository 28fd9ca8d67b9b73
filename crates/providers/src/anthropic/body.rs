use llmopt_domain::{Message, Role};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{CompletionRequest, Delivery, ProviderError, json};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<Value>,
    /// What the account may have bought beside it has another price.
    service_tier: &'static str,
    stream: bool,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a Map<String, Value>,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: &'a str,
    },
}

/// Writes a request as Anthropic's API has it.
pub(crate) fn write(request: &CompletionRequest) -> Result<Vec<u8>, ProviderError> {
    request.check_tools()?;
    let is_system = |message: &&Message| message.role == Role::System;
    let system_turns = request.messages.iter().take_while(is_system).count();
    let (system, turns) = request.messages.split_at(system_turns);
    let system = system.iter().map(|message| message.content.as_str());
    let system: Vec<&str> = system.filter(|text| !text.is_empty()).collect();
    json::write(&Body {
        model: &request.model,
        max_tokens: request.max_tokens,
        system: (!system.is_empty()).then(|| system.join("\n\n")),
        messages: written_turns(turns, system_turns)?,
        temperature: request.temperature,
        top_p: request.top_p,
        stop_sequences: &request.stop,
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: request.tool_choice.as_ref().map(tool_choice).transpose()?,
        output_config: output_config(request.response_format.as_ref())?,
        service_tier: "standard_only",
        stream: request.delivery == Delivery::Stream,
    })
}

/// Writes turns, of which those of one side that follow each other are one: the results of all calls of a turn
/// have to be in the same one.
fn written_turns(messages: &[Message], first: usize) -> Result<Vec<Turn<'_>>, ProviderError> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (nth, message) in messages.iter().enumerate() {
        let index = first + nth;
        let role = side(message.role, index)?;
        let blocks = blocks(message, index)?;
        match turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.content.extend(blocks),
            None => turns.push(Turn {
                role,
                content: blocks,
            }),
        }
    }
    Ok(turns)
}

fn side(role: Role, index: usize) -> Result<&'static str, ProviderError> {
    match role {
        Role::User | Role::Tool => Ok("user"),
        Role::Assistant => Ok("assistant"),
        Role::System => Err(ProviderError::Unsendable {
            place: format!("messages[{index}].role"),
            problem: "expected system turns before all others, found one after them",
        }),
    }
}

fn blocks(message: &Message, index: usize) -> Result<Vec<Block<'_>>, ProviderError> {
    let missing = |what: String, problem| ProviderError::Unsendable {
        place: format!("messages[{index}].{what}"),
        problem,
    };
    if message.role == Role::Tool {
        let problem = "expected the id of the call that the tool answers, found none";
        let id = message.tool_call_id.as_deref();
        let tool_use_id = id.ok_or_else(|| missing("tool_call_id".to_owned(), problem))?;
        let content = message.content.as_str();
        return Ok(vec![Block::ToolResult {
            tool_use_id,
            content,
        }]);
    }
    let text = Some(message.content.as_str()).filter(|text| !text.is_empty());
    let mut blocks: Vec<_> = text.map(|text| Block::Text { text }).into_iter().collect();
    for (nth, call) in message.tool_calls.iter().enumerate() {
        let problem = "expected the id that the tool's answer refers to, found none";
        let id = call.id.as_deref();
        blocks.push(Block::ToolUse {
            id: id.ok_or_else(|| missing(format!("tool_calls[{nth}].id"), problem))?,
            name: &call.name,
            input: &call.arguments,
        });
    }
    if blocks.is_empty() {
        let problem = "expected a text or a tool's call, found nothing";
        return Err(missing("content".to_owned(), problem));
    }
    Ok(blocks)
}

/// Turns OpenAI's form of a tool into Anthropic's.
fn tool(tool: &Value) -> Value {
    let Some(function) = tool.get("function") else {
        return tool.clone();
    };
    let no_parameters = json!({"type": "object", "properties": {}});
    let parameters = function.get("parameters").cloned();
    let mut written = json!({
        "name": function["name"],
        "input_schema": parameters.unwrap_or(no_parameters),
    });
    for field in ["description", "strict"] {
        if let Some(value) = function.get(field) {
            written[field] = value.clone();
        }
    }
    written
}

/// Turns OpenAI's forms of a choice into Anthropic's.
fn tool_choice(choice: &Value) -> Result<Value, ProviderError> {
    if let Some(name) = choice.pointer("/function/name") {
        return Ok(json!({"type": "tool", "name": name}));
    }
    match choice {
        Value::Object(_) => Ok(choice.clone()),
        Value::String(text) if text == "auto" => Ok(json!({"type": "auto"})),
        Value::String(text) if text == "none" => Ok(json!({"type": "none"})),
        Value::String(text) if text == "required" => Ok(json!({"type": "any"})),
        _ => Err(ProviderError::Unsendable {
            place: "tool_choice".to_owned(),
            problem: "expected `auto`, `none`, `required` or an object",
        }),
    }
}

/// Turns OpenAI's form of a schema for the answer into Anthropic's.
fn output_config(format: Option<&Value>) -> Result<Option<Value>, ProviderError> {
    let Some(format) = format else {
        return Ok(None);
    };
    if format["type"] == "text" {
        return Ok(None);
    }
    let schema = format.pointer("/json_schema/schema");
    let schema = schema.ok_or_else(|| ProviderError::Unsendable {
        place: "response_format".to_owned(),
        problem: "expected a JSON schema, which is the only form that Anthropic takes",
    })?;
    let format = json!({"type": "json_schema", "schema": schema});
    Ok(Some(json!({ "format": format })))
}
