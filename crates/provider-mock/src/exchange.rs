use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which API a request is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// OpenAI's.
    Openai,
    /// Anthropic's.
    Anthropic,
}

/// A request and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Of which API it is.
    pub api: Api,
    /// The method and the path.
    pub target: String,
    /// The port that it came from: the same for all that came over one connection.
    pub peer_port: u16,
    /// The model that was asked for.
    pub model: Option<String>,
    /// The headers, the key among them.
    pub headers: BTreeMap<String, String>,
    /// The body; null where it is no JSON.
    pub body: Value,
    /// The status that it was answered with.
    pub status: u16,
    /// What is billed for what was sent so far; nothing for a refusal.
    pub billed: Option<Tokens>,
    /// How far it is.
    pub ended: Ended,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It is being sent.
    Open,
    /// All of it was sent.
    Whole,
    /// It was cut off, as it was to be.
    Cut,
    /// Who asked went away.
    Abandoned,
}

/// Tokens, each counted once but those of thinking, which are output too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// Input that no cache had.
    pub input: u64,
    /// Input from a cache.
    pub cache_read: u64,
    /// Input put into a cache for a short time.
    pub cache_write: u64,
    /// Input put into a cache for a long time.
    pub cache_write_long: u64,
    /// Output.
    pub output: u64,
    /// The part of the output that is thinking.
    pub reasoning: u64,
}
