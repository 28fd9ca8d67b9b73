use std::{collections::BTreeSet, fmt};

use llmopt_domain::{ColumnMap, Conversation, LessonKind, Role, Sample};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    chat, pair, preference,
    problem::{Problem, quoted},
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
pub(crate) const SHAPES: [Columns; 12] = [
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
    pub(crate) const fn pair(prompt: &'static str, response: &'static str) -> Self {
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

    /// Names the field that the turn at `index` of a conversation came from, by the name that is recognised.
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

    /// Lists the columns by the names that they have in a file whose columns `map` maps.
    pub fn in_file(&self, map: &ColumnMap) -> String {
        let of = |name| quoted([map.column(name).unwrap_or(name)]);
        let listed = |names: [&'static str; 3]| {
            let [first, second, third] = names.map(of);
            format!("{first}, {second} and {third}")
        };
        match self {
            Self::Pair { prompt, response } => format!("{} and {}", of(prompt), of(response)),
            Self::Instruction => {
                let [instruction, input, output] = ["instruction", "input", "output"].map(of);
                format!("{instruction} (with {input}) and {output}")
            }
            Self::Messages => of("messages"),
            Self::Conversations => of("conversations"),
            Self::PreferredOutput => listed(["input", "preferred_output", "non_preferred_output"]),
            Self::Chosen => format!("{} and {}", of("chosen"), of("rejected")),
            Self::LabelledMessages => format!("{} and {}", of("messages"), of("label")),
            Self::LabelledPair => listed(["prompt", "completion", "label"]),
            Self::Text => of("text"),
        }
    }

    pub(crate) fn is_chat(&self) -> bool {
        matches!(self, Self::Messages | Self::Conversations)
    }

    /// Returns the columns that every row must have and `found` has not.
    pub(crate) fn missing(&self, found: &BTreeSet<&str>) -> Vec<&'static str> {
        let mut required = self.required();
        required.retain(|column| !found.contains(column));
        required
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.in_file(&ColumnMap::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_mapped_is_what_is_read() {
        let read = SHAPES.iter().flat_map(|shape| {
            let mut columns = shape.required();
            columns.extend(shape.optional());
            columns
        });
        let read: BTreeSet<&str> = read.collect();
        assert_eq!(read, BTreeSet::from(ColumnMap::NAMES));
    }

    #[test]
    fn columns_are_listed_as_the_file_calls_them() {
        let map: ColumnMap = "prompt=frage,response=antwort,label=gut,instruction=tu das"
            .parse()
            .unwrap();
        let said = |columns: Columns| columns.in_file(&map);
        assert_eq!(
            said(Columns::pair("prompt", "response")),
            "`frage` and `antwort`"
        );
        assert_eq!(
            said(Columns::LabelledPair),
            "`frage`, `completion` and `gut`"
        );
        assert_eq!(
            said(Columns::Instruction),
            "`tu das` (with `input`) and `output`"
        );
        assert_eq!(
            Columns::Instruction.to_string(),
            "`instruction` (with `input`) and `output`"
        );
    }
}
