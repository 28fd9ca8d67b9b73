//! Rows that hold a list of turns.

use llmopt_domain::{Conversation, Message, Role, Weight};
use serde_json::{Map, Value};

use crate::{
    pair::{missing, missing_column, optional_text, wrong_type},
    problem::{Problem, describe, quoted},
    tools,
};

/// How a dataset spells turns.
pub(crate) struct Chat {
    column: &'static str,
    speaker: &'static str,
    text: &'static str,
    roles: &'static [(&'static str, Speaker)],
}

/// Who speaks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    /// In plain words.
    Says(Role),
    /// The assistant, in a text of JSON that is a call of a tool.
    Calls,
}

use Speaker::{Calls, Says};

pub(crate) const OPENAI: Chat = Chat {
    column: "messages",
    speaker: "role",
    text: "content",
    roles: &[
        ("system", Says(Role::System)),
        ("user", Says(Role::User)),
        ("assistant", Says(Role::Assistant)),
        ("tool", Says(Role::Tool)),
        ("developer", Says(Role::System)),
        ("function", Says(Role::Tool)),
    ],
};

pub(crate) const SHARE_GPT: Chat = Chat {
    column: "conversations",
    speaker: "from",
    text: "value",
    roles: &[
        ("system", Says(Role::System)),
        ("human", Says(Role::User)),
        ("gpt", Says(Role::Assistant)),
        ("observation", Says(Role::Tool)),
        ("function_call", Calls),
        ("user", Says(Role::User)),
        ("assistant", Says(Role::Assistant)),
        ("tool", Says(Role::Tool)),
    ],
};

impl Chat {
    /// Reads a row whose turns are in the column.
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
        let mut messages = self.messages(self.column, turns)?;
        self.check_order(self.column, &messages)?;
        // ShareGPT's relatives keep it beside the turns.
        let has_system = messages
            .first()
            .is_some_and(|turn| turn.role == Role::System);
        if !has_system && let Some(system) = optional_text(fields, "system")? {
            messages.insert(0, Message::new(Role::System, system));
        }
        let tools = tools::declared(fields)?;
        Ok(Conversation { messages, tools })
    }

    /// Reads the turns that lie at `place`.
    pub(crate) fn messages(&self, place: &str, turns: &[Value]) -> Result<Vec<Message>, Problem> {
        let turns = turns.iter().enumerate();
        turns
            .map(|(index, turn)| self.message(&format!("{place}[{index}]"), turn))
            .collect()
    }

    /// Reads the turn that lies at `place`.
    pub(crate) fn message(&self, place: &str, turn: &Value) -> Result<Message, Problem> {
        let Value::Object(fields) = turn else {
            let expected = format!("an object with `{}` and `{}`", self.speaker, self.text);
            return Err(wrong_type(place, &expected, turn));
        };
        let speaker = self.speaker(place, fields)?;
        let calls = tools::calls(place, fields)?;
        let mut message = match speaker {
            Says(role) => {
                let is_text_needed = role != Role::Assistant || calls.is_empty();
                let content = self.content(place, fields, is_text_needed)?;
                Message::new(role, content)
            }
            Calls => called(place, self.text, fields)?,
        };
        if message.role != Role::Assistant && !calls.is_empty() {
            return Err(unsupported(
                place,
                "tool_calls",
                "in the assistant's turns only",
            ));
        }
        message.tool_calls.extend(calls);
        message.tool_call_id = name(place, fields, "tool_call_id")?;
        message.name = name(place, fields, "name")?;
        message.weight = weight(place, fields, message.role)?;
        Ok(message)
    }

    fn speaker(&self, place: &str, fields: &Map<String, Value>) -> Result<Speaker, Problem> {
        let spelling = turn_text(fields, place, self.speaker)?;
        let known = self.roles.iter().find(|(name, _)| *name == spelling);
        known.map(|(_, speaker)| *speaker).ok_or_else(|| {
            let expected = quoted(self.roles.iter().map(|(name, _)| *name));
            Problem::row(
                "unknown_role",
                format!("one of {expected}"),
                quoted([spelling]),
                "rename the role, or delete the row",
            )
            .in_field(format!("{place}.{}", self.speaker))
        })
    }

    fn content(
        &self,
        place: &str,
        fields: &Map<String, Value>,
        is_text_needed: bool,
    ) -> Result<String, Problem> {
        match fields.get(self.text) {
            Some(Value::Null) | None if !is_text_needed => Ok(String::new()),
            Some(Value::Array(parts)) => joined_parts(&format!("{place}.{}", self.text), parts),
            _ => turn_text(fields, place, self.text).map(str::to_owned),
        }
    }

    fn spelling(&self, role: Role) -> &'static str {
        let spelling = self.roles.iter().find(|(_, it)| *it == Says(role));
        spelling.map_or(role.as_str(), |(name, _)| name)
    }

    /// Checks that user and assistant take turns, after an optional system text, up to a response; and that tools
    /// answer what calls them.
    pub(crate) fn check_order(&self, column: &str, turns: &[Message]) -> Result<(), Problem> {
        let (user, assistant) = (self.spelling(Role::User), self.spelling(Role::Assistant));
        let wrong = |field, found: String| {
            let expected =
                format!("`{user}` and `{assistant}` in turn, and `{assistant}` at the end");
            let fix = "merge, add or remove turns, or delete the row";
            Err(Problem::row("wrong_turns", expected, found, fix).in_field(field))
        };
        let mut before: Option<&Message> = None;
        for (i, turn) in turns.iter().enumerate() {
            if !may_follow(turn, before) {
                let after = before.map_or("the beginning".to_owned(), |turn| self.spoken(turn));
                let found = format!("{} after {after}", quoted([self.spelling(turn.role)]));
                return wrong(format!("{column}[{i}]"), found);
            }
            before = Some(turn);
        }
        match before {
            Some(turn) if turn.role == Role::Assistant => Ok(()),
            Some(turn) => {
                let found = format!("`{}` at the end", self.spelling(turn.role));
                wrong(column.to_owned(), found)
            }
            None => wrong(column.to_owned(), "no turns".to_owned()),
        }
    }

    fn spoken(&self, turn: &Message) -> String {
        let role = quoted([self.spelling(turn.role)]);
        match turn.tool_calls.is_empty() {
            true => role,
            false => format!("{role} that calls a tool"),
        }
    }
}

fn may_follow(turn: &Message, before: Option<&Message>) -> bool {
    let role = before.map(|turn| turn.role);
    let is_called = before.is_some_and(|turn| !turn.tool_calls.is_empty());
    match turn.role {
        Role::System => role.is_none(),
        Role::User => role != Some(Role::User) && !is_called,
        Role::Assistant => matches!(role, Some(Role::User | Role::Tool)),
        Role::Tool => role == Some(Role::Tool) || is_called,
    }
}

/// Makes a turn of a text of JSON that calls one tool, or several.
fn called(place: &str, key: &str, fields: &Map<String, Value>) -> Result<Message, Problem> {
    let field = format!("{place}.{key}");
    let text = turn_text(fields, place, key)?;
    let mut message = Message::new(Role::Assistant, "");
    message.tool_calls = tools::calls_in_text(&field, text)?;
    Ok(message)
}

/// Joins a content of several parts, of which each is a text.
fn joined_parts(field: &str, parts: &[Value]) -> Result<String, Problem> {
    let mut joined = String::new();
    for (index, part) in parts.iter().enumerate() {
        match (part.get("type").and_then(Value::as_str), part.get("text")) {
            (Some("text") | None, Some(Value::String(text))) => joined.push_str(text),
            (kind, _) => {
                let found = kind.map_or_else(|| describe(part), |kind| quoted([kind]));
                let expected = "a part of the type `text`: other kinds are not read";
                let fix = "write the content as text, or delete the row";
                let problem = Problem::row("unsupported_turn", expected, found, fix);
                return Err(problem.in_field(format!("{field}[{index}]")));
            }
        }
    }
    Ok(joined)
}

fn name(place: &str, fields: &Map<String, Value>, key: &str) -> Result<Option<String>, Problem> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(value) => Err(wrong_type(&format!("{place}.{key}"), "text", value)),
    }
}

fn weight(place: &str, fields: &Map<String, Value>, role: Role) -> Result<Weight, Problem> {
    let field = format!("{place}.weight");
    let Some(value) = fields.get("weight").filter(|value| !value.is_null()) else {
        return Ok(Weight::One);
    };
    let weight = value.as_f64().and_then(|it| Weight::try_from(it).ok());
    match (weight, role) {
        (Some(weight), Role::Assistant) => Ok(weight),
        // Nothing of others is trained on in any case.
        (Some(Weight::Zero), _) => Ok(Weight::One),
        (Some(Weight::One), _) => Err(unsupported(
            place,
            "weight",
            "in the assistant's turns only",
        )),
        (None, _) => {
            let fix = "write 1 for a turn that is trained on, 0 for one that is not";
            let problem = Problem::row("wrong_type", "the weight 0 or 1", describe(value), fix);
            Err(problem.in_field(field))
        }
    }
}

fn unsupported(place: &str, key: &str, expected: &str) -> Problem {
    let expected = format!("`{key}` {expected}");
    let fix = "remove it, or delete the row";
    Problem::row("unsupported_turn", expected, "it in another turn", fix)
        .in_field(format!("{place}.{key}"))
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
            {"role": "developer", "content": "S"}, {"role": "user", "content": "U"},
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
        let problem = openai(&["user", "critic", "assistant"]).unwrap_err();
        assert_eq!(problem.code, "unknown_role");
        assert_eq!(problem.field.as_deref(), Some("messages[1].role"));
        assert!(
            problem
                .expected
                .starts_with("one of `system`, `user`, `assistant`, `tool`")
        );
    }

    /// A row whose last turn but one is `turn`, between a prompt and a response.
    fn with_turn(turn: Value) -> Result<Conversation, Problem> {
        let user = json!({"role": "user", "content": "x"});
        let assistant = json!({"role": "assistant", "content": "x"});
        read(&OPENAI, json!({"messages": [user, turn, user, assistant]}))
    }

    #[test]
    fn weights_of_the_assistants_turns_are_kept_and_others_refused() {
        let weighted = |role: &str, weight: Value| {
            let turn = json!({"role": role, "content": "x", "weight": weight});
            with_turn(turn).map(|it| it.messages[1].weight)
        };
        assert_eq!(weighted("assistant", json!(0)), Ok(Weight::Zero));
        assert_eq!(weighted("assistant", json!(1.0)), Ok(Weight::One));
        assert_eq!(weighted("assistant", json!(null)), Ok(Weight::One));
        let half = weighted("assistant", json!(0.5)).unwrap_err();
        assert_eq!(
            (half.code, half.field.as_deref()),
            ("wrong_type", Some("messages[1].weight"))
        );
        let user = json!({"messages": [{"role": "user", "content": "x", "weight": 1}]});
        assert_eq!(read(&OPENAI, user).unwrap_err().code, "unsupported_turn");
    }

    #[test]
    fn tools_are_called_and_answer_in_both_spellings() {
        let openai = read(
            &OPENAI,
            json!({"tools": [{"type": "function", "function": {"name": "f"}}], "messages": [
                {"role": "user", "content": "U"},
                {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
                {"role": "tool", "content": "T"},
                {"role": "assistant", "content": "A"}]}),
        );
        let share_gpt = read(
            &SHARE_GPT,
            json!({"tools": "[{\"type\": \"function\", \"function\": {\"name\": \"f\"}}]", "conversations": [
                {"from": "human", "value": "U"},
                {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"a\": 1}}"},
                {"from": "observation", "value": "T"},
                {"from": "gpt", "value": "A"}]}),
        );
        assert_eq!(openai.as_ref().unwrap().messages[1].tool_calls[0].name, "f");
        assert_eq!(openai, share_gpt);
    }

    #[test]
    fn a_tool_answers_only_what_calls_it_and_is_answered() {
        let tool = json!({"role": "tool", "content": "T"});
        let problem = with_turn(tool).unwrap_err();
        assert_eq!(problem.found, "`tool` after `user`");
        let call = json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]});
        let problem = with_turn(call).unwrap_err();
        assert_eq!(problem.found, "`user` after `assistant` that calls a tool");
        let call = json!({"role": "user", "content": "x", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]});
        assert_eq!(with_turn(call).unwrap_err().code, "unsupported_turn");
    }

    #[test]
    fn parts_of_text_are_joined_and_pictures_refused() {
        let turn = |part: Value| {
            let text = json!({"type": "text", "text": "a"});
            let turn = json!({"role": "assistant", "content": [text, part]});
            with_turn(turn).map(|it| it.messages[1].content.clone())
        };
        assert_eq!(
            turn(json!({"type": "text", "text": "b"})),
            Ok("ab".to_owned())
        );
        let problem = turn(json!({"type": "image_url", "image_url": {}})).unwrap_err();
        assert_eq!(problem.code, "unsupported_turn");
        assert_eq!(problem.field.as_deref(), Some("messages[1].content[1]"));
    }

    #[test]
    fn a_system_column_stands_before_the_turns() {
        let row = json!({"system": "S", "conversations": [{"from": "human", "value": "U"}, {"from": "gpt", "value": "A"}]});
        assert_eq!(
            read(&SHARE_GPT, row).unwrap().messages[0],
            Message::new(Role::System, "S")
        );
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
            code(turn(json!({"role": "user", "content": 1}))),
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
