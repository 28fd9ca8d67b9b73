use llmopt_domain::Conversation;
use llmopt_providers::Delivery;
use llmopt_storage::spend::RequestId;
use serde_json::Value;

/// What a user asks a commercial model.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The request of the client: it is billed once. No two have the same.
    pub request: RequestId,
    /// The id of the key that asks; empty where none is needed.
    pub key: String,
    /// The model: an id of the table of prices, `PROVIDER/MODEL`, or an alias.
    pub model: String,
    /// The turns to answer, and the tools that the answer may call.
    pub conversation: Conversation,
    /// Tokens of the answer at most, those of thinking included.
    pub max_tokens: Option<u32>,
    /// The temperature; `None` is the model's own.
    pub temperature: Option<f64>,
    /// The share of the probability that is drawn from; `None` is the model's own.
    pub top_p: Option<f64>,
    /// Texts that end the answer where one appears.
    pub stop: Vec<String>,
    /// As `tool_choice` of the provider's request.
    pub tool_choice: Option<Value>,
    /// As OpenAI's `response_format`.
    pub response_format: Option<Value>,
    /// Whether the provider is asked for parts.
    pub delivery: Delivery,
}
