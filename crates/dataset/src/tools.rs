//! Tools that rows declare, and turns that call them.

use llmopt_domain::ToolCall;
use serde_json::{Map, Value, json};

use crate::{
    pair::wrong_type,
    problem::{Problem, describe},
};

type Fields = Map<String, Value>;

/// Reads the tools that a row declares: a list under `tools`, or that as a text of JSON; or under OpenAI's older
/// `functions`.
pub(crate) fn declared(fields: &Fields) -> Result<Vec<Fields>, Problem> {
    let tools = list(fields, "tools")?;
    if !tools.is_empty() {
        return each(tools, "tools", |tool| tool);
    }
    let wrap = |function: Fields| {
        let kind = ("type".to_owned(), json!("function"));
        let function = ("function".to_owned(), Value::Object(function));
        [kind, function].into_iter().collect()
    };
    each(list(fields, "functions")?, "functions", wrap)
}

fn each(
    tools: Vec<Value>,
    column: &str,
    make: impl Fn(Fields) -> Fields,
) -> Result<Vec<Fields>, Problem> {
    let tools = tools.into_iter().enumerate();
    tools
        .map(|(index, tool)| match tool {
            Value::Object(tool) => Ok(make(tool)),
            other => {
                let field = format!("{column}[{index}]");
                Err(wrong_type(&field, "a tool's description", &other))
            }
        })
        .collect()
}

fn list(fields: &Fields, column: &str) -> Result<Vec<Value>, Problem> {
    match fields.get(column) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(tools)) => Ok(tools.clone()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map_err(|error| unparsable(column, "a JSON list of tools", &error)),
        Some(value) => Err(wrong_type(column, "a list of tools", value)),
    }
}

/// Reads the calls of a turn: OpenAI's `tool_calls`, or its older `function_call`.
pub(crate) fn calls(place: &str, turn: &Fields) -> Result<Vec<ToolCall>, Problem> {
    let field = format!("{place}.tool_calls");
    let mut calls = match turn.get("tool_calls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(calls)) => {
            let calls = calls.iter().enumerate();
            calls
                .map(|(index, value)| call(&format!("{field}[{index}]"), value.clone()))
                .collect::<Result<_, _>>()?
        }
        Some(value) => return Err(wrong_type(&field, "a list of calls", value)),
    };
    if let Some(function) = turn.get("function_call").filter(|value| !value.is_null()) {
        let field = format!("{place}.function_call");
        calls.push(call(&field, json!({ "function": function }))?);
    }
    Ok(calls)
}

/// Reads a text of JSON that is a call, or a list of them, each with `name` and `arguments`.
pub(crate) fn calls_in_text(field: &str, text: &str) -> Result<Vec<ToolCall>, Problem> {
    let expected = "a text of JSON with `name` and `arguments`";
    let value: Value =
        serde_json::from_str(text).map_err(|error| unparsable(field, expected, &error))?;
    let calls = match value {
        Value::Array(calls) => calls,
        one => vec![one],
    };
    let calls = calls.into_iter();
    calls
        .map(|function| call(field, json!({ "function": function })))
        .collect()
}

/// Reads a call, which lies at `field`.
fn call(field: &str, value: Value) -> Result<ToolCall, Problem> {
    let found = describe(&value);
    serde_json::from_value(value).map_err(|error| {
        let expected = "a call with `function`, its `name` and its `arguments`";
        let fix = "correct the call, or delete the row";
        Problem::row("wrong_call", expected, format!("{found}: {error}"), fix).in_field(field)
    })
}

fn unparsable(field: &str, expected: &str, error: &serde_json::Error) -> Problem {
    let fix = "correct the JSON, or delete the row";
    let found = format!("a text that is none: {error}");
    Problem::row("wrong_call", expected, found, fix).in_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Fields {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn tools_are_a_list_or_a_text_with_one_or_functions() {
        let tool = json!({"type": "function", "function": {"name": "f"}});
        let expected = vec![fields(tool.clone())];
        for row in [
            json!({"tools": [tool]}),
            json!({"tools": format!("[{tool}]")}),
            json!({"functions": [{"name": "f"}]}),
        ] {
            assert_eq!(declared(&fields(row)).unwrap(), expected);
        }
        assert_eq!(
            declared(&fields(json!({"tools": "", "functions": null}))).unwrap(),
            []
        );
    }

    #[test]
    fn broken_tools_are_named() {
        let problem = declared(&fields(json!({"tools": "[{]"}))).unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            ("wrong_call", Some("tools"))
        );
        let problem = declared(&fields(json!({"tools": [1]}))).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("tools[0]"));
    }

    #[test]
    fn a_call_is_one_of_tool_calls_or_a_function_call() {
        let function = json!({"name": "f", "arguments": "{\"a\": 1}"});
        let turn =
            fields(json!({"tool_calls": [{"id": "1", "type": "function", "function": function}]}));
        let read = calls("messages[1]", &turn).unwrap();
        assert_eq!(
            (read[0].id.as_deref(), read[0].name.as_str()),
            (Some("1"), "f")
        );
        let older = calls("messages[1]", &fields(json!({"function_call": function}))).unwrap();
        assert_eq!(older[0].arguments, read[0].arguments);
        let text = calls_in_text("conversations[1].value", &function.to_string()).unwrap();
        assert_eq!(text, older);
    }

    #[test]
    fn a_call_without_a_name_or_with_broken_arguments_is_named() {
        for function in [
            json!({"arguments": {}}),
            json!({"name": "f", "arguments": "{"}),
        ] {
            let turn = fields(json!({"tool_calls": [{"function": function}]}));
            let problem = calls("messages[1]", &turn).unwrap_err();
            assert_eq!(problem.code, "wrong_call");
            assert_eq!(problem.field.as_deref(), Some("messages[1].tool_calls[0]"));
        }
        let problem = calls_in_text("conversations[1].value", "f()").unwrap_err();
        assert_eq!(problem.code, "wrong_call");
    }
}
