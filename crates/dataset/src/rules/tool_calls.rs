use llmopt_domain::{Conversation, Finding, Severity, ToolCall};
use serde_json::{Map, Value};

use super::{Example, Rule, tool_schema};
use crate::problem::{quoted, shortened};

/// How a call may contradict the row's `tools`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    UnknownTool,
    MissingArgument,
    UnexpectedArgument,
    WrongArgument,
}

impl Mistake {
    pub(super) const ALL: [Self; 4] = [
        Self::UnknownTool,
        Self::MissingArgument,
        Self::UnexpectedArgument,
        Self::WrongArgument,
    ];
}

/// What is wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    pub(super) mistake: Mistake,
    /// The argument, as a path; empty where it is the call as a whole.
    pub(super) path: String,
    pub(super) expected: String,
    pub(super) found: String,
}

/// A model that is taught to call tools wrongly does.
pub(super) struct ToolCalls(pub(super) Mistake);

impl Rule for ToolCalls {
    fn code(&self) -> &'static str {
        match self.0 {
            Mistake::UnknownTool => "unknown_tool",
            Mistake::MissingArgument => "missing_argument",
            Mistake::UnexpectedArgument => "unexpected_argument",
            Mistake::WrongArgument => "wrong_argument",
        }
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        match self.0 {
            Mistake::UnknownTool => "a call of a tool that is not in the row's `tools`",
            Mistake::MissingArgument => "a call without an argument that the tool requires",
            Mistake::UnexpectedArgument => {
                "a call with an argument that the tool does not have, where `additionalProperties` is false"
            }
            Mistake::WrongArgument => {
                "an argument of another type, or none of the values, that the tool has"
            }
        }
    }

    fn fix(&self) -> &'static str {
        match self.0 {
            Mistake::UnknownTool => "declare the tool in `tools`, or correct the name",
            Mistake::MissingArgument => "add the argument, or take it out of `required`",
            Mistake::UnexpectedArgument => "delete the argument, or declare it in `properties`",
            Mistake::WrongArgument => "correct the argument, or what the tool declares",
        }
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let conversation = example.conversation;
        // Where nothing is declared, the tools are told in the system text, or fixed.
        if conversation.tools.is_empty() {
            return;
        }
        for (index, turn) in conversation.messages.iter().enumerate() {
            let field = example.field_of_turn(index);
            let field = field.strip_suffix(".content").unwrap_or(&field);
            for (number, call) in turn.tool_calls.iter().enumerate() {
                let wrong = contradictions(conversation, call).into_iter();
                for it in wrong.filter(|it| it.mistake == self.0) {
                    let mut place = example.place();
                    place.field = Some(field_of_call(field, number, &it.path));
                    findings.push(self.finding(place, &it.expected, it.found));
                }
            }
        }
    }
}

/// Names the call's argument at `path`, or its tool.
fn field_of_call(turn: &str, call: usize, path: &str) -> String {
    let end = if path.is_empty() {
        ".name"
    } else {
        ".arguments"
    };
    format!("{turn}.tool_calls[{call}].function{end}{}", shortened(path))
}

fn contradictions(conversation: &Conversation, call: &ToolCall) -> Vec<Contradiction> {
    let tools: Vec<_> = conversation.tools.iter().map(function).collect();
    let name =
        |tool: &Map<String, Value>| tool.get("name").and_then(Value::as_str).map(str::to_owned);
    match tools
        .iter()
        .find(|tool| name(tool).as_ref() == Some(&call.name))
    {
        Some(tool) => tool.get("parameters").map_or_else(Vec::new, |schema| {
            tool_schema::check_object(schema, &call.arguments, "")
        }),
        None => {
            let names: Vec<String> = tools.iter().filter_map(|tool| name(tool)).collect();
            vec![Contradiction {
                mistake: Mistake::UnknownTool,
                path: String::new(),
                expected: match names.is_empty() {
                    true => "a tool with a name in `tools`".to_owned(),
                    false => format!("one of {}", quoted(names.iter().map(String::as_str))),
                },
                found: quoted([call.name.as_str()]),
            }]
        }
    }
}

/// Returns what OpenAI has under `function`, and others as the tool itself.
fn function(tool: &Map<String, Value>) -> &Map<String, Value> {
    match tool.get("function") {
        Some(Value::Object(function)) => function,
        _ => tool,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{conversation, findings_of};

    fn row(name: &str, arguments: Value) -> Conversation {
        conversation(json!({
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["celsius", "kelvin"]}
            },
            "required": ["city"],
            "additionalProperties": false
        }}}, {"name": "time"}],
        "messages": [
            {"role": "user", "content": "How warm is Rome?"},
            {"role": "assistant", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}]}
        ]}))
    }

    fn said(row: Conversation) -> Vec<String> {
        let rows = [row];
        let rules = Mistake::ALL.map(ToolCalls).into_iter();
        let found = rules.flat_map(|mut rule| findings_of(&mut rule, &rows));
        found
            .map(|it| {
                let field = it.place.field.unwrap();
                format!("{} {field}: {}, not {}", it.code, it.expected, it.found)
            })
            .collect()
    }

    #[test]
    fn calls_as_declared_are_fine() {
        let arguments = json!({"city": "Rome", "days": 2, "unit": "kelvin"});
        assert!(said(row("weather", arguments)).is_empty());
        assert!(said(row("time", json!({"zone": "CET"}))).is_empty());
    }

    #[test]
    fn every_contradiction_is_named_with_its_place() {
        let call = "messages[1].tool_calls[0].function";
        assert_eq!(
            said(row("wether", json!({}))),
            [format!(
                "unknown_tool {call}.name: one of `weather`, `time`, not `wether`"
            )]
        );
        assert_eq!(
            said(row(
                "weather",
                json!({"days": "2", "unit": "F", "town": "Rome"})
            )),
            [
                format!("missing_argument {call}.arguments.city: a value, not nothing"),
                format!(
                    "unexpected_argument {call}.arguments.town: one of `city`, `days`, `unit`, not an argument that is not declared"
                ),
                format!("wrong_argument {call}.arguments.days: `integer`, not a text"),
                format!(
                    "wrong_argument {call}.arguments.unit: one of its `enum`, not another value"
                ),
            ]
        );
    }

    #[test]
    fn rows_that_declare_no_tools_are_not_checked() {
        let mut row = row("wether", json!({}));
        row.tools.clear();
        assert!(said(row).is_empty());
    }
}
