//! Rows that hold a list of turns.

use llmopt_domain::{Conversation, Message, Role};
use serde_json::{Map, Value};

use crate::{
    pair::{missing, missing_column, wrong_type},
    problem::{Problem, describe, quoted},
};

/// How a dataset spells turns.
pub(crate) struct Chat {
    column: &'static str,
    speaker: &'static str,
    text: &'static str,
    roles: &'static [(&'static str, Role)],
}

pub(crate) const OPENAI: Chat = Chat {
    column: "messages",
    speaker: "role",
    text: "content",
    roles: &[
        ("system", Role::System),
        ("user", Role::User),
        ("assistant", Role::Assistant),
    ],
};

pub(crate) const SHARE_GPT: Chat = Chat {
    column: "conversations",
    speaker: "from",
    text: "value",
    roles: &[
        ("system", Role::System),
        ("human", Role::User),
        ("gpt", Role::Assistant),
        ("user", Role::User),
        ("assistant", Role::Assistant),
    ],
};

impl Chat {
    pub(crate) fn conversation(
        &self,
        fields: &Map<String, Value>,
    ) -> Result<Conversation, Problem> {
        let turns = match fields.get(self.column) {
            Some(Value::Array(turns)) => turns,
            Some(Value::Null) => return Err(missing(self.column, "a list of turns", "`null`")),
            Some(value) => return Err(wrong_type(self.column, "a list of turns", value)),
            None => return Err(missing_column(fields, self.column, "a list of turns")),
        };
        let messages = turns
            .iter()
            .enumerate()
            .map(|(i, turn)| self.message(i, turn));
        let messages = messages.collect::<Result<_, _>>()?;
        let conversation = Conversation::new(messages);
        self.check_order(&conversation)?;
        Ok(conversation)
    }

    fn place(&self, index: usize) -> String {
        format!("{}[{index}]", self.column)
    }

    fn message(&self, index: usize, turn: &Value) -> Result<Message, Problem> {
        let place = self.place(index);
        let Value::Object(fields) = turn else {
            let expected = format!("an object with `{}` and `{}`", self.speaker, self.text);
            return Err(wrong_type(&place, &expected, turn));
        };
        check_keys(&place, fields)?;
        let speaker = turn_text(fields, &place, self.speaker)?;
        let content = turn_text(fields, &place, self.text)?.to_owned();
        let role = self.roles.iter().find(|(name, _)| *name == speaker);
        let role = role.map(|(_, role)| *role).ok_or_else(|| {
            Problem::row(
                "unknown_role",
                format!(
                    "one of {}",
                    quoted(self.roles.iter().map(|(name, _)| *name))
                ),
                quoted([speaker]),
                "rename the role, or delete the row",
            )
            .in_field(format!("{place}.{}", self.speaker))
        })?;
        Ok(Message::new(role, content))
    }

    fn spelling(&self, role: Role) -> &'static str {
        let spelling = self.roles.iter().find(|(_, it)| *it == role);
        spelling.map_or(role.as_str(), |(name, _)| name)
    }

    /// Checks that user and assistant take turns, after an optional system text, up to a response.
    fn check_order(&self, conversation: &Conversation) -> Result<(), Problem> {
        let (user, assistant) = (self.spelling(Role::User), self.spelling(Role::Assistant));
        let wrong = |field, found: String| {
            let expected =
                format!("`{user}` and `{assistant}` in turn, and `{assistant}` at the end");
            let fix = "merge, add or remove turns, or delete the row";
            Err(Problem::row("wrong_turns", expected, found, fix).in_field(field))
        };
        let mut before = None;
        for (i, turn) in conversation.messages.iter().enumerate() {
            let is_next = match turn.role {
                Role::System => i == 0,
                Role::User => before != Some(Role::User),
                Role::Assistant => matches!(before, Some(Role::User | Role::Tool)),
                Role::Tool => matches!(before, Some(Role::Assistant | Role::Tool)),
            };
            if !is_next {
                let after = before.map_or("the beginning".to_owned(), |role| {
                    quoted([self.spelling(role)])
                });
                let found = format!("`{}` after {after}", self.spelling(turn.role));
                return wrong(self.place(i), found);
            }
            before = Some(turn.role);
        }
        match before {
            Some(Role::Assistant) => Ok(()),
            Some(role) => wrong(
                self.column.to_owned(),
                format!("`{}` at the end", self.spelling(role)),
            ),
            None => wrong(self.column.to_owned(), "no turns".to_owned()),
        }
    }
}

/// Refuses what would change what is trained on, and is not read yet.
fn check_keys(place: &str, turn: &Map<String, Value>) -> Result<(), Problem> {
    for key in ["tool_calls", "function_call", "weight"] {
        let value = turn.get(key).unwrap_or(&Value::Null);
        let is_whole = key == "weight" && value.as_f64() == Some(1.0);
        if !(value.is_null() || is_whole || value.as_array().is_some_and(Vec::is_empty)) {
            return Err(Problem::row(
                "unsupported_turn",
                format!("a turn without `{key}`, which is not read yet"),
                describe(value),
                "remove it, or delete the row",
            )
            .in_field(format!("{place}.{key}")));
        }
    }
    Ok(())
}

fn turn_text<'a>(turn: &'a Map<String, Value>, place: &str, key: &str) -> Result<&'a str, Problem> {
    let field = format!("{place}.{key}");
    match turn.get(key) {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Null) => Err(missing(&field, "text", "`null`")),
        Some(value) => Err(wrong_type(&field, "text", value)),
        None => {
            let found = format!("only {}", quoted(turn.keys().map(String::as_str)));
            Err(missing(&field, "text", &found))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn openai(roles: &[&str]) -> Result<Conversation, Problem> {
        let turns = roles
            .iter()
            .map(|role| json!({"role": role, "content": "x"}));
        read(&OPENAI, json!({"messages": turns.collect::<Vec<_>>()}))
    }

    fn read(chat: &Chat, row: Value) -> Result<Conversation, Problem> {
        chat.conversation(row.as_object().unwrap())
    }

    #[test]
    fn both_spellings_give_the_same_conversation() {
        let openai = read(
            &OPENAI,
            json!({"messages": [
            {"role": "system", "content": "S"}, {"role": "user", "content": "U", "name": "Ann"},
            {"role": "assistant", "content": "A", "weight": 1, "tool_calls": []}]}),
        );
        let share_gpt = read(
            &SHARE_GPT,
            json!({"conversations": [
            {"from": "system", "value": "S"}, {"from": "human", "value": "U"}, {"from": "gpt", "value": "A"}]}),
        );
        assert_eq!(openai.as_ref().unwrap().messages.len(), 3);
        assert_eq!(openai, share_gpt);
    }

    #[test]
    fn turns_alternate_and_end_with_the_response() {
        assert!(openai(&["user", "assistant", "user", "assistant"]).is_ok());
        for (roles, field, found) in [
            (&[][..], "messages", "no turns"),
            (&["user"], "messages", "`user` at the end"),
            (&["system"], "messages", "`system` at the end"),
            (
                &["assistant"],
                "messages[0]",
                "`assistant` after the beginning",
            ),
            (
                &["user", "user", "assistant"],
                "messages[1]",
                "`user` after `user`",
            ),
            (
                &["user", "assistant", "assistant"],
                "messages[2]",
                "`assistant` after `assistant`",
            ),
            (
                &["user", "system", "assistant"],
                "messages[1]",
                "`system` after `user`",
            ),
            (
                &["system", "assistant"],
                "messages[1]",
                "`assistant` after `system`",
            ),
        ] {
            let problem = openai(roles).unwrap_err();
            assert_eq!(
                (problem.field.as_deref(), problem.found.as_str()),
                (Some(field), found)
            );
        }
    }

    #[test]
    fn an_unknown_role_is_named_beside_the_known_ones() {
        let problem = openai(&["user", "tool", "assistant"]).unwrap_err();
        assert_eq!(problem.code, "unknown_role");
        assert_eq!(problem.field.as_deref(), Some("messages[1].role"));
        assert_eq!(problem.expected, "one of `system`, `user`, `assistant`");
    }

    #[test]
    fn what_would_change_the_loss_is_not_ignored() {
        for extra in [json!({"weight": 0}), json!({"tool_calls": [{}]})] {
            let mut turn = json!({"role": "assistant", "content": "x"});
            turn.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            let row = json!({"messages": [{"role": "user", "content": "x"}, turn]});
            assert_eq!(read(&OPENAI, row).unwrap_err().code, "unsupported_turn");
        }
    }

    #[test]
    fn a_turn_without_text_is_named() {
        let code = |row| {
            let problem = read(&OPENAI, row).unwrap_err();
            (problem.code, problem.field.unwrap())
        };
        let turn = |turn: Value| json!({"messages": [turn]});
        assert_eq!(
            code(turn(json!({"role": "user"}))),
            ("missing_field", "messages[0].content".into())
        );
        assert_eq!(
            code(turn(json!({"role": "user", "content": [1]}))),
            ("wrong_type", "messages[0].content".into())
        );
        assert_eq!(
            code(turn(json!("hello"))),
            ("wrong_type", "messages[0]".into())
        );
        assert_eq!(
            code(json!({"messages": "[]"})),
            ("wrong_type", "messages".into())
        );
        assert_eq!(code(json!({})), ("missing_field", "messages".into()));
    }
}
