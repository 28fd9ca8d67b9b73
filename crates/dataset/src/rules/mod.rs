//! The rules that rows must keep: one small type each.

mod contradiction;
mod duplicate;
mod empty;
mod few_rows;
mod same_response;

use std::hash::{DefaultHasher, Hash, Hasher};

use llmopt_domain::{Conversation, Severity};

use crate::Shape;

/// What a rule is about, for findings and documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The rule's stable code.
    pub code: &'static str,
    /// How bad a finding is.
    pub severity: Severity,
    /// What a row must keep to.
    pub expected: &'static str,
    /// What the user can do.
    pub fix: &'static str,
}

/// A row that was read as a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// Counted from 1.
    pub row: u64,
    /// What the columns mean.
    pub shape: Shape,
    /// What the row says.
    pub conversation: &'a Conversation,
}

impl Example<'_> {
    /// Returns the field that holds the last response.
    pub fn response_field(&self) -> String {
        self.shape.field(
            self.conversation,
            self.conversation.messages.len().saturating_sub(1),
        )
    }
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, if it is in one.
    pub field: Option<String>,
    /// What is there.
    pub found: String,
}

/// Something that every row, or the rows together, must keep to.
pub trait Rule {
    /// Says what the rule is about.
    fn about(&self) -> About;

    /// Looks at the next row.
    fn check(&mut self, example: &Example<'_>) -> Option<Problem>;

    /// Looks at the file after its last row, of `rows` in all.
    fn finish(&mut self, rows: u64) -> Option<Problem> {
        let _ = rows;
        None
    }
}

/// Returns every rule, fresh for one file that needs `min_rows` rows.
pub fn rules(min_rows: u64) -> Vec<Box<dyn Rule>> {
    vec![
        Box::new(few_rows::FewRows { min_rows }),
        Box::new(empty::EmptyPrompt),
        Box::new(empty::EmptyResponse),
        Box::new(duplicate::Duplicate::default()),
        Box::new(contradiction::Contradiction::default()),
        Box::new(same_response::SameResponse::default()),
    ]
}

/// 64 bits are enough to warn by: two of a billion different rows share them once in 37 files.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
