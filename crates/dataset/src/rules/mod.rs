//! The rules that rows must keep which could be read: one type each.

mod duplicate_rows;
mod empty_text;
mod extra_columns;
mod identical_responses;
mod minimum_rows;
mod near_duplicates;
mod same_prompt;

use std::hash::{DefaultHasher, Hash, Hasher as _};

use llmopt_domain::{Conversation, Finding, Message, Place, Severity};

use crate::{Columns, Row, ValidationOptions};
pub(crate) use empty_text::EmptyText;

/// A row that could be read as a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// The file, as the user named it.
    pub file: &'a str,
    /// What the file's columns were recognised as.
    pub columns: &'a Columns,
    /// The row.
    pub row: &'a Row,
    /// What it says.
    pub conversation: &'a Conversation,
}

impl Example<'_> {
    /// Returns the row's place.
    pub fn place(&self) -> Place {
        self.row.place(self.file)
    }

    /// Returns the turns before the final response, and that response.
    pub fn prompt_and_response(&self) -> (&[Message], &str) {
        self.conversation.split_response().unwrap_or_default()
    }
}

/// What is known of a file once all of it was read.
#[derive(Clone, Copy, Debug)]
pub struct Totals<'a> {
    /// The file, as the user named it.
    pub file: &'a str,
    /// All rows, broken ones included.
    pub rows: u64,
}

impl Totals<'_> {
    /// Returns the file as a place.
    pub fn place(&self) -> Place {
        Place {
            file: self.file.to_owned(),
            ..Place::default()
        }
    }
}

/// Something that every dataset must keep to, or had better.
///
/// A rule sees the rows in order and keeps at most some bytes of each.
pub trait Rule {
    /// Returns the stable code of its findings.
    fn code(&self) -> &'static str;

    /// Returns how bad its findings are.
    fn severity(&self) -> Severity;

    /// Looks at one row.
    fn check(&mut self, _example: &Example<'_>, _findings: &mut Vec<Finding>) {}

    /// Says what only shows at the end.
    fn finish(&mut self, _totals: &Totals<'_>, _findings: &mut Vec<Finding>) {}

    /// Makes a finding of `[expected, found, fix]` with the rule's code and severity.
    fn finding(&self, place: Place, [expected, found, fix]: [String; 3]) -> Finding {
        Finding {
            code: self.code().to_owned(),
            severity: self.severity(),
            place,
            expected,
            found,
            fix,
        }
    }
}

/// Returns every rule, ready for the first row.
pub fn rules(options: &ValidationOptions) -> Vec<Box<dyn Rule>> {
    vec![
        Box::new(minimum_rows::MinimumRows(options.minimum_rows)),
        Box::new(EmptyText),
        Box::new(identical_responses::IdenticalResponses::default()),
        Box::new(duplicate_rows::DuplicateRows::default()),
        Box::new(same_prompt::SamePrompt::default()),
        Box::new(near_duplicates::NearDuplicates::among(
            options.near_duplicate_rows,
        )),
        Box::new(extra_columns::ExtraColumns::default()),
    ]
}

/// Stands for a text in a rule's memory. Two texts in a million million million share one, and rules that
/// go by it only warn, or need all rows to agree.
fn fingerprint(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_a_code_of_its_own() {
        let rules = rules(&ValidationOptions::default());
        let codes: BTreeSet<_> = rules.iter().map(|rule| rule.code()).collect();
        assert_eq!(codes.len(), rules.len());
    }
}
