//! As much of JSON Schema as tools declare their arguments with: `properties`, `required`, `additionalProperties`,
//! `items`, `type` and `enum`.

use serde_json::{Map, Value};

use super::tool_calls::{Contradiction, Mistake};
use crate::problem::quoted;

/// Checks the properties of an object at `path`.
pub(super) fn check_object(
    schema: &Value,
    object: &Map<String, Value>,
    path: &str,
) -> Vec<Contradiction> {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    let declared = properties.unwrap_or(&empty);
    let mut wrong = missing(schema, object, path);
    for (name, value) in object {
        let path = format!("{path}.{name}");
        match declared.get(name) {
            Some(schema) => wrong.extend(check_value(schema, value, &path)),
            None if is_closed(schema) => wrong.push(unexpected(declared, path)),
            None => {}
        }
    }
    wrong
}

fn is_closed(schema: &Value) -> bool {
    schema.get("additionalProperties") == Some(&Value::Bool(false))
}

fn missing(schema: &Value, object: &Map<String, Value>, path: &str) -> Vec<Contradiction> {
    let required = schema.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    let absent = names.filter(|name| !object.contains_key(*name));
    absent
        .map(|name| Contradiction {
            mistake: Mistake::MissingArgument,
            path: format!("{path}.{name}"),
            expected: "a value".to_owned(),
            found: "nothing".to_owned(),
        })
        .collect()
}

fn unexpected(declared: &Map<String, Value>, path: String) -> Contradiction {
    let expected = match declared.is_empty() {
        true => "no arguments".to_owned(),
        false => format!("one of {}", quoted(declared.keys().map(String::as_str))),
    };
    Contradiction {
        mistake: Mistake::UnexpectedArgument,
        path,
        expected,
        found: "an argument that is not declared".to_owned(),
    }
}

fn check_value(schema: &Value, value: &Value, path: &str) -> Vec<Contradiction> {
    let wrong = |expected, found: &str| {
        vec![Contradiction {
            mistake: Mistake::WrongArgument,
            path: path.to_owned(),
            expected,
            found: found.to_owned(),
        }]
    };
    let types = types(schema);
    if !types.is_empty() && !types.iter().any(|name| is_of(value, name)) {
        return wrong(quoted(types), kind(value));
    }
    let choices = schema.get("enum").and_then(Value::as_array);
    if choices.is_some_and(|choices| !choices.contains(value)) {
        return wrong("one of its `enum`".to_owned(), "another value");
    }
    match value {
        Value::Object(object) => check_object(schema, object, path),
        Value::Array(list) => check_items(schema, list, path),
        _ => Vec::new(),
    }
}

fn check_items(schema: &Value, list: &[Value], path: &str) -> Vec<Contradiction> {
    let Some(schema) = schema.get("items") else {
        return Vec::new();
    };
    let items = list.iter().enumerate();
    let wrong = items.flat_map(|(i, item)| check_value(schema, item, &format!("{path}[{i}]")));
    wrong.collect()
}

/// Returns the types that a schema allows; none where it does not say.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|it| it.fract() == 0.0)
        }
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        // Some dialects have types of their own.
        _ => true,
    }
}

/// Says what a value is, and not what is in it.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "`null`",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(schema: Value, arguments: Value) -> Vec<String> {
        let wrong = check_object(&schema, arguments.as_object().unwrap(), "");
        wrong.into_iter().map(|it| it.path).collect()
    }

    #[test]
    fn lists_and_objects_are_checked_within() {
        let schema = json!({"properties": {
            "stops": {"type": "array", "items": {"type": "object", "required": ["city"], "properties": {
                "city": {"type": "string"}}}}}});
        let arguments = json!({"stops": [{"city": "Rome"}, {"city": 3}, {}]});
        assert_eq!(
            paths(schema, arguments),
            [".stops[1].city", ".stops[2].city"]
        );
    }

    #[test]
    fn types_may_be_several_and_what_is_unknown_is_taken() {
        let schema = json!({"properties": {
            "a": {"type": ["string", "null"]}, "b": {"type": "integer"}, "c": {"type": "date"}, "d": {}}});
        assert!(
            paths(
                schema.clone(),
                json!({"a": null, "b": 2.0, "c": 1, "d": [], "e": 1})
            )
            .is_empty()
        );
        assert_eq!(paths(schema, json!({"a": 1, "b": 2.5})), [".a", ".b"]);
    }
}
