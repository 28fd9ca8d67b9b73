//! Turns rows into conversations.

use llmopt_domain::{Conversation, Message, Role};
use serde_json::{Map, Value};

use crate::{Shape, error::Defect};

impl Shape {
    /// Reads a row's conversation.
    pub(crate) fn conversation(self, fields: &Map<String, Value>) -> Result<Conversation, Defect> {
        let messages = match self {
            Self::Messages => turns(fields, "messages", &OPENAI)?,
            Self::Conversations => turns(fields, "conversations", &SHAREGPT)?,
            Self::Pair { prompt, response } => pair(fields, text(fields, prompt)?, response)?,
            Self::Instruction { response } => pair(fields, instruction(fields)?, response)?,
        };
        Ok(Conversation { messages })
    }

    /// Returns the field that holds the turn at `index` of `conversation`.
    pub(crate) fn field(self, conversation: &Conversation, index: usize) -> String {
        let role = conversation.messages.get(index).map(|message| message.role);
        match (self, role) {
            (Self::Messages, _) => format!("messages[{index}].content"),
            (Self::Conversations, _) => format!("conversations[{index}].value"),
            (_, Some(Role::System)) => "system".to_owned(),
            (
                Self::Pair { response, .. } | Self::Instruction { response },
                Some(Role::Assistant),
            ) => response.to_owned(),
            (Self::Pair { prompt, .. }, _) => prompt.to_owned(),
            (Self::Instruction { .. }, _) => "instruction".to_owned(),
        }
    }
}

fn pair(
    fields: &Map<String, Value>,
    prompt: String,
    response: &str,
) -> Result<Vec<Message>, Defect> {
    let system = optional_text(fields, "system")?.map(|content| Message {
        role: Role::System,
        content,
    });
    let mut messages: Vec<Message> = system.into_iter().collect();
    messages.push(Message {
        role: Role::User,
        content: prompt,
    });
    messages.push(Message {
        role: Role::Assistant,
        content: text(fields, response)?,
    });
    Ok(messages)
}

/// Joins `instruction` and `input` as Alpaca's users do: a blank line between them.
fn instruction(fields: &Map<String, Value>) -> Result<String, Defect> {
    let instruction = text(fields, "instruction")?;
    Ok(match optional_text(fields, "input")? {
        Some(input) => format!("{instruction}\n\n{input}"),
        None => instruction,
    })
}

fn text(fields: &Map<String, Value>, name: &str) -> Result<String, Defect> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(wrong_type(name.to_owned(), "a string", other)),
        None => Err(missing(name.to_owned())),
    }
}

/// Returns a text that may be absent, null or empty.
fn optional_text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, Defect> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok((!text.is_empty()).then(|| text.clone())),
        Some(other) => Err(wrong_type(name.to_owned(), "a string", other)),
    }
}

/// How a list of turns spells its keys and roles.
struct Dialect {
    role: &'static str,
    content: &'static str,
    roles: &'static [(&'static str, Role)],
}

const OPENAI: Dialect = Dialect {
    role: "role",
    content: "content",
    roles: &[
        ("system", Role::System),
        ("developer", Role::System),
        ("user", Role::User),
        ("assistant", Role::Assistant),
    ],
};

const SHAREGPT: Dialect = Dialect {
    role: "from",
    content: "value",
    roles: &[
        ("system", Role::System),
        ("human", Role::User),
        ("user", Role::User),
        ("gpt", Role::Assistant),
        ("assistant", Role::Assistant),
    ],
};

fn turns(
    fields: &Map<String, Value>,
    column: &str,
    dialect: &Dialect,
) -> Result<Vec<Message>, Defect> {
    let list = match fields.get(column) {
        Some(Value::Array(list)) => list,
        Some(other) => return Err(wrong_type(column.to_owned(), "a list of turns", other)),
        None => return Err(missing(column.to_owned())),
    };
    let turns = list
        .iter()
        .enumerate()
        .map(|(index, turn)| dialect.turn(&format!("{column}[{index}]"), turn));
    let messages: Vec<Message> = turns.collect::<Result<_, _>>()?;
    check_order(&messages, column, dialect)?;
    Ok(messages)
}

impl Dialect {
    fn turn(&self, place: &str, turn: &Value) -> Result<Message, Defect> {
        let Value::Object(turn) = turn else {
            return Err(wrong_type(place.to_owned(), "an object", turn));
        };
        let known = |key: &str| key == self.role || key == self.content;
        if let Some((key, _)) = turn
            .iter()
            .find(|(key, value)| !known(key) && !value.is_null())
        {
            return Err(Defect {
                code: "unknown_turn_key",
                field: Some(format!("{place}.{key}")),
                expected: format!("`{}` and `{}` only", self.role, self.content),
                found: format!("`{key}`, which would be left out of training"),
                fix: "remove the key; weights and tool calls cannot be trained on yet",
            });
        }
        let string = |key: &str| match turn.get(key) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(wrong_type(format!("{place}.{key}"), "a string", other)),
            None => Err(missing(format!("{place}.{key}"))),
        };
        let (name, content) = (string(self.role)?, string(self.content)?);
        let role = self.roles.iter().find(|(known, _)| *known == name);
        let role = role.map(|(_, role)| *role).ok_or_else(|| Defect {
            code: "unknown_role",
            field: Some(format!("{place}.{}", self.role)),
            expected: self
                .roles
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", "),
            found: format!("`{name}`"),
            fix: "rename the role, or remove the row",
        })?;
        Ok(Message { role, content })
    }
}

/// Requires an optional system turn, then prompts and responses by turns, a response last.
fn check_order(messages: &[Message], column: &str, dialect: &Dialect) -> Result<(), Defect> {
    let defect = |index: Option<usize>, expected: &str, found: String| Defect {
        code: "turn_order",
        field: Some(index.map_or_else(
            || column.to_owned(),
            |index| format!("{column}[{index}].{}", dialect.role),
        )),
        expected: expected.to_owned(),
        found,
        fix: "an optional system turn comes first, then prompts and responses by turns, a response last",
    };
    let start = usize::from(
        messages
            .first()
            .is_some_and(|first| first.role == Role::System),
    );
    for (index, message) in messages.iter().enumerate().skip(start) {
        let expected = if (index - start).is_multiple_of(2) {
            Role::User
        } else {
            Role::Assistant
        };
        if message.role != expected {
            let expected = format!("the {}'s turn", expected.as_str());
            return Err(defect(
                Some(index),
                &expected,
                format!("the {}'s", message.role.as_str()),
            ));
        }
    }
    match messages.last() {
        Some(last) if last.role == Role::Assistant => Ok(()),
        Some(last) => Err(defect(
            Some(messages.len() - 1),
            "the assistant's turn at the end",
            format!("the {}'s", last.role.as_str()),
        )),
        None => Err(defect(
            None,
            "at least a prompt and a response",
            "no turns".to_owned(),
        )),
    }
}

fn missing(field: String) -> Defect {
    Defect {
        code: "missing_field",
        expected: format!("a value for `{field}`"),
        field: Some(field),
        found: "nothing".to_owned(),
        fix: "add it, or remove the row",
    }
}

fn wrong_type(field: String, expected: &str, found: &Value) -> Defect {
    let kind = match found {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Defect {
        code: "wrong_type",
        field: Some(field),
        expected: expected.to_owned(),
        found: kind.to_owned(),
        fix: "write it as the expected type; JSON that is to be trained on goes into a string",
    }
}
