use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::ToolCall;

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
    /// What a tool answered to a call of the assistant's.
    Tool,
}

impl Role {
    /// Returns the role's name as chat templates and datasets spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// Whether a message of the assistant's is trained on: OpenAI's `weight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "u8")]
pub enum Weight {
    /// It is context only.
    Zero,
    /// It is trained on.
    #[default]
    One,
}

impl Weight {
    fn is_one(&self) -> bool {
        *self == Self::One
    }
}

impl TryFrom<f64> for Weight {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        match number {
            0.0 => Ok(Self::Zero),
            1.0 => Ok(Self::One),
            _ => Err(format!("expected the weight 0 or 1, found `{number}`")),
        }
    }
}

impl From<Weight> for u8 {
    fn from(weight: Weight) -> Self {
        match weight {
            Weight::Zero => 0,
            Weight::One => 1,
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, exactly as it stands in the dataset; empty where the assistant only calls tools.
    #[serde(default)]
    pub content: String,
    /// What the assistant has tools do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The speaker's name, or the tool's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether a message of the assistant's is trained on.
    #[serde(default, skip_serializing_if = "Weight::is_one")]
    #[schema(value_type = u8, minimum = 0, maximum = 1, default = 1)]
    pub weight: Weight,
}

impl Message {
    /// Makes a message of text alone.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
            weight: Weight::One,
        }
    }

    /// Returns whether nothing is said and no tool called.
    pub fn is_silent(&self) -> bool {
        self.content.trim().is_empty() && self.tool_calls.is_empty()
    }
}

/// Turns, and the tools that they may use: a training or evaluation example where the last turn is the assistant's,
/// and a question where it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// The turns, in order.
    pub messages: Vec<Message>,
    /// The tools that the assistant may call, each as its JSON schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub tools: Vec<Map<String, Value>>,
}

impl Conversation {
    /// Makes a conversation without tools.
    pub fn new(messages: Vec<Message>) -> Self {
        let tools = Vec::new();
        Self { messages, tools }
    }

    /// Makes the two-turn conversation of a prompt and its response.
    pub fn from_pair(prompt: impl Into<String>, response: impl Into<String>) -> Self {
        Self::new(vec![
            Message::new(Role::User, prompt),
            Message::new(Role::Assistant, response),
        ])
    }

    /// Returns what is answered by the last turn: all the others, and the tools.
    pub fn prompt(&self) -> Self {
        let turns = self.messages.split_last();
        Self {
            messages: turns.map_or_else(Vec::new, |(_, before)| before.to_vec()),
            tools: self.tools.clone(),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_of_text_is_written_as_it_always_was() {
        let message = Message::new(Role::User, "Hi");
        let written = serde_json::to_string(&message).unwrap();
        assert_eq!(written, r#"{"role":"user","content":"Hi"}"#);
        assert_eq!(serde_json::from_str::<Message>(&written).unwrap(), message);
    }

    #[test]
    fn weights_are_0_or_1_however_they_are_spelt() {
        let read = |weight: Value| {
            let turn = json!({"role": "assistant", "content": "", "weight": weight});
            serde_json::from_value::<Message>(turn).map(|it| it.weight)
        };
        assert_eq!(read(json!(0)).unwrap(), Weight::Zero);
        assert_eq!(read(json!(1.0)).unwrap(), Weight::One);
        assert!(read(json!(0.5)).unwrap_err().to_string().contains("`0.5`"));
    }
}
