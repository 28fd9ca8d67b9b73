use std::{collections::BTreeSet, fmt};

use llmopt_domain::{Conversation, LessonKind, Role, Sample};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    Row, chat, pair, preference,
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
    /// A prompt under `input`, and two answers (OpenAI).
    #[serde(rename = "preferred_output")]
    PreferredOutput,
    /// Two answers, `chosen` and `rejected`, and optionally the `prompt` (TRL).
    Chosen,
    /// `messages`, and whether the answer is good under `label` (TRL's KTO).
    #[serde(rename = "labelled_messages")]
    LabelledMessages,
    /// `prompt`, `completion`, and whether that is good under `label` (TRL's KTO).
    #[serde(rename = "labelled_pair")]
    LabelledPair,
    /// Plain text under `text`.
    Text,
}

/// What is recognised.
const SHAPES: [Columns; 12] = [
    Columns::Messages,
    Columns::Conversations,
    Columns::Instruction,
    Columns::pair("prompt", "response"),
    Columns::pair("prompt", "completion"),
    Columns::pair("question", "answer"),
    Columns::pair("input", "output"),
    Columns::PreferredOutput,
    Columns::Chosen,
    Columns::LabelledMessages,
    Columns::LabelledPair,
    Columns::Text,
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
            Self::PreferredOutput => vec!["input", "preferred_output", "non_preferred_output"],
            Self::Chosen => vec!["chosen", "rejected"],
            Self::LabelledMessages => vec!["messages", "label"],
            Self::LabelledPair => vec!["prompt", "completion", "label"],
            Self::Text => vec!["text"],
        }
    }

    /// Returns the columns that a row may have besides.
    pub fn optional(&self) -> &'static [&'static str] {
        match self {
            // The last two where prompt and response are lists of turns.
            Self::Pair { .. } | Self::LabelledPair => &["system", "tools", "functions"],
            Self::Instruction => &["input", "system", "history"],
            Self::Messages | Self::Conversations | Self::LabelledMessages => {
                &["system", "tools", "functions", "parallel_tool_calls"]
            }
            Self::Chosen => &["prompt", "system", "tools", "functions"],
            Self::PreferredOutput | Self::Text => &[],
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
            (Self::Messages | Self::LabelledMessages, _) => format!("messages[{index}].content"),
            (Self::Conversations, _) => format!("conversations[{index}].value"),
            (_, Some(Role::System)) => "system".to_owned(),
            (Self::Pair { response, .. }, Some(Role::Assistant)) => (*response).to_owned(),
            (Self::Pair { prompt, .. }, _) => (*prompt).to_owned(),
            (Self::Instruction, Some(Role::Assistant)) => "output".to_owned(),
            (Self::Instruction, _) => "instruction".to_owned(),
            (Self::PreferredOutput, Some(Role::Assistant)) => "preferred_output".to_owned(),
            (Self::PreferredOutput, _) => format!("input.messages[{index}].content"),
            (Self::Chosen, Some(Role::Assistant)) => "chosen".to_owned(),
            (Self::LabelledPair, Some(Role::Assistant)) => "completion".to_owned(),
            (Self::Chosen | Self::LabelledPair, _) => "prompt".to_owned(),
            (Self::Text, _) => "text".to_owned(),
        }
    }

    /// Returns what there is to learn from rows of this shape.
    pub fn lesson(&self) -> LessonKind {
        match self {
            Self::Pair { .. } | Self::Instruction | Self::Messages | Self::Conversations => {
                LessonKind::Responses
            }
            Self::PreferredOutput | Self::Chosen => LessonKind::Preference,
            Self::LabelledMessages | Self::LabelledPair => LessonKind::Label,
            Self::Text => LessonKind::Text,
        }
    }

    /// Makes a row's columns a sample.
    pub(crate) fn sample(&self, fields: &Map<String, Value>) -> Result<Sample, Problem> {
        let conversation = match self {
            Self::Pair { prompt, response } => pair::plain(fields, prompt, response),
            Self::Instruction => pair::instruction(fields),
            Self::Messages => chat::OPENAI.conversation(fields),
            Self::Conversations => chat::SHARE_GPT.conversation(fields),
            Self::PreferredOutput => return preference::openai(fields),
            Self::Chosen => return preference::chosen_and_rejected(fields),
            Self::LabelledMessages | Self::LabelledPair => return preference::labelled(fields),
            Self::Text => return pair::text(fields),
        };
        conversation.map(Sample::of_responses)
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
            Self::PreferredOutput => {
                formatter.write_str("`input`, `preferred_output` and `non_preferred_output`")
            }
            Self::Chosen => formatter.write_str("`chosen` and `rejected`"),
            Self::LabelledMessages => formatter.write_str("`messages` and `label`"),
            Self::LabelledPair => formatter.write_str("`prompt`, `completion` and `label`"),
            Self::Text => formatter.write_str("`text`"),
        }
    }
}

/// The columns of a file's first rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundColumns<'a> {
    pub(crate) names: BTreeSet<&'a str>,
    /// Whether every `label` is `true` or `false`: many datasets have labels of other kinds beside the texts.
    pub(crate) has_boolean_labels: bool,
}

impl<'a> FoundColumns<'a> {
    /// Returns the columns of `rows`.
    pub(crate) fn of(rows: impl Iterator<Item = &'a Row> + Clone) -> Self {
        let names = rows.clone().flat_map(|row| row.fields.keys());
        let mut labels = rows.filter_map(|row| row.fields.get("label"));
        Self {
            names: names.map(String::as_str).collect(),
            has_boolean_labels: labels.all(Value::is_boolean),
        }
    }
}

/// Tells which of `found` hold what is to be learnt.
pub(crate) fn recognise(found: &FoundColumns<'_>) -> Result<Columns, Problem> {
    let FoundColumns {
        names,
        has_boolean_labels,
    } = found;
    let complete = SHAPES
        .iter()
        .filter(|shape| shape.missing(names).is_empty());
    let mut shapes: Vec<_> = complete.copied().collect();
    if !has_boolean_labels {
        shapes.retain(|shape| shape.lesson() != LessonKind::Label);
    }
    if shapes.contains(&Columns::Instruction) {
        shapes.retain(|shape| *shape != Columns::pair("input", "output"));
    }
    // What says more stands above what datasets often keep beside it.
    let ranks: [fn(&Columns) -> bool; 4] = [
        |shape| shape.lesson() == LessonKind::Preference,
        |shape| shape.lesson() == LessonKind::Label,
        Columns::is_chat,
        |shape| shape.lesson() == LessonKind::Responses,
    ];
    if let Some(highest) = ranks.into_iter().find(|rank| shapes.iter().any(rank)) {
        shapes.retain(highest);
    }
    match shapes[..] {
        [] => Err(unknown(names)),
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
        recognise(&FoundColumns {
            names: columns.iter().copied().collect(),
            has_boolean_labels: true,
        })
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
        assert!(problem.expected.ends_with("or `text`"));
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
    fn what_says_more_stands_above_what_lies_beside_it() {
        for (columns, expected) in [
            (
                &["text", "prompt", "response"][..],
                Columns::pair("prompt", "response"),
            ),
            (
                &["prompt", "response", "chosen", "rejected"],
                Columns::Chosen,
            ),
            (&["messages", "label", "text"], Columns::LabelledMessages),
            (&["prompt", "completion", "label"], Columns::LabelledPair),
            (&["text", "id"], Columns::Text),
        ] {
            assert_eq!(recognised(columns), Ok(expected));
        }
    }

    #[test]
    fn labels_of_other_kinds_are_a_column_that_is_not_read() {
        let found = FoundColumns {
            names: ["messages", "label"].into(),
            has_boolean_labels: false,
        };
        assert_eq!(recognise(&found), Ok(Columns::Messages));
    }

    #[test]
    fn distances_are_counted() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
