use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type},
};

/// What the assistant has a tool do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct ToolCall {
    /// What the tool's answer refers to.
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// The arguments by their names.
    pub arguments: Map<String, Value>,
}

/// A call as OpenAI and Hugging Face's templates spell it.
#[derive(Serialize, Deserialize, ToSchema)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, rename = "type")]
    kind: Kind,
    function: Function,
}

#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Function,
}

#[derive(Serialize, Deserialize, ToSchema)]
struct Function {
    name: String,
    #[schema(schema_with = arguments_schema)]
    arguments: Value,
}

impl TryFrom<Wire> for ToolCall {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Function { name, arguments } = wire.function;
        Ok(Self {
            id: wire.id,
            name,
            arguments: arguments_of(arguments)?,
        })
    }
}

impl From<ToolCall> for Wire {
    fn from(call: ToolCall) -> Self {
        Self {
            id: call.id,
            kind: Kind::Function,
            function: Function {
                name: call.name,
                arguments: Value::Object(call.arguments),
            },
        }
    }
}

impl PartialSchema for ToolCall {
    fn schema() -> RefOr<Schema> {
        Wire::schema()
    }
}

impl ToSchema for ToolCall {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Wire::schemas(schemas);
    }
}

/// Describes what [`arguments_of`] takes.
fn arguments_schema() -> RefOr<Schema> {
    let kinds = [Type::Object, Type::String, Type::Null];
    let kinds = kinds.map(|kind| ObjectBuilder::new().schema_type(kind));
    let description = "The arguments by their names, or that as a text of JSON; nothing for none.";
    let one_of = kinds
        .into_iter()
        .fold(OneOfBuilder::new(), OneOfBuilder::item);
    one_of.description(Some(description)).into()
}

/// Takes arguments as an object, or as OpenAI has them, a text of JSON; no text stands for no arguments.
fn arguments_of(value: Value) -> Result<Map<String, Value>, String> {
    let expected = "expected arguments as a JSON object, or as text with one";
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        Value::String(text) if text.trim().is_empty() => Ok(Map::new()),
        Value::String(text) => {
            serde_json::from_str(&text).map_err(|error| format!("{expected}: {error}"))
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(expected.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(arguments: Value) -> Result<ToolCall, serde_json::Error> {
        serde_json::from_value(
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}),
        )
    }

    #[test]
    fn arguments_are_an_object_or_a_text_with_one() {
        let object = call(json!({"b": 1, "a": [2]})).unwrap();
        assert_eq!(call(json!("{\"b\": 1, \"a\": [2]}")).unwrap(), object);
        assert_eq!(object.arguments.keys().collect::<Vec<_>>(), ["b", "a"]);
        assert!(call(json!("")).unwrap().arguments.is_empty());
        for wrong in [json!("{"), json!("[1]"), json!(1)] {
            let error = call(wrong).unwrap_err().to_string();
            assert!(
                error.contains("expected arguments as a JSON object"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_call_is_written_as_templates_have_it() {
        let written = serde_json::to_value(call(json!("{}")).unwrap()).unwrap();
        let expected =
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": {}}});
        assert_eq!(written, expected);
    }
}
