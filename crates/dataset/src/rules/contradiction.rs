use std::collections::HashMap;

use llmopt_domain::Severity;

use super::{About, Example, Problem, Rule, hash};

/// A prompt that an earlier row answers differently.
#[derive(Default)]
pub(super) struct Contradiction {
    /// The response to each prompt and the row that gives it first.
    first: HashMap<u64, (u64, u64)>,
}

impl Rule for Contradiction {
    fn about(&self) -> About {
        About {
            code: "contradicting_responses",
            severity: Severity::Warning,
            expected: "one response to one prompt",
            fix: "keep the better response, or say in the prompts what differs",
        }
    }

    fn check(&mut self, example: &Example<'_>) -> Option<Problem> {
        let (prompt, response) = example.conversation.split_response()?;
        let response = hash(&response);
        let (first, row) = *self
            .first
            .entry(hash(&prompt))
            .or_insert((response, example.row));
        (first != response).then(|| Problem {
            field: Some(example.response_field()),
            found: format!("another response than row {row} gives to the same prompt"),
        })
    }
}
