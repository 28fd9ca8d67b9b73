use llmopt_domain::Severity;

use super::{About, Example, Problem, Rule, hash};

/// One response to every prompt: the model would learn to ignore the prompt.
#[derive(Default)]
pub(super) struct SameResponse {
    first: Option<u64>,
    rows: u64,
    differ: bool,
}

impl Rule for SameResponse {
    fn about(&self) -> About {
        About {
            code: "same_response",
            severity: Severity::Error,
            expected: "responses that depend on the prompt",
            fix: "check the response column: it may have been filled with a constant",
        }
    }

    fn check(&mut self, example: &Example<'_>) -> Option<Problem> {
        let (_, response) = example.conversation.split_response()?;
        let response = hash(&response);
        self.rows += 1;
        self.differ |= *self.first.get_or_insert(response) != response;
        None
    }

    fn finish(&mut self, _: u64) -> Option<Problem> {
        let constant = self.rows > 1 && !self.differ;
        constant.then(|| Problem {
            field: None,
            found: format!("the same response in all {} rows", self.rows),
        })
    }
}
