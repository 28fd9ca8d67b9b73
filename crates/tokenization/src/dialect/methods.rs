//! Python's methods of texts, lists and dicts that change nothing.

use minijinja::{Error, ErrorKind, State, Value, value::Tuple};

use super::{
    arguments::{Arguments, expect_text, refused},
    objects::{Shape, View},
    text_methods,
};

/// Calls a method that minijinja does not know of itself.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    match Shape::of(value) {
        Shape::Text => text_methods::call(state, value, method, arguments),
        Shape::Dict => dict(value, method, arguments),
        Shape::List | Shape::Tuple | Shape::Range => list(value, method, arguments),
        Shape::Other if method == "fromkeys" => from_keys(arguments),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn dict(value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let given = Arguments::of(arguments, 2)?;
    let result = match method {
        "keys" | "values" | "items" | "copy" if !arguments.is_empty() => {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        "keys" => View::keys(value),
        "values" => View::values(value),
        "items" => View::items(value),
        "copy" => value.clone(),
        "fromkeys" => return from_keys(arguments),
        "get" => {
            let key = hashable(given.required(0, "")?)?;
            let found = value.as_object().and_then(|it| it.get_value(&key));
            let default = given.get(1, "")?.unwrap_or_else(|| Value::from(()));
            found.unwrap_or(default)
        }
        "pop" | "popitem" | "update" | "setdefault" | "clear" => return Err(unsafe_change(method)),
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    };
    given.finish()?;
    Ok(result)
}

fn list(value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let given = Arguments::of(arguments, 3)?;
    let result = match method {
        "count" => {
            let wanted = given.required(0, "")?;
            Value::from(value.try_iter()?.filter(|it| *it == wanted).count())
        }
        "index" => {
            let wanted = given.required(0, "")?;
            let start = given.integer(1, "")?.unwrap_or(0);
            let start = usize::try_from(start)
                .map_err(|_| refused("`index` from the end is not known here"))?;
            let mut items = value.try_iter()?.enumerate().skip(start);
            let found = items.find(|(_, it)| *it == wanted);
            Value::from(
                found
                    .ok_or_else(|| refused("the value is not in the list"))?
                    .0,
            )
        }
        "copy" if Shape::of(value) == Shape::List => value.clone(),
        "append" | "extend" | "insert" | "pop" | "remove" | "clear" | "sort" | "reverse" => {
            return Err(unsafe_change(method));
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    };
    given.finish()?;
    Ok(result)
}

/// As in `transformers`, whose templates run in a sandbox.
fn unsafe_change(method: &str) -> Error {
    refused(format!("a template cannot change a value with `{method}`"))
}

/// Makes a dict of keys that have one value.
pub(super) fn from_keys(arguments: &[Value]) -> Result<Value, Error> {
    let given = Arguments::of(arguments, 2)?;
    let value = given.get(1, "")?.unwrap_or_else(|| Value::from(()));
    let keys = given.required(0, "")?;
    given.finish()?;
    let keys = keys
        .try_iter()?
        .map(hashable)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Value::from_pairs(
        keys.into_iter().map(|key| (key, value.clone())),
    ))
}

/// Refuses what cannot be a dict's key.
pub(super) fn hashable(value: Value) -> Result<Value, Error> {
    match Shape::of(&value).is_hashable() {
        true => Ok(value),
        false => Err(refused(format!(
            "a value of type {} cannot be a key",
            value.kind()
        ))),
    }
}

/// Makes a tuple of texts.
pub(super) fn texts<const N: usize>(parts: [&str; N]) -> Value {
    Value::from(Tuple::from(parts.map(Value::from)))
}

/// Joins texts, and nothing else.
pub(super) fn join(state: &State<'_, '_>, between: &str, values: &Value) -> Result<String, Error> {
    if !Shape::of(values).is_iterable() || values.is_undefined() {
        return Err(refused("join expects texts to go through"));
    }
    let mut out = String::new();
    for (index, value) in values.try_iter()?.enumerate() {
        if index > 0 {
            charge(state, between.len())?;
            out.push_str(between);
        }
        out.push_str(expect_text(&value)?);
    }
    Ok(out)
}

/// Charges for a text before it is made.
pub(super) fn charge(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(bytes / 64).unwrap_or(u64::MAX))
}
