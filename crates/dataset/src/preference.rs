//! Rows with two answers to one prompt, of which one was preferred; and rows with an answer and a label.

use llmopt_domain::{Conversation, Lesson, Message, Role, Sample};
use serde_json::{Map, Value};

use crate::{
    chat::OPENAI,
    pair::{missing, missing_column, optional_text, with_system, wrong_type},
    problem::{Problem, describe},
    tools,
};

type Fields = Map<String, Value>;

const TURNS: &str = "text, or a list of turns";

/// Reads OpenAI's preference pairs: `input` with `messages`, and two answers of one turn each.
pub(crate) fn openai(fields: &Fields) -> Result<Sample, Problem> {
    let input = match required(fields, "input", "an object with `messages`")? {
        Value::Object(input) => input,
        value => return Err(wrong_type("input", "an object with `messages`", value)),
    };
    let messages = match input.get("messages") {
        Some(Value::Array(turns)) => OPENAI.messages("input.messages", turns)?,
        Some(value) => return Err(wrong_type("input.messages", "a list of turns", value)),
        None => return Err(missing("input.messages", "a list of turns", "none")),
    };
    let [chosen, rejected] = ["preferred_output", "non_preferred_output"]
        .map(|column| answer(column, required(fields, column, "a list of one turn")?));
    let prompt = Conversation {
        messages,
        tools: tools::declared(input)?,
    };
    preference("input.messages", prompt, chosen?, rejected?)
}

/// Reads `chosen` and `rejected`, which answer `prompt`, or each begin with it.
pub(crate) fn chosen_and_rejected(fields: &Fields) -> Result<Sample, Problem> {
    let (chosen, rejected) = ("chosen", "rejected");
    let [first, second] = [chosen, rejected].map(|column| required(fields, column, TURNS));
    let (first, second) = (first?, second?);
    let mut prompt = match fields.get("prompt") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => spoken("prompt", Role::User, value)?,
    };
    let mut chosen_turns = spoken(chosen, Role::Assistant, first)?;
    let mut rejected_turns = spoken(rejected, Role::Assistant, second)?;
    if prompt.is_empty() {
        let same = chosen_turns.iter().zip(&rejected_turns);
        let same = same.take_while(|(a, b)| a == b).count();
        // Two answers that are the same have none of their turns in common but the prompt.
        let same = same.min(chosen_turns.len().saturating_sub(1));
        prompt = chosen_turns.drain(..same).collect();
        rejected_turns.drain(..same.min(rejected_turns.len()));
    }
    let chosen = only(chosen, chosen_turns)?;
    let rejected = only(rejected, rejected_turns)?;
    let prompt = Conversation {
        messages: system_first(fields, prompt)?,
        tools: tools::declared(fields)?,
    };
    preference("prompt", prompt, chosen, rejected)
}

/// Reads `messages`, or `prompt` and `completion`, with a `label` that says whether the answer is good.
pub(crate) fn labelled(fields: &Fields) -> Result<Sample, Problem> {
    let label = match required(fields, "label", "`true` or `false`")? {
        Value::Bool(label) => *label,
        value => {
            let fix = "write `true` for a good answer, `false` for a bad one";
            let problem = Problem::row("wrong_type", "`true` or `false`", describe(value), fix);
            return Err(problem.in_field("label"));
        }
    };
    let conversation = match fields.contains_key("messages") {
        true => OPENAI.conversation(fields)?,
        false => prompt_and_completion(fields, "completion")?,
    };
    Ok(Sample {
        conversation,
        lesson: Lesson::Label { label },
    })
}

/// Reads `prompt` and its answer, each a text or a list of turns.
pub(crate) fn prompt_and_completion(
    fields: &Fields,
    column: &str,
) -> Result<Conversation, Problem> {
    let mut messages = spoken("prompt", Role::User, required(fields, "prompt", TURNS)?)?;
    let prompts = messages.len();
    messages.extend(spoken(
        column,
        Role::Assistant,
        required(fields, column, TURNS)?,
    )?);
    OPENAI.check_order("prompt", &messages).map_err(|problem| {
        // Which of the two columns it is depends on where the turns are cut.
        problem.in_field(if prompts == 0 { "prompt" } else { column })
    })?;
    Ok(Conversation {
        messages: system_first(fields, messages)?,
        tools: tools::declared(fields)?,
    })
}

fn preference(
    place: &str,
    mut conversation: Conversation,
    chosen: Message,
    rejected: Message,
) -> Result<Sample, Problem> {
    if chosen == rejected {
        let expected = "two answers of which one is better";
        let fix = "correct one of the answers, or delete the row";
        let problem = Problem::row("same_answers", expected, "the same answer twice", fix);
        return Err(problem);
    }
    conversation.messages.push(chosen);
    OPENAI.check_order(place, &conversation.messages)?;
    let lesson = Lesson::Preference { rejected };
    Ok(Sample {
        conversation,
        lesson,
    })
}

fn required<'a>(fields: &'a Fields, column: &str, expected: &str) -> Result<&'a Value, Problem> {
    match fields.get(column) {
        None => Err(missing_column(fields, column, expected)),
        Some(Value::Null) => Err(missing(column, expected, "`null`")),
        Some(value) => Ok(value),
    }
}

/// Takes a text for one turn of `role`, and a list for turns.
fn spoken(column: &str, role: Role, value: &Value) -> Result<Vec<Message>, Problem> {
    match value {
        Value::String(text) => Ok(vec![Message::new(role, text.as_str())]),
        Value::Array(turns) => OPENAI.messages(column, turns),
        value => Err(wrong_type(column, TURNS, value)),
    }
}

fn answer(column: &str, value: &Value) -> Result<Message, Problem> {
    only(column, spoken(column, Role::Assistant, value)?)
}

/// Returns the only turn, which is the assistant's.
fn only(column: &str, turns: Vec<Message>) -> Result<Message, Problem> {
    let count = turns.len();
    let mut turns = turns.into_iter();
    match (turns.next(), turns.next()) {
        (Some(turn), None) if turn.role == Role::Assistant => Ok(turn),
        _ => {
            let expected = "one turn of the assistant's after the prompt";
            let found = match count {
                1 => "a turn of another's".to_owned(),
                count => format!("{count} turns"),
            };
            let fix = "leave one answer to the same prompt in each, or delete the row";
            Err(Problem::row("wrong_turns", expected, found, fix).in_field(column))
        }
    }
}

fn system_first(fields: &Fields, mut messages: Vec<Message>) -> Result<Vec<Message>, Problem> {
    let has_system = messages
        .first()
        .is_some_and(|turn| turn.role == Role::System);
    if !has_system && let Some(system) = optional_text(fields, "system")? {
        with_system(&mut messages, system);
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Reading = fn(&Fields) -> Result<Sample, Problem>;

    fn read(reading: Reading, row: Value) -> Result<Sample, Problem> {
        reading(row.as_object().unwrap())
    }

    fn texts(sample: &Sample) -> Vec<&str> {
        let turns = sample.conversation.messages.iter();
        turns.map(|turn| turn.content.as_str()).collect()
    }

    fn rejected(sample: &Sample) -> &str {
        match &sample.lesson {
            Lesson::Preference { rejected } => &rejected.content,
            lesson => panic!("{lesson:?}"),
        }
    }

    #[test]
    fn every_spelling_of_a_preference_gives_the_same() {
        let turn = |role: &str, content: &str| json!({"role": role, "content": content});
        let openai_row = json!({
            "input": {"messages": [turn("user", "Hi")], "tools": []},
            "preferred_output": [turn("assistant", "Hello")],
            "non_preferred_output": [turn("assistant", "What?")],
        });
        let expected = read(openai, openai_row).unwrap();
        assert_eq!(
            (texts(&expected), rejected(&expected)),
            (vec!["Hi", "Hello"], "What?")
        );
        for row in [
            json!({"prompt": "Hi", "chosen": "Hello", "rejected": "What?"}),
            json!({"prompt": [turn("user", "Hi")], "chosen": [turn("assistant", "Hello")], "rejected": [turn("assistant", "What?")]}),
            json!({"chosen": [turn("user", "Hi"), turn("assistant", "Hello")], "rejected": [turn("user", "Hi"), turn("assistant", "What?")]}),
        ] {
            assert_eq!(read(chosen_and_rejected, row).unwrap(), expected);
        }
    }

    #[test]
    fn the_same_answer_twice_is_no_preference() {
        let row = json!({"prompt": "Hi", "chosen": "Hello", "rejected": "Hello"});
        let problem = read(chosen_and_rejected, row).unwrap_err();
        assert_eq!(problem.code, "same_answers");
    }

    #[test]
    fn answers_to_different_prompts_are_refused() {
        let turn = |role: &str, content: &str| json!({"role": role, "content": content});
        let row = json!({
            "chosen": [turn("user", "Hi"), turn("assistant", "Hello")],
            "rejected": [turn("user", "Bye"), turn("assistant", "Ciao")],
        });
        let problem = read(chosen_and_rejected, row).unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            ("wrong_turns", Some("chosen"))
        );
    }

    #[test]
    fn a_label_says_whether_an_answer_is_good() {
        let row = json!({"prompt": "Hi", "completion": "Hello", "label": false});
        let sample = read(labelled, row).unwrap();
        assert_eq!(sample.lesson, Lesson::Label { label: false });
        assert_eq!(texts(&sample), ["Hi", "Hello"]);
        let row = json!({"prompt": "Hi", "completion": "Hello", "label": "good"});
        let problem = read(labelled, row).unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            ("wrong_type", Some("label"))
        );
    }

    #[test]
    fn prompt_and_completion_may_be_turns() {
        let row = json!({
            "system": "S",
            "prompt": [{"role": "user", "content": "Hi"}],
            "completion": [{"role": "assistant", "content": "Hello"}],
        });
        let conversation = prompt_and_completion(row.as_object().unwrap(), "completion").unwrap();
        let texts: Vec<_> = conversation
            .messages
            .iter()
            .map(|it| it.content.as_str())
            .collect();
        assert_eq!(texts, ["S", "Hi", "Hello"]);
        let row = json!({"prompt": [{"role": "user", "content": "Hi"}], "completion": []});
        let problem = prompt_and_completion(row.as_object().unwrap(), "completion").unwrap_err();
        assert_eq!(problem.code, "wrong_turns");
    }
}
