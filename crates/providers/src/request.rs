use std::time::Duration;

use llmopt_domain::Message;
use serde_json::Value;

use crate::ProviderError;

/// What a provider is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CompletionRequest {
    /// The model, as the provider spells it.
    pub model: String,
    /// The turns to answer; Anthropic takes none of the system after others.
    pub messages: Vec<Message>,
    /// Tokens to generate at most, those of thinking included.
    pub max_tokens: u32,
    /// The temperature; models of the newer generations refuse any.
    pub temperature: Option<f64>,
    /// The share of the probability that is drawn from; models of the newer generations refuse any.
    pub top_p: Option<f64>,
    /// Texts that end the answer where one appears.
    pub stop: Vec<String>,
    /// The tools that may be called: OpenAI's form for each of them is turned into Anthropic's where it has to
    /// be, one that the provider runs itself is refused.
    pub tools: Vec<Value>,
    /// Which tool is to be called: `"auto"`, `"none"`, `"required"` or OpenAI's object with a function's name,
    /// turned into Anthropic's; any other object is passed on as it is.
    pub tool_choice: Option<Value>,
    /// OpenAI's `response_format`; of Anthropic's forms, only a JSON schema has one.
    pub response_format: Option<Value>,
    /// Which of OpenAI's routes the model answers at; Anthropic has only one.
    pub route: OpenAiRoute,
    /// Whether the answer comes in parts.
    pub delivery: Delivery,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl CompletionRequest {
    /// Makes a request of nothing but turns; the answer comes in parts.
    pub fn new(model: impl Into<String>, messages: Vec<Message>, max_tokens: u32) -> Self {
        Self {
            model: model.into(),
            messages,
            max_tokens,
            temperature: None,
            top_p: None,
            stop: Vec::new(),
            tools: Vec::new(),
            tool_choice: None,
            response_format: None,
            route: OpenAiRoute::Chat,
            delivery: Delivery::Stream,
            timeouts: Timeouts::default(),
        }
    }
}

/// A route of OpenAI's at which models answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OpenAiRoute {
    /// Chat completions, which other servers have too.
    #[default]
    Chat,
    /// Responses. It takes no texts that end an answer, no names of speakers, no tools but functions, and no fewer
    /// than 16 tokens: a request with any of these is not sent.
    Responses,
}

impl CompletionRequest {
    /// Refuses tools that the provider would run itself: what those cost is in no table, and in no budget.
    pub(crate) fn check_tools(&self) -> Result<(), ProviderError> {
        let is_callers = |tool: &Value| {
            let kind = tool.get("type").and_then(Value::as_str);
            let has_form = ["function", "custom", "input_schema"]
                .iter()
                .any(|form| tool.get(form).is_some());
            has_form && matches!(kind, None | Some("function" | "custom"))
        };
        match self.tools.iter().position(|tool| !is_callers(tool)) {
            None => Ok(()),
            Some(place) => Err(ProviderError::Unsendable {
                place: format!("tools[{place}]"),
                problem: "expected a function that the caller runs: what a tool of the provider's costs is in no budget",
            }),
        }
    }
}

/// How an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Part by part, as the model makes it.
    Stream,
    /// At once, when the model is done.
    Whole,
}

/// How long an answer is waited for. The first two tell of the provider's health, so that they are the operator's
/// to set; `total` may be a user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// From the request to the first bytes of a streamed answer. A whole answer has its head only when it is
    /// done, so that `total` is its only limit.
    pub first_byte: Duration,
    /// Between two reads of an answer that has begun.
    pub idle: Duration,
    /// From the request to the end.
    pub total: Duration,
}

impl Default for Timeouts {
    /// A minute for the first byte and between two reads, ten minutes for all: what the official clients allow.
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}
