//! What a template is given.

use num_bigint::BigInt;

use crate::{dict::Dict, value::Value};

/// A value that a template is given: a conversation, tools, a flag or a token's text.
#[derive(Clone, Debug)]
pub struct Data(pub(crate) Value);

impl Data {
    /// Makes a text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(Value::from(text))
    }

    /// Makes Python's `None`.
    #[must_use]
    pub fn none() -> Self {
        Self(Value::None)
    }

    /// Makes `True` or `False`.
    #[must_use]
    pub fn bool(it: bool) -> Self {
        Self(Value::Bool(it))
    }

    /// Makes a list.
    #[must_use]
    pub fn list(values: impl IntoIterator<Item = Self>) -> Self {
        Self(values.into_iter().map(|it| it.0).collect())
    }

    /// Makes a dict, whose keys keep their order.
    #[must_use]
    pub fn dict<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        let mut dict = Dict::default();
        for (key, value) in entries {
            dict.insert_text(key, value.0);
        }
        Self(Value::dict(dict))
    }
}

/// Makes what Python's `json.loads` reads.
///
/// Whole numbers beyond 64 bits, and `-0`, are floats in a [`serde_json::Value`] already, and stay so.
impl From<&serde_json::Value> for Data {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::none(),
            serde_json::Value::Bool(it) => Self::bool(*it),
            serde_json::Value::Number(it) => Self(number(it)),
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(values) => Self::list(values.iter().map(Self::from)),
            serde_json::Value::Object(entries) => Self::from(entries),
        }
    }
}

/// Makes the dict of an object.
impl From<&serde_json::Map<String, serde_json::Value>> for Data {
    fn from(entries: &serde_json::Map<String, serde_json::Value>) -> Self {
        Self::dict(
            entries
                .iter()
                .map(|(key, value)| (&**key, Self::from(value))),
        )
    }
}

fn number(number: &serde_json::Number) -> Value {
    let whole = number
        .as_i64()
        .map(Value::from)
        .or_else(|| number.as_u64().map(|it| Value::from(BigInt::from(it))));
    whole.unwrap_or_else(|| number.as_f64().map_or(Value::None, Value::from))
}
