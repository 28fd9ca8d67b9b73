use llmopt_domain::{Message, Role, ToolCall};
use serde::Serialize;
use serde_json::Value;

use crate::{CompletionRequest, Delivery, ProviderError, json};

/// What a server that speaks OpenAI's API understands of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// How the most tokens to generate are called.
    pub max_tokens: MaxTokensField,
    /// Whether a stream is asked to end with its tokens counted: without that, OpenAI and most servers do not
    /// tell them. Some servers refuse to be asked.
    pub usage_in_streams: bool,
    /// Whether the server pads its stream unless asked not to.
    pub pads_streams: bool,
    /// Whether the server is asked for its standard tier: OpenAI otherwise takes the one that the account prefers,
    /// at another price.
    pub has_tiers: bool,
}

/// How the most tokens to generate are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MaxTokensField {
    /// `max_tokens`, which OpenAI's newer models refuse.
    MaxTokens,
    /// `max_completion_tokens`, which many other servers do not know, and pass over.
    MaxCompletionTokens,
}

impl Dialect {
    /// OpenAI itself.
    pub const OPENAI: Self = Self {
        max_tokens: MaxTokensField::MaxCompletionTokens,
        usage_in_streams: true,
        pads_streams: true,
        has_tiers: true,
    };
    /// vLLM.
    pub const VLLM: Self = Self {
        max_tokens: MaxTokensField::MaxTokens,
        usage_in_streams: true,
        pads_streams: false,
        has_tiers: false,
    };
    /// The server of llama.cpp.
    pub const LLAMA_CPP: Self = Self::VLLM;
    /// Ollama.
    pub const OLLAMA: Self = Self::VLLM;
    /// Any other server: the least that all understand.
    pub const COMPATIBLE: Self = Self {
        max_tokens: MaxTokensField::MaxTokens,
        usage_in_streams: false,
        pads_streams: false,
        has_tiers: false,
    };

    fn stream_options(self) -> Option<StreamOptions> {
        self.usage_in_streams.then_some(StreamOptions {
            include_usage: true,
            include_obfuscation: self.pads_streams.then_some(false),
        })
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    tools: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    include_obfuscation: Option<bool>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    /// JSON as a text.
    arguments: String,
}

/// Writes a request as this server understands it.
pub(crate) fn write(
    request: &CompletionRequest,
    dialect: Dialect,
) -> Result<Vec<u8>, ProviderError> {
    request.check_tools()?;
    let messages = request.messages.iter().enumerate();
    let messages = messages.map(|(index, message)| turn(message, index));
    let max_tokens = Some(request.max_tokens);
    let (max_tokens, max_completion_tokens) = match dialect.max_tokens {
        MaxTokensField::MaxTokens => (max_tokens, None),
        MaxTokensField::MaxCompletionTokens => (None, max_tokens),
    };
    let stream = request.delivery == Delivery::Stream;
    json::write(&Body {
        model: &request.model,
        messages: messages.collect::<Result<_, _>>()?,
        max_tokens,
        max_completion_tokens,
        temperature: request.temperature,
        top_p: request.top_p,
        stop: &request.stop,
        tools: &request.tools,
        tool_choice: request.tool_choice.as_ref(),
        response_format: request.response_format.as_ref(),
        service_tier: dialect.has_tiers.then_some("default"),
        stream,
        stream_options: stream.then(|| dialect.stream_options()).flatten(),
    })
}

fn turn(message: &Message, index: usize) -> Result<Turn<'_>, ProviderError> {
    let calls = message.tool_calls.iter().enumerate();
    let tool_calls: Vec<_> = calls
        .map(|(call, it)| written_call(it, index, call))
        .collect::<Result<_, _>>()?;
    let is_tool = message.role == Role::Tool;
    if is_tool && message.tool_call_id.is_none() {
        return Err(ProviderError::Unsendable {
            place: format!("messages[{index}].tool_call_id"),
            problem: "expected the id of the call that the tool answers, found none",
        });
    }
    // A turn that only calls tools has no content, and an empty one is content.
    let only_calls = message.content.is_empty() && !tool_calls.is_empty();
    Ok(Turn {
        role: message.role.as_str(),
        content: (!only_calls).then_some(message.content.as_str()),
        // A tool has no name here: the call has it.
        name: message.name.as_deref().filter(|_| !is_tool),
        tool_calls,
        tool_call_id: message.tool_call_id.as_deref(),
    })
}

fn written_call(call: &ToolCall, index: usize, nth: usize) -> Result<Call<'_>, ProviderError> {
    let id = call
        .id
        .as_deref()
        .ok_or_else(|| ProviderError::Unsendable {
            place: format!("messages[{index}].tool_calls[{nth}].id"),
            problem: "expected the id that the tool's answer refers to, found none",
        })?;
    let arguments = Value::Object(call.arguments.clone()).to_string();
    Ok(Call {
        id,
        kind: "function",
        function: Function {
            name: &call.name,
            arguments,
        },
    })
}
