//! Rows that hold one prompt and one response in columns of their own.

use llmopt_domain::{Conversation, Lesson, Message, Role, Sample};
use serde_json::{Map, Value};

use crate::{
    preference,
    problem::{Problem, describe, quoted},
};

type Fields = Map<String, Value>;

/// Reads a prompt and its response, with a `system` text where there is one.
pub(crate) fn plain(
    fields: &Fields,
    prompt: &str,
    response: &str,
) -> Result<Conversation, Problem> {
    let (asked, said) = (fields.get(prompt), fields.get(response));
    if matches!(asked, Some(Value::Array(_))) || matches!(said, Some(Value::Array(_))) {
        // As trl has them; of others it is an error that names the field.
        if prompt == "prompt" {
            return preference::prompt_and_completion(fields, response);
        }
    }
    let prompt = required_text(fields, prompt)?.to_owned();
    let response = required_text(fields, response)?;
    finished(fields, Vec::new(), prompt, response)
}

/// Joins instruction and input as Alpaca does: a blank line between them, where there is an input.
pub(crate) fn instruction(fields: &Fields) -> Result<Conversation, Problem> {
    let instruction = required_text(fields, "instruction")?;
    let prompt = match optional_text(fields, "input")? {
        Some(input) => format!("{instruction}\n\n{input}"),
        None => instruction.to_owned(),
    };
    let response = required_text(fields, "output")?;
    finished(fields, history(fields)?, prompt, response)
}

/// Reads plain text.
pub(crate) fn text(fields: &Fields) -> Result<Sample, Problem> {
    let text = Message::new(Role::Assistant, required_text(fields, "text")?);
    Ok(Sample {
        conversation: Conversation::new(vec![text]),
        lesson: Lesson::Text,
    })
}

fn finished(
    fields: &Fields,
    mut messages: Vec<Message>,
    prompt: String,
    response: &str,
) -> Result<Conversation, Problem> {
    messages.push(Message::new(Role::User, prompt));
    messages.push(Message::new(Role::Assistant, response));
    if let Some(system) = optional_text(fields, "system")? {
        with_system(&mut messages, system);
    }
    Ok(Conversation::new(messages))
}

/// Reads the turns before an instruction: a list of prompts with their responses.
fn history(fields: &Fields) -> Result<Vec<Message>, Problem> {
    let expected = "a list of pairs of a prompt and its response";
    let pairs = match fields.get("history") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(pairs)) => pairs,
        Some(value) => return Err(wrong_type("history", expected, value)),
    };
    let mut messages = Vec::new();
    for (index, pair) in pairs.iter().enumerate() {
        let Some([Value::String(prompt), Value::String(response)]) =
            pair.as_array().map(Vec::as_slice)
        else {
            return Err(wrong_type(&format!("history[{index}]"), expected, pair));
        };
        messages.push(Message::new(Role::User, prompt.as_str()));
        messages.push(Message::new(Role::Assistant, response.as_str()));
    }
    Ok(messages)
}

/// Puts a system text before everything.
pub(crate) fn with_system(messages: &mut Vec<Message>, system: &str) {
    messages.insert(0, Message::new(Role::System, system));
}

fn required_text<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Problem> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Null) => Err(missing(name, "text", "`null`")),
        Some(value) => Err(wrong_type(name, "text", value)),
        None => Err(missing_column(fields, name, "text")),
    }
}

/// Returns a text that may be missing, `null` or blank, which are the same.
pub(crate) fn optional_text<'a>(
    fields: &'a Fields,
    name: &str,
) -> Result<Option<&'a str>, Problem> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok((!text.trim().is_empty()).then_some(text)),
        Some(Value::Null) | None => Ok(None),
        Some(value) => Err(wrong_type(name, "text", value)),
    }
}

/// The problem of a row without the column `name`.
pub(crate) fn missing_column(fields: &Fields, name: &str, expected: &str) -> Problem {
    let found = match fields.len() {
        0 => "an empty object".to_owned(),
        _ => format!("only {}", quoted(fields.keys().map(String::as_str))),
    };
    missing(name, expected, &found)
}

pub(crate) fn missing(field: &str, expected: &str, found: &str) -> Problem {
    let fix = "fill it in, or delete the row";
    Problem::row("missing_field", expected, found, fix).in_field(field)
}

pub(crate) fn wrong_type(field: &str, expected: &str, value: &Value) -> Problem {
    let fix = match value {
        Value::Number(_) | Value::Bool(_) => "put it in quotes",
        Value::String(_) => "write it as a JSON list (CSV has no lists: use JSONL)",
        _ => "write it as text, or delete the row",
    };
    Problem::row("wrong_type", expected, describe(value), fix).in_field(field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        value.as_object().unwrap().clone()
    }

    fn turns(conversation: &Conversation) -> Vec<(Role, &str)> {
        let turns = conversation.messages.iter();
        turns
            .map(|turn| (turn.role, turn.content.as_str()))
            .collect()
    }

    #[test]
    fn an_instruction_stands_above_its_input() {
        let row =
            fields(json!({"instruction": "Add.", "input": "1, 2", "output": "3", "system": "S"}));
        let conversation = instruction(&row).unwrap();
        let expected = [
            (Role::System, "S"),
            (Role::User, "Add.\n\n1, 2"),
            (Role::Assistant, "3"),
        ];
        assert_eq!(turns(&conversation), expected);
    }

    #[test]
    fn an_empty_input_or_system_text_is_none() {
        let row =
            fields(json!({"instruction": "Hi.", "input": "", "output": " x ", "system": null}));
        let conversation = instruction(&row).unwrap();
        assert_eq!(
            turns(&conversation),
            [(Role::User, "Hi."), (Role::Assistant, " x ")]
        );
    }

    #[test]
    fn a_field_that_is_not_there_is_named_with_what_is() {
        let problem = plain(&fields(json!({"q": "1", "a": "2"})), "q", "r").unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            ("missing_field", Some("r"))
        );
        assert_eq!(problem.found, "only `q`, `a`");
        let problem = plain(&fields(json!({"q": null, "r": "2"})), "q", "r").unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            ("missing_field", Some("q"))
        );
    }

    #[test]
    fn a_number_is_no_text() {
        let problem = plain(&fields(json!({"q": "1", "r": 42})), "q", "r").unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            ("wrong_type", Some("r"))
        );
        assert_eq!(problem.found, "the number `42`");
        assert_eq!(problem.fix, "put it in quotes");
    }

    #[test]
    fn a_history_comes_before_the_instruction() {
        let row = fields(
            json!({"instruction": "c", "output": "d", "system": "S", "history": [["a", "b"]]}),
        );
        let conversation = instruction(&row).unwrap();
        let texts: Vec<_> = turns(&conversation)
            .into_iter()
            .map(|turn| turn.1)
            .collect();
        assert_eq!(texts, ["S", "a", "b", "c", "d"]);
        let row = fields(json!({"instruction": "c", "output": "d", "history": [["a"]]}));
        let problem = instruction(&row).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("history[0]"));
    }
}
