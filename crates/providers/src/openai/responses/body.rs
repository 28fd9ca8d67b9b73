use llmopt_domain::{Message, Role};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{CompletionRequest, Delivery, Dialect, ProviderError, json as body};

/// The fewest tokens that an answer may be cut to here.
const FEWEST_TOKENS: u32 = 16;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: Vec<Item<'a>>,
    max_output_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Value>,
    /// Otherwise the provider keeps the answer, and what it answers, for a month.
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_obfuscation: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item<'a> {
    Message {
        role: &'static str,
        content: &'a str,
    },
    FunctionCall {
        call_id: &'a str,
        name: &'a str,
        /// JSON as a text.
        arguments: String,
    },
    FunctionCallOutput {
        call_id: &'a str,
        output: &'a str,
    },
}

/// Writes a request as this route has it.
pub(crate) fn write(
    request: &CompletionRequest,
    dialect: Dialect,
) -> Result<Vec<u8>, ProviderError> {
    if !request.stop.is_empty() {
        let problem = "the model answers at OpenAI's Responses API alone, where no text ends an answer: leave it out";
        return Err(unsendable("stop", problem));
    }
    if request.max_tokens < FEWEST_TOKENS {
        let problem = "the model answers at OpenAI's Responses API alone, which takes no fewer than 16: allow as many";
        return Err(unsendable("max_tokens", problem));
    }
    let stream = request.delivery == Delivery::Stream;
    let tools = request.tools.iter().enumerate();
    let choice = request.tool_choice.as_ref();
    let format = request.response_format.as_ref();
    body::write(&Body {
        model: &request.model,
        input: input(request)?,
        max_output_tokens: request.max_tokens,
        temperature: request.temperature,
        top_p: request.top_p,
        tools: tools
            .map(|(index, it)| tool(it, index))
            .collect::<Result<_, _>>()?,
        tool_choice: choice.map(tool_choice).transpose()?,
        text: format.map(text_format).transpose()?,
        store: false,
        service_tier: dialect.has_tiers.then_some("default"),
        stream,
        stream_options: (stream && dialect.pads_streams).then_some(StreamOptions {
            include_obfuscation: false,
        }),
    })
}

fn input(request: &CompletionRequest) -> Result<Vec<Item<'_>>, ProviderError> {
    let mut items = Vec::new();
    for (index, message) in request.messages.iter().enumerate() {
        add_turn(message, index, &mut items)?;
    }
    Ok(items)
}

fn add_turn<'a>(
    message: &'a Message,
    index: usize,
    items: &mut Vec<Item<'a>>,
) -> Result<(), ProviderError> {
    let content = message.content.as_str();
    if message.role == Role::Tool {
        let problem = "expected the id of the call that the tool answers, found none";
        let id = message.tool_call_id.as_deref();
        items.push(Item::FunctionCallOutput {
            call_id: id
                .ok_or_else(|| unsendable(format!("messages[{index}].tool_call_id"), problem))?,
            output: content,
        });
        return Ok(());
    }
    if message.name.is_some() {
        let problem = "the model answers at OpenAI's Responses API alone, where a speaker has no name: leave it out";
        return Err(unsendable(format!("messages[{index}].name"), problem));
    }
    if !content.is_empty() || message.tool_calls.is_empty() {
        let role = message.role.as_str();
        items.push(Item::Message { role, content });
    }
    for (nth, call) in message.tool_calls.iter().enumerate() {
        let problem = "expected the id that the tool's answer refers to, found none";
        let place = || format!("messages[{index}].tool_calls[{nth}].id");
        let id = call.id.as_deref();
        items.push(Item::FunctionCall {
            call_id: id.ok_or_else(|| unsendable(place(), problem))?,
            name: &call.name,
            arguments: Value::Object(call.arguments.clone()).to_string(),
        });
    }
    Ok(())
}

/// Turns the form of chat completions for a tool into this route's, in which the function has no envelope.
fn tool(tool: &Value, index: usize) -> Result<Value, ProviderError> {
    let is_function = tool["type"] == "function";
    let function = tool.get("function").unwrap_or(tool);
    if !is_function || !function["name"].is_string() {
        // The tools that the provider runs itself have prices of their own, which no budget would know of.
        let problem = "expected a function with a name: no other tool can be called here";
        return Err(unsendable(format!("tools[{index}]"), problem));
    }
    let no_parameters = json!({"type": "object", "properties": {}});
    let parameters = function.get("parameters").cloned();
    let mut written = json!({
        "type": "function",
        "name": function["name"],
        "parameters": parameters.unwrap_or(no_parameters),
        // Left out, it is true here, and false in chat completions.
        "strict": function.get("strict").unwrap_or(&Value::Bool(false)),
    });
    if let Some(description) = function.get("description") {
        written["description"] = description.clone();
    }
    Ok(written)
}

/// Turns the forms of chat completions for a choice into this route's.
fn tool_choice(choice: &Value) -> Result<Value, ProviderError> {
    if let Some(name) = choice.pointer("/function/name") {
        return Ok(json!({"type": "function", "name": name}));
    }
    if let Some(allowed) = choice.get("allowed_tools") {
        let tools = allowed["tools"].as_array();
        let flat = |tool: &Value| match tool.pointer("/function/name") {
            Some(name) => json!({"type": "function", "name": name}),
            None => tool.clone(),
        };
        let tools: Vec<_> = tools.into_iter().flatten().map(flat).collect();
        return Ok(json!({"type": "allowed_tools", "mode": allowed["mode"], "tools": tools}));
    }
    match choice {
        Value::String(_) | Value::Object(_) => Ok(choice.clone()),
        _ => Err(unsendable(
            "tool_choice",
            "expected `auto`, `none`, `required` or an object",
        )),
    }
}

/// Turns the forms of chat completions for an answer's form into this route's.
fn text_format(format: &Value) -> Result<Value, ProviderError> {
    if format["type"] != "json_schema" {
        return Ok(json!({ "format": format }));
    }
    let Some(Value::Object(schema)) = format.get("json_schema") else {
        let problem = "expected an object with a name and a schema";
        return Err(unsendable("response_format.json_schema", problem));
    };
    let mut format = schema.clone();
    format.insert("type".to_owned(), json!("json_schema"));
    Ok(json!({ "format": format }))
}

fn unsendable(place: impl Into<String>, problem: &'static str) -> ProviderError {
    ProviderError::Unsendable {
        place: place.into(),
        problem,
    }
}
