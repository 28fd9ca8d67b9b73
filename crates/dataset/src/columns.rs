use std::{collections::BTreeSet, fmt};

use llmopt_domain::{Conversation, Role};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    chat, pair,
    problem::{Problem, quoted, shortened},
};

/// Which columns of a dataset hold the conversations, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "shape", rename_all = "lowercase")]
pub enum Columns {
    /// A prompt and its response, and optionally a `system` text.
    Pair {
        /// The prompt's column.
        prompt: &'static str,
        /// The response's column.
        response: &'static str,
    },
    /// An `instruction`, optionally with `input` and `system`, and its `output` (Alpaca).
    Instruction,
    /// Turns under `messages`, each with `role` and `content` (OpenAI).
    Messages,
    /// Turns under `conversations`, each with `from` and `value` (ShareGPT).
    Conversations,
}

const SHAPES: [Columns; 7] = [
    Columns::Messages,
    Columns::Conversations,
    Columns::Instruction,
    Columns::pair("prompt", "response"),
    Columns::pair("prompt", "completion"),
    Columns::pair("question", "answer"),
    Columns::pair("input", "output"),
];

impl Columns {
    const fn pair(prompt: &'static str, response: &'static str) -> Self {
        Self::Pair { prompt, response }
    }

    /// Returns the columns that every row must have.
    pub fn required(&self) -> Vec<&'static str> {
        match self {
            Self::Pair { prompt, response } => vec![prompt, response],
            Self::Instruction => vec!["instruction", "output"],
            Self::Messages => vec!["messages"],
            Self::Conversations => vec!["conversations"],
        }
    }

    /// Returns the columns that a row may have besides.
    pub fn optional(&self) -> &'static [&'static str] {
        match self {
            Self::Pair { .. } => &["system"],
            Self::Instruction => &["input", "system"],
            Self::Messages | Self::Conversations => &[],
        }
    }

    /// Tells whether `column` is read.
    pub fn reads(&self, column: &str) -> bool {
        self.required().contains(&column) || self.optional().contains(&column)
    }

    /// Names the field that the turn at `index` of a conversation came from.
    pub fn field_of(&self, conversation: &Conversation, index: usize) -> String {
        let role = conversation.messages.get(index).map(|turn| turn.role);
        match (self, role) {
            (Self::Messages, _) => format!("messages[{index}].content"),
            (Self::Conversations, _) => format!("conversations[{index}].value"),
            (_, Some(Role::System)) => "system".to_owned(),
            (Self::Pair { response, .. }, Some(Role::Assistant)) => (*response).to_owned(),
            (Self::Pair { prompt, .. }, _) => (*prompt).to_owned(),
            (Self::Instruction, Some(Role::Assistant)) => "output".to_owned(),
            (Self::Instruction, _) => "instruction".to_owned(),
        }
    }

    /// Makes a row's columns a conversation.
    pub(crate) fn conversation(
        &self,
        fields: &Map<String, Value>,
    ) -> Result<Conversation, Problem> {
        match self {
            Self::Pair { prompt, response } => pair::plain(fields, prompt, response),
            Self::Instruction => pair::instruction(fields),
            Self::Messages => chat::OPENAI.conversation(fields),
            Self::Conversations => chat::SHARE_GPT.conversation(fields),
        }
    }

    fn is_chat(&self) -> bool {
        matches!(self, Self::Messages | Self::Conversations)
    }

    fn missing(&self, found: &BTreeSet<&str>) -> Vec<&'static str> {
        let mut required = self.required();
        required.retain(|column| !found.contains(column));
        required
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pair { prompt, response } => write!(formatter, "`{prompt}` and `{response}`"),
            Self::Instruction => formatter.write_str("`instruction` (with `input`) and `output`"),
            Self::Messages => formatter.write_str("`messages`"),
            Self::Conversations => formatter.write_str("`conversations`"),
        }
    }
}

/// Tells which of `found` hold the conversations.
pub(crate) fn recognise(found: &BTreeSet<&str>) -> Result<Columns, Problem> {
    let complete = SHAPES
        .iter()
        .filter(|shape| shape.missing(found).is_empty());
    let mut shapes: Vec<_> = complete.copied().collect();
    if shapes.contains(&Columns::Instruction) {
        shapes.retain(|shape| *shape != Columns::pair("input", "output"));
    }
    // Conversations stand above the pairs that datasets often keep beside them.
    if shapes.iter().any(Columns::is_chat) {
        shapes.retain(Columns::is_chat);
    }
    match shapes[..] {
        [] => Err(unknown(found)),
        [shape] => Ok(shape),
        _ => Err(ambiguous(&shapes)),
    }
}

fn joined(shapes: &[Columns], last: &str) -> String {
    let names: Vec<_> = shapes.iter().map(ToString::to_string).collect();
    match names.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
        _ => names.concat(),
    }
}

fn ambiguous(shapes: &[Columns]) -> Problem {
    Problem::file(
        "ambiguous_columns",
        "one place for prompt and response",
        joined(shapes, "and also"),
        "remove or rename the columns that are not meant",
    )
}

fn unknown(found: &BTreeSet<&str>) -> Problem {
    let columns = match found.len() {
        0 => "no columns".to_owned(),
        _ => format!("the columns {}", quoted(found.iter().copied())),
    };
    if found.contains("text") && suggestion(found).is_none() {
        return Problem::file(
            "plain_text",
            joined(&SHAPES, "or"),
            columns,
            "plain text is not read yet: split each row into `prompt` and `response`",
        );
    }
    let fix = suggestion(found).unwrap_or_else(|| "rename the columns to one of these".to_owned());
    Problem::file("unknown_columns", joined(&SHAPES, "or"), columns, fix)
}

/// Says what would complete the shape that is nearest to what was found.
fn suggestion(found: &BTreeSet<&str>) -> Option<String> {
    let repairs = SHAPES.iter().filter_map(|shape| {
        let missing = shape.missing(found);
        let renamed: Vec<_> = missing
            .iter()
            .filter_map(|name| misspelling(name, found))
            .collect();
        let added: Vec<_> = missing
            .iter()
            .filter(|name| misspelling(name, found).is_none())
            .collect();
        let is_near = added.len() < shape.required().len();
        is_near.then(|| (added.len(), renamed.len(), repair(&renamed, &added)))
    });
    let nearest = repairs.min_by_key(|(added, renamed, _)| (*added, *renamed));
    nearest.map(|(_, _, repair)| repair)
}

fn repair(renamed: &[(&str, &str)], added: &[&&str]) -> String {
    let renamed = renamed
        .iter()
        .map(|(from, to)| format!("rename `{}` to `{to}`", shortened(from)));
    let added = added.iter().map(|name| format!("add a column `{name}`"));
    renamed.chain(added).collect::<Vec<_>>().join(" and ")
}

/// Finds the column that was probably meant to be `name`.
fn misspelling<'a>(name: &'a str, found: &BTreeSet<&'a str>) -> Option<(&'a str, &'a str)> {
    let distances = found.iter().map(|column| {
        let plain = column.trim();
        // A name may be as long as a row.
        let is_similar = plain.chars().count().abs_diff(name.len()) <= 2;
        let distance = is_similar.then(|| distance(&plain.to_lowercase(), name));
        (distance.unwrap_or(usize::MAX), *column)
    });
    let known = |column: &str| SHAPES.iter().any(|shape| shape.reads(column));
    let near = distances.filter(|(distance, column)| *distance <= 2 && !known(column));
    near.min().map(|(_, column)| (column, name))
}

/// Counts the letters to insert, delete or replace to make `a` into `b` (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognised(columns: &[&str]) -> Result<Columns, Problem> {
        recognise(&columns.iter().copied().collect())
    }

    #[test]
    fn every_shape_is_recognised_by_its_columns() {
        for shape in SHAPES {
            assert_eq!(recognised(&shape.required()), Ok(shape));
            let mut all = shape.required();
            all.extend(shape.optional());
            all.push("id");
            assert_eq!(recognised(&all), Ok(shape));
        }
    }

    #[test]
    fn conversations_stand_above_pairs() {
        let columns = ["prompt", "response", "messages"];
        assert_eq!(recognised(&columns), Ok(Columns::Messages));
    }

    #[test]
    fn two_places_for_the_response_are_refused() {
        let problem = recognised(&["prompt", "response", "completion"]).unwrap_err();
        assert_eq!(problem.code, "ambiguous_columns");
        assert!(
            problem
                .found
                .contains("`response` and also `prompt` and `completion`"),
            "{problem:?}"
        );
    }

    #[test]
    fn a_misspelt_column_is_named_with_what_it_should_be() {
        let fix = |columns: &[&str]| recognised(columns).unwrap_err().fix;
        assert_eq!(fix(&["promt", "response"]), "rename `promt` to `prompt`");
        assert_eq!(
            fix(&["Prompt", " response"]),
            "rename `Prompt` to `prompt` and rename ` response` to `response`"
        );
        assert_eq!(fix(&["mesages"]), "rename `mesages` to `messages`");
        assert_eq!(fix(&["question", "reply"]), "add a column `answer`");
    }

    #[test]
    fn unknown_columns_are_listed_beside_what_is_recognised() {
        let problem = recognised(&["a", "b"]).unwrap_err();
        assert_eq!(problem.code, "unknown_columns");
        assert_eq!(problem.found, "the columns `a`, `b`");
        assert!(problem.expected.contains("`question` and `answer`"));
        assert!(problem.expected.ends_with("or `input` and `output`"));
    }

    #[test]
    fn of_very_many_columns_only_the_first_are_listed() {
        let names: Vec<String> = (0..10_000)
            .map(|i| format!("{i}{}", "x".repeat(99)))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let problem = recognised(&names).unwrap_err();
        assert!(problem.found.ends_with(" and 9980 more"), "{problem:?}");
        assert!(problem.found.len() < 2_000);
    }

    #[test]
    fn plain_text_is_refused_with_what_to_do() {
        let problem = recognised(&["text"]).unwrap_err();
        assert_eq!(problem.code, "plain_text");
        assert!(problem.fix.contains("plain text is not read yet"));
    }

    #[test]
    fn distances_are_counted() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
