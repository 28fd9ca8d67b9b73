use serde::{Deserialize, Serialize};

use crate::{Day, Period, Price};

/// Who sells a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// OpenAI.
    Openai,
    /// Anthropic.
    Anthropic,
}

impl Provider {
    /// The provider's name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

/// A route of a provider's that a model answers at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// OpenAI's embeddings, which have no output.
    Embeddings,
}

/// What a model answers with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A temperature, a top p or a top k of one's own.
    SamplingParameters,
    /// A tool that must be used.
    ForcedToolUse,
}

/// The end of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// The first day on which the provider answers with an error.
    pub on: Day,
    /// The model to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
}

/// A model, what is known of it, and what it has cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The name that requests have.
    pub id: String,
    /// Who sells it.
    pub provider: Provider,
    /// Other names of the same model at the same price, such as those with a date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The routes that it answers at.
    pub apis: Vec<Api>,
    /// Whether it may generate tokens, unasked, that are not in its answer, which are paid for; so it is taken to
    /// where nobody knows.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub thinks: bool,
    /// The most tokens that a prompt may have, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// The most tokens that an answer may have, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// What it is known to refuse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejects: Vec<Refusal>,
    /// When it ends, once that is announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<Shutdown>,
    /// What else a person should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its prices, the oldest first; each holds until the next.
    pub periods: Vec<Period>,
}

impl Model {
    /// Returns the model's end, if it has come.
    pub fn shutdown_by(&self, day: Day) -> Option<&Shutdown> {
        self.shutdown.as_ref().filter(|shutdown| shutdown.on <= day)
    }

    /// Returns the price row of a day, if there is one.
    pub fn period(&self, day: Day) -> Option<&Period> {
        self.periods.iter().find(|period| period.holds(day))
    }

    /// Returns the price of a day, if there is one.
    pub fn price(&self, day: Day) -> Option<&Price> {
        self.period(day).map(|period| &period.price)
    }

    /// Returns the id and all the other names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.id]
            .into_iter()
            .chain(&self.aliases)
            .map(String::as_str)
    }
}

fn yes() -> bool {
    true
}
