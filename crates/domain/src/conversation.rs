use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who speaks in a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that frame the conversation.
    System,
    /// The prompt.
    User,
    /// The response: the only role that is trained on.
    Assistant,
}

impl Role {
    /// Returns the role's name as chat templates and datasets spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, exactly as it stands in the dataset.
    pub content: String,
}

/// One training or evaluation example: turns that alternate and end with the assistant's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conversation {
    /// The turns, in order.
    pub messages: Vec<Message>,
}

impl Conversation {
    /// Makes the two-turn conversation of a prompt and its response.
    pub fn from_pair(prompt: impl Into<String>, response: impl Into<String>) -> Self {
        let message = |role, content| Message { role, content };
        Self {
            messages: vec![
                message(Role::User, prompt.into()),
                message(Role::Assistant, response.into()),
            ],
        }
    }

    /// Returns the turns before the final response, and that response.
    ///
    /// `None` if the conversation does not end with the assistant.
    pub fn split_response(&self) -> Option<(&[Message], &str)> {
        let (last, prompt) = self.messages.split_last()?;
        (last.role == Role::Assistant).then_some((prompt, last.content.as_str()))
    }
}
