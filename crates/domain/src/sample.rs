use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Conversation, Message};

/// A row of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sample {
    /// What is said; of a preference, with the answer that was chosen.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// What there is to learn from it.
    #[serde(flatten)]
    pub lesson: Lesson,
}

/// What there is to learn from a [`Sample`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "lesson", rename_all = "snake_case")]
pub enum Lesson {
    /// The assistant's turns.
    Responses,
    /// The text of the only turn, which no template stands around.
    Text,
    /// To prefer the last turn to this one.
    Preference {
        /// What was not chosen.
        rejected: Message,
    },
    /// That the last turn is good, or bad.
    Label {
        /// Whether it is good.
        label: bool,
    },
}

/// The kinds of [`Lesson`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LessonKind {
    /// The assistant's turns.
    Responses,
    /// Plain text.
    Text,
    /// To prefer one answer to another.
    Preference,
    /// Whether an answer is good.
    Label,
}

impl Sample {
    /// Makes a sample whose responses are learnt.
    pub fn of_responses(conversation: Conversation) -> Self {
        let lesson = Lesson::Responses;
        Self {
            conversation,
            lesson,
        }
    }
}

impl From<Conversation> for Sample {
    fn from(conversation: Conversation) -> Self {
        Self::of_responses(conversation)
    }
}

impl Lesson {
    /// Returns its kind.
    pub fn kind(&self) -> LessonKind {
        match self {
            Self::Responses => LessonKind::Responses,
            Self::Text => LessonKind::Text,
            Self::Preference { .. } => LessonKind::Preference,
            Self::Label { .. } => LessonKind::Label,
        }
    }
}

impl LessonKind {
    /// Returns what rows of this kind are called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Responses => "conversations",
            Self::Text => "plain text",
            Self::Preference => "preference pairs",
            Self::Label => "labelled answers",
        }
    }
}
