use llmopt_domain::Picodollars;
use llmopt_prices::{AskedTerms, AskedTier, CostError, TokenLimits};
use serde::Serialize;
use serde_json::Value;

use crate::{CommercialError, Question, catalog::Candidate};

/// What a question is expected to cost, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Tokens of the prompt, as estimated from its length: providers count differently.
    pub estimated_prompt_tokens: u64,
    /// Tokens of the prompt at most.
    pub most_prompt_tokens: u64,
    /// Tokens of the answer at most.
    pub most_output_tokens: u64,
    /// What the estimated prompt and the longest answer cost.
    pub estimate: Picodollars,
    /// The most that it may cost: what is reserved.
    pub bound: Picodollars,
}

/// What a provider puts around each turn, in tokens, at most.
const AROUND_TURN: u64 = 16;
/// What it puts around the whole.
const AROUND_ALL: u64 = 64;
/// What it says to a model that has tools or a form to keep to: Anthropic documents up to some 700 tokens.
const ABOUT_TOOLS: u64 = 1_024;
/// Bytes of a token on average.
const BYTES_PER_TOKEN: u64 = 4;

/// All the texts that a model is given.
#[derive(Serialize)]
struct Texts<'q> {
    conversation: &'q llmopt_domain::Conversation,
    stop: &'q [String],
    tool_choice: Option<&'q Value>,
    response_format: Option<&'q Value>,
}

impl Candidate {
    /// Returns what `question` costs at most. Tokens are counted by nobody but the provider: every token is of one
    /// byte at least, so that a prompt has no more of them than bytes.
    pub(crate) fn quote(
        &self,
        question: &Question,
        default_max_tokens: u32,
    ) -> Result<Quote, CommercialError> {
        let bytes = written_bytes(question);
        let turns = question.conversation.messages.len() as u64;
        let around = AROUND_ALL + turns * AROUND_TURN;
        let told =
            match question.conversation.tools.is_empty() && question.response_format.is_none() {
                true => 0,
                false => ABOUT_TOOLS,
            };
        let most_prompt_tokens = bytes + around + told;
        let estimated_prompt_tokens = bytes.div_ceil(BYTES_PER_TOKEN);
        let most_output_tokens = self.most_output_tokens(question, default_max_tokens).into();
        let limits = |prompt_tokens| TokenLimits {
            prompt_tokens,
            output_tokens: most_output_tokens,
        };
        let asked = AskedTerms {
            tier: AskedTier::Standard,
            region: self.provider.setup.region,
        };
        let bound = self.price.bound(limits(most_prompt_tokens), asked);
        let usage = llmopt_domain::TokenUsage {
            input_tokens: estimated_prompt_tokens,
            output_tokens: most_output_tokens,
            ..Default::default()
        };
        let estimate = self.price.cost(&usage, self.terms());
        Ok(Quote {
            estimated_prompt_tokens,
            most_prompt_tokens,
            most_output_tokens,
            estimate: estimate.map_err(|source| self.no_cost(source))?,
            bound: bound.map_err(|source| self.no_cost(source))?,
        })
    }

    /// Returns what is sent as the most tokens of the answer.
    pub(crate) fn most_output_tokens(&self, question: &Question, default_max_tokens: u32) -> u32 {
        let longest = self.max_output_tokens.unwrap_or(u64::MAX);
        question.max_tokens.unwrap_or_else(|| {
            u32::try_from(longest)
                .unwrap_or(u32::MAX)
                .min(default_max_tokens)
        })
    }

    fn no_cost(&self, source: CostError) -> CommercialError {
        CommercialError::Cost {
            model: self.model.clone(),
            source,
        }
    }
}

/// Counts the bytes of what a model is given. JSON is never shorter than the texts in it.
fn written_bytes(question: &Question) -> u64 {
    let texts = Texts {
        conversation: &question.conversation,
        stop: &question.stop,
        tool_choice: question.tool_choice.as_ref(),
        response_format: question.response_format.as_ref(),
    };
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, &texts) {
        Ok(()) => counter.0,
        // Nothing that has a text fails to be written; were there one, it would be refused for its cost.
        Err(_) => u64::from(u32::MAX),
    }
}

struct Counter(u64);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
