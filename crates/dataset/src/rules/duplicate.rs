use std::collections::HashMap;

use llmopt_domain::Severity;

use super::{About, Example, Problem, Rule, hash};

/// A row that says exactly what an earlier one says.
#[derive(Default)]
pub(super) struct Duplicate {
    first: HashMap<u64, u64>,
}

impl Rule for Duplicate {
    fn about(&self) -> About {
        About {
            code: "duplicate_row",
            severity: Severity::Warning,
            expected: "each row once",
            fix: "remove the repetition: it weighs more than its neighbours",
        }
    }

    fn check(&mut self, example: &Example<'_>) -> Option<Problem> {
        let first = *self
            .first
            .entry(hash(example.conversation))
            .or_insert(example.row);
        (first != example.row).then(|| Problem {
            field: None,
            found: format!("the same as row {first}"),
        })
    }
}
