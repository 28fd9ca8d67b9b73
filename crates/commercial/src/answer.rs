use std::time::Duration;

use llmopt_domain::{Picodollars, TokenUsage};
use llmopt_providers::{FinishReason, ToolCallPart};
use llmopt_storage::spend::{Attempt, Basis};
use tokio::sync::mpsc;

use crate::{CommercialError, Target};

/// An answer that has begun: its first part is there.
#[derive(Debug)]
pub struct Answer {
    /// Who answers.
    pub target: Target,
    /// The answer. Dropping it cancels the rest at the provider, and settles what was used.
    pub events: AnswerStream,
}

/// The parts of an answer: it ends with [`AnswerEvent::Finished`] or with an error. The money is settled before
/// either comes.
pub type AnswerStream = mpsc::Receiver<Result<AnswerEvent, CommercialError>>;

/// A part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerEvent {
    /// The next part of the text: never empty.
    Text(String),
    /// The next part of a tool's call.
    ToolCall(ToolCallPart),
    /// The answer is whole; nothing comes after this.
    Finished(Box<Receipt>),
}

/// What an answer took.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The model that answered, as the provider says; else the one that was asked for.
    pub model: String,
    /// Why the answer ended.
    pub finish_reason: FinishReason,
    /// What it used, all attempts together.
    pub usage: TokenUsage,
    /// What that cost.
    pub cost: Picodollars,
    /// How that is known.
    pub basis: Basis,
    /// The version of the prices.
    pub price_version: String,
    /// The calls that it took, the last of which answered.
    pub attempts: Vec<Attempt>,
    /// What the provider calls the request.
    pub provider_request_id: Option<String>,
    /// How long it waited for its turn.
    pub waited: Duration,
    /// From the question to the first part of the answer.
    pub first_part: Duration,
}

impl AnswerEvent {
    /// Returns how many bytes of the answer it has: no fewer than tokens.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Text(text) => text.len(),
            Self::ToolCall(part) => {
                let (id, name) = (part.id.as_deref(), part.name.as_deref());
                let given = [id, name].into_iter().flatten().map(str::len);
                part.arguments.len() + given.sum::<usize>()
            }
            Self::Finished(_) => 0,
        };
        bytes as u64
    }
}
