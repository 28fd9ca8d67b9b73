use std::time::Duration;

use llmopt_commercial::Receipt;
use llmopt_domain::Picodollars;
use llmopt_http::{Problem, ProblemView};
use llmopt_service::GenerationEvent;
use llmopt_storage::spend::Basis;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{Comparison, Dollars};

/// Whose model it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// A provider's.
    Commercial,
    /// One of our own.
    Own,
}

/// Models compared on the same texts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ComparisonView {
    /// Tokens of each answer at most.
    pub max_tokens: u32,
    /// What comes together for each model, in the order of the request.
    pub models: Vec<ModelTotals>,
    /// What became of each text, in the order of the request.
    pub texts: Vec<TextRow>,
}

/// One text, and what became of each model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TextRow {
    /// The text's place among those of the request, from 0.
    pub text: usize,
    /// By model, in the order of the request.
    pub results: Vec<Cell>,
}

/// What one model makes of one text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Cell {
    /// The model, as the request has it.
    pub model_id: String,
    /// Whose model it is.
    pub model_type: ModelKind,
    /// What it would cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<QuoteView>,
    /// What it answered, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemView>)]
    pub error: Option<Value>,
    #[serde(skip)]
    #[schema(ignore)]
    quoted: Option<Quoted>,
}

/// What a model would cost for a text.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QuoteView {
    /// Who would be asked first; `null` of a model of our own.
    pub provider: Option<String>,
    /// Tokens of the prompt: counted with the tokenizer of a model of our own, estimated from the length for a
    /// provider's.
    pub estimated_input_tokens: u64,
    /// Tokens of the prompt at most.
    pub most_input_tokens: u64,
    /// Tokens of the answer at most.
    pub most_output_tokens: u64,
    /// What the estimated prompt and the longest answer cost.
    pub estimate_usd: Dollars,
    /// What it costs at most: what would be reserved.
    pub bound_usd: Dollars,
}

/// An answer, and what it took.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Answered {
    /// The answer.
    pub text: String,
    /// The model that answered.
    pub model: String,
    /// Who answered; `null` of a model of our own.
    pub provider: Option<String>,
    /// Tokens of the prompt, as whoever answered counted them, those from a cache included.
    pub input_tokens: u64,
    /// Tokens of the answer, what the model thought included.
    pub output_tokens: u64,
    /// What it cost.
    pub cost_usd: Dollars,
    /// How that is known: `measured`, `overrun` where it is more than was reserved, or `assumed` where nobody
    /// counted.
    pub cost_basis: &'static str,
    /// From the question to the end of the answer, the wait for its turn included.
    pub latency_ms: u64,
    /// How often providers were called for it.
    pub attempts: usize,
    #[serde(skip)]
    #[schema(ignore)]
    cost: Picodollars,
}

/// What comes together for a model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelTotals {
    /// The model, as the request has it.
    pub model_id: String,
    /// Whose model it is.
    pub model_type: ModelKind,
    /// What the texts would cost that it can be asked.
    pub estimate_usd: Dollars,
    /// What they cost at most.
    pub bound_usd: Dollars,
    /// The texts that it answered.
    pub answered: usize,
    /// What the answers cost.
    pub cost_usd: Dollars,
    /// Tokens of the prompts of the answers.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
    /// The middle one of the latencies of the answers; `null` where there is none.
    pub median_latency_ms: Option<u64>,
    /// The texts that it cannot be asked, or did not answer.
    pub failed: usize,
}

/// What a model would cost for a text, as it is counted with.
#[derive(Clone, Debug)]
pub(crate) struct Quoted {
    pub(crate) provider: Option<String>,
    pub(crate) estimated_input_tokens: u64,
    pub(crate) most_input_tokens: u64,
    pub(crate) most_output_tokens: u64,
    pub(crate) estimate: Picodollars,
    pub(crate) bound: Picodollars,
}

impl ComparisonView {
    /// Shows the cells of each model, in the order of the texts.
    pub(crate) fn new(comparison: &Comparison, columns: Vec<Vec<Cell>>) -> Self {
        let models = comparison.models.iter().zip(&columns);
        let models = models.map(|(model, cells)| ModelTotals::new(model, cells));
        let models = models.collect();
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        let texts = (0..comparison.texts.len()).map(|text| TextRow {
            text,
            results: columns.iter_mut().filter_map(Iterator::next).collect(),
        });
        Self {
            max_tokens: comparison.max_tokens,
            models,
            texts: texts.collect(),
        }
    }
}

impl Cell {
    pub(crate) fn new(model: &str, kind: ModelKind, quoted: Result<Quoted, Problem>) -> Self {
        let (quoted, error) = match quoted {
            Ok(quoted) => (Some(quoted), None),
            Err(problem) => (None, Some(problem.to_json(None))),
        };
        Self {
            model_id: model.to_owned(),
            model_type: kind,
            quote: quoted.as_ref().map(QuoteView::from),
            answer: None,
            error,
            quoted,
        }
    }
}

impl From<&Quoted> for QuoteView {
    fn from(quoted: &Quoted) -> Self {
        Self {
            provider: quoted.provider.clone(),
            estimated_input_tokens: quoted.estimated_input_tokens,
            most_input_tokens: quoted.most_input_tokens,
            most_output_tokens: quoted.most_output_tokens,
            estimate_usd: quoted.estimate.into(),
            bound_usd: quoted.bound.into(),
        }
    }
}

impl Answered {
    pub(crate) fn commercial(
        provider: String,
        text: String,
        receipt: Receipt,
        latency: Duration,
    ) -> Self {
        Self {
            text,
            model: receipt.model,
            provider: Some(provider),
            input_tokens: receipt.usage.prompt_tokens(),
            output_tokens: receipt.usage.output_tokens,
            cost_usd: receipt.cost.into(),
            cost_basis: match receipt.basis {
                Basis::Measured => "measured",
                Basis::Overrun { .. } => "overrun",
                Basis::Assumed => "assumed",
            },
            latency_ms: latency.as_millis() as u64,
            attempts: receipt.attempts.len(),
            cost: receipt.cost,
        }
    }

    /// Shows an answer of a model of our own that has ended so.
    pub(crate) fn own(
        model: String,
        text: String,
        finished: &GenerationEvent,
        latency: Duration,
    ) -> Self {
        let (input, output) = match *finished {
            GenerationEvent::Finished {
                prompt_tokens,
                completion_tokens,
                ..
            } => (prompt_tokens, completion_tokens),
            GenerationEvent::Text { .. } => (0, 0),
        };
        Self {
            text,
            model,
            provider: None,
            input_tokens: input.into(),
            output_tokens: output.into(),
            cost_usd: Picodollars::ZERO.into(),
            cost_basis: "measured",
            latency_ms: latency.as_millis() as u64,
            attempts: 1,
            cost: Picodollars::ZERO,
        }
    }
}

impl ModelTotals {
    fn new(model: &str, cells: &[Cell]) -> Self {
        let quotes = || cells.iter().filter_map(|cell| cell.quoted.as_ref());
        let answers: Vec<_> = cells.iter().filter_map(|it| it.answer.as_ref()).collect();
        let mut latencies: Vec<u64> = answers.iter().map(|it| it.latency_ms).collect();
        latencies.sort_unstable();
        let estimate: Picodollars = quotes().map(|it| it.estimate).sum();
        let bound: Picodollars = quotes().map(|it| it.bound).sum();
        let cost: Picodollars = answers.iter().map(|it| it.cost).sum();
        Self {
            model_id: model.to_owned(),
            model_type: cells
                .first()
                .map_or(ModelKind::Commercial, |cell| cell.model_type),
            estimate_usd: estimate.into(),
            bound_usd: bound.into(),
            answered: answers.len(),
            cost_usd: cost.into(),
            input_tokens: answers.iter().map(|it| it.input_tokens).sum(),
            output_tokens: answers.iter().map(|it| it.output_tokens).sum(),
            median_latency_ms: latencies.get(latencies.len() / 2).copied(),
            failed: cells.iter().filter(|it| it.error.is_some()).count(),
        }
    }
}
