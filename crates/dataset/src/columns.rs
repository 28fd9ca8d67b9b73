use serde::Serialize;

use crate::error::Defect;

/// What a dataset's columns mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A prompt and its response in two columns.
    Pair {
        /// The prompt's column.
        prompt: &'static str,
        /// The response's column.
        response: &'static str,
    },
    /// Alpaca: `instruction`, an `input` that may be empty or absent, and the response.
    Instruction {
        /// The response's column.
        response: &'static str,
    },
    /// OpenAI's `messages`, a list of `role` and `content`.
    Messages,
    /// ShareGPT's `conversations`, a list of `from` and `value`.
    Conversations,
}

/// The shapes in the order in which they are looked for, with the columns each needs.
const SHAPES: [(Shape, &[&str]); 9] = [
    (Shape::Messages, &["messages"]),
    (Shape::Conversations, &["conversations"]),
    (
        Shape::Instruction { response: "output" },
        &["instruction", "output"],
    ),
    (
        Shape::Instruction {
            response: "response",
        },
        &["instruction", "response"],
    ),
    (
        Shape::Pair {
            prompt: "prompt",
            response: "response",
        },
        &["prompt", "response"],
    ),
    (
        Shape::Pair {
            prompt: "prompt",
            response: "completion",
        },
        &["prompt", "completion"],
    ),
    (
        Shape::Pair {
            prompt: "question",
            response: "answer",
        },
        &["question", "answer"],
    ),
    (
        Shape::Pair {
            prompt: "input",
            response: "output",
        },
        &["input", "output"],
    ),
    (
        Shape::Pair {
            prompt: "input",
            response: "response",
        },
        &["input", "response"],
    ),
];

/// Columns that change what a row means and that we cannot train on: leaving them out without a word
/// would train something else.
const REFUSED: [&str; 4] = ["tools", "functions", "weight", "rejected"];

impl Shape {
    /// Recognises the shape by the names of the columns.
    pub(crate) fn recognise(columns: &[String]) -> Result<Self, Defect> {
        if let Some(refused) = columns
            .iter()
            .find(|column| REFUSED.contains(&column.as_str()))
        {
            return Err(Defect {
                code: "unsupported_column",
                field: Some(refused.clone()),
                expected: "prompts and responses only".to_owned(),
                found: format!("a column `{refused}`, which cannot be trained on"),
                fix: "remove the column, and the rows that need it",
            });
        }
        let has = |needed: &&str| columns.iter().any(|column| column == needed);
        let found = SHAPES.iter().find(|(_, needed)| needed.iter().all(&has));
        found
            .map(|(shape, _)| *shape)
            .ok_or_else(|| unknown(columns))
    }

    /// Returns the columns that carry the row's meaning.
    pub(crate) fn columns(self) -> Vec<&'static str> {
        match self {
            Self::Pair { prompt, response } => vec!["system", prompt, response],
            Self::Instruction { response } => vec!["system", "instruction", "input", response],
            Self::Messages => vec!["messages"],
            Self::Conversations => vec!["conversations"],
        }
    }

    /// Returns the shape in words.
    pub fn description(self) -> String {
        match self {
            Self::Pair { prompt, response } => format!("`{prompt}` and `{response}`"),
            Self::Instruction { response } => format!("`instruction`, `input` and `{response}`"),
            Self::Messages => "`messages` with `role` and `content`".to_owned(),
            Self::Conversations => "`conversations` with `from` and `value`".to_owned(),
        }
    }
}

fn unknown(columns: &[String]) -> Defect {
    let names: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    let mut found = match names.len() {
        0 => "no columns".to_owned(),
        _ => format!("columns {}", names.join(", ")),
    };
    if let Some((column, known)) = columns
        .iter()
        .find_map(|column| Some((column, misspelt(column)?)))
    {
        found += &format!(" (is `{column}` meant to be `{known}`?)");
    }
    let fix = match columns {
        [column] if column == "text" => {
            "plain text is not trained on yet: split each text into `prompt` and `response`"
        }
        _ => "rename the columns",
    };
    let known = SHAPES.iter().map(|(_, needed)| needed.join(" and "));
    let expected = format!("columns {}", known.collect::<Vec<_>>().join(", or "));
    Defect {
        code: "unknown_columns",
        field: None,
        expected,
        found,
        fix,
    }
}

/// Returns the known column that `column` is close to, but is not.
fn misspelt(column: &str) -> Option<&'static str> {
    let lower = column.to_lowercase();
    let known = || SHAPES.iter().flat_map(|(_, needed)| needed.iter().copied());
    if known().any(|name| name == column) {
        return None;
    }
    known().find(|name| strsim::damerau_levenshtein(&lower, name) <= 2)
}
