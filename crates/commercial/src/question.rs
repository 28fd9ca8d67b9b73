use std::num::NonZeroU32;

use llmopt_domain::Conversation;
use llmopt_providers::Delivery;
use llmopt_storage::spend::RequestId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

/// Whose question it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The id of the key that asks; empty where none is needed.
    pub key: String,
    /// Tokens of commercial models that it may use in a minute, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU32>,
}

impl Asker {
    /// Names a key without a limit of its own.
    pub fn of_key(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            tokens_per_minute: None,
        }
    }
}

/// What a user asks a commercial model.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The request of the client: it is billed once. No two have the same.
    pub request: RequestId,
    /// Whose question it is.
    pub asker: Asker,
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
    /// When whoever asks waits no longer; `None` is as long as the policy lets an answer take.
    pub answer_by: Option<Instant>,
    /// What whoever asks does where a limit has no turn soon enough.
    pub when_limited: WhenLimited,
}

/// What whoever asks does where a limit has no turn soon enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenLimited {
    /// The user is sent back, which is counted: where it goes on, somebody is told.
    #[default]
    SendBack,
    /// The same question is asked again when its turn has come.
    AskAgain,
}
