//! The rules that rows must keep which could be read: one type each.

mod common_text;
mod duplicate_rows;
mod echoed_prompt;
mod empty_text;
mod extra_columns;
mod first_rows;
mod html;
mod identical_responses;
mod minimum_rows;
mod mixed_normal_forms;
mod near_duplicates;
mod no_weight;
mod other_lesson;
mod other_script;
mod prompt_variants;
mod reading;
mod reference;
mod response_format;
mod same_prompt;
mod short_responses;
mod texts;
mod tool_answers;
mod tool_calls;
mod tool_schema;
mod truncated_responses;
mod upper_case;

#[cfg(test)]
mod terrible;

use std::hash::{DefaultHasher, Hash, Hasher as _};

use llmopt_domain::{ColumnMap, Conversation, Finding, Message, Place, Severity};

use crate::{Columns, Comparison, Row, ValidationOptions, mapping::field_in_file};
pub(crate) use empty_text::EmptyText;
pub use reference::{Reference, references};

/// A row that could be read as a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// The file, as the user named it.
    pub file: &'a str,
    /// What the file's columns were recognised as.
    pub columns: &'a Columns,
    /// What the file calls them.
    pub map: &'a ColumnMap,
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

    /// Returns the place of the turn at `index`.
    pub fn place_of_turn(&self, index: usize) -> Place {
        let mut place = self.place();
        place.field = Some(self.field_of_turn(index));
        place
    }

    /// Names the field that the turn at `index` came from, as the file does.
    pub fn field_of_turn(&self, index: usize) -> String {
        field_in_file(self.columns.field_of(self.conversation, index), self.map)
    }

    /// Returns the place of the response.
    pub fn place_of_response(&self) -> Place {
        self.place_of_turn(self.conversation.messages.len().saturating_sub(1))
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
/// A rule sees the rows in order. It keeps nothing of each, unless it compares rows.
pub trait Rule {
    /// Returns the stable code of its findings.
    fn code(&self) -> &'static str;

    /// Returns how bad its findings are.
    fn severity(&self) -> Severity;

    /// Says what it finds.
    fn description(&self) -> &'static str;

    /// Says what the user can do about its findings.
    fn fix(&self) -> &'static str;

    /// Tells whether it holds rows against one another, for which it keeps something of each.
    fn compares_rows(&self) -> bool {
        false
    }

    /// Looks at one row.
    fn check(&mut self, _example: &Example<'_>, _findings: &mut Vec<Finding>) {}

    /// Says what only shows at the end, one finding after the other: there may be one for each row, and of these only
    /// some are kept.
    fn finish(&mut self, _totals: &Totals<'_>, _say: &mut dyn FnMut(Finding)) {}

    /// Makes a finding with the rule's code, severity and fix.
    fn finding(&self, place: Place, expected: &str, found: String) -> Finding {
        Finding {
            code: self.code().to_owned(),
            severity: self.severity(),
            place,
            expected: expected.to_owned(),
            found,
            fix: self.fix().to_owned(),
        }
    }
}

/// Returns every rule, ready for the first row.
pub fn rules(options: &ValidationOptions) -> Vec<Box<dyn Rule>> {
    let mut rules: Vec<Box<dyn Rule>> = vec![
        Box::new(minimum_rows::MinimumRows(options.minimum_rows)),
        Box::new(EmptyText),
        Box::new(identical_responses::IdenticalResponses::default()),
        Box::new(duplicate_rows::DuplicateRows::default()),
        Box::new(same_prompt::SamePrompt::default()),
        Box::new(prompt_variants::PromptVariants::default()),
        Box::new(echoed_prompt::EchoedPrompt),
        Box::new(no_weight::NoWeight),
        Box::new(other_lesson::OtherLesson::default()),
        Box::new(html::LeftoverHtml),
        Box::new(mixed_normal_forms::MixedNormalForms::default()),
        Box::new(other_script::OtherScript::default()),
        Box::new(upper_case::UpperCase::default()),
        Box::new(response_format::UnparsableJson::default()),
        Box::new(truncated_responses::TruncatedResponses::default()),
        Box::new(short_responses::ShortResponses::default()),
        Box::new(tool_answers::UnknownCall),
        Box::new(near_duplicates::NearDuplicates::among(
            options.near_duplicate_rows,
        )),
        Box::new(extra_columns::ExtraColumns::default()),
    ];
    let texts = texts::ALL.iter().copied();
    rules.extend(texts.map(|rule| Box::new(rule) as Box<dyn Rule>));
    let calls = tool_calls::Mistake::ALL.map(tool_calls::ToolCalls);
    rules.extend(calls.map(|rule| Box::new(rule) as Box<dyn Rule>));
    let edges = common_text::Edge::ALL.map(common_text::CommonText::new);
    rules.extend(edges.map(|rule| Box::new(rule) as Box<dyn Rule>));
    if options.comparison == Comparison::None {
        rules.retain(|rule| !rule.compares_rows());
    }
    rules
}

/// Stands for a text in a rule's memory. Two texts in a million million million share one, and rules that
/// go by it only warn, or need all rows to agree.
fn fingerprint(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Tells whether `part` is at least so many of a hundred of `all`.
fn is_share(part: u64, all: u64, percent: u64) -> bool {
    part * 100 >= all * percent
}
