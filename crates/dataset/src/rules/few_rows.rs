use llmopt_domain::Severity;

use super::{About, Example, Problem, Rule};

/// Too few rows teach nothing but themselves.
pub(super) struct FewRows {
    pub(super) min_rows: u64,
}

impl Rule for FewRows {
    fn about(&self) -> About {
        About {
            code: "too_few_rows",
            severity: Severity::Error,
            expected: "enough rows to learn from (at least 10 to train on)",
            fix: "add rows; a few hundred are a good start",
        }
    }

    fn check(&mut self, _: &Example<'_>) -> Option<Problem> {
        None
    }

    fn finish(&mut self, rows: u64) -> Option<Problem> {
        (rows < self.min_rows).then(|| Problem {
            field: None,
            found: format!("{rows}, fewer than {}", self.min_rows),
        })
    }
}
