//! Texts with places for values.

use minijinja::{
    Error, Value,
    formatting::{FormatStyle, format},
    value::{Rest, ValueOrKwargs},
};

use super::{
    arguments::{expect_text, refused},
    objects::Shape,
    printing,
};

/// Fills the places of Python's `str.format`.
pub(super) fn braces(text: &str, arguments: &[Value]) -> Result<Value, Error> {
    let has_options = text.contains(':');
    if has_options {
        refuse_wide(arguments)?;
    }
    let simple = text.matches('{').count() == text.matches("{}").count();
    let arguments = match simple {
        true => arguments.iter().map(shown).collect::<Result<Vec<_>, _>>()?,
        false => arguments.iter().map(printed_undefined).collect(),
    };
    format(FormatStyle::StrFormat, text, &arguments).map(Value::from)
}

/// Fills the places of Python's older way, which is a filter.
pub(super) fn percents(text: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let text = expect_text(text)?;
    let arguments = arguments.into_values();
    let after = text.split('%').skip(1);
    let mut options = after.map(|it| it.trim_start_matches(['-', '+', ' ', '#']));
    if options.any(|it| it.starts_with(|c: char| c.is_ascii_digit() || c == '.')) {
        refuse_wide(&arguments)?;
    }
    let places = text.replace("%%", "").matches('%').count();
    if !text.contains("%(") && places != arguments.len() {
        return Err(refused(format!(
            "`{text}` has {places} places, found {} values",
            arguments.len()
        )));
    }
    let arguments = match places == text.matches("%s").count() {
        true => arguments.iter().map(shown).collect::<Result<Vec<_>, _>>()?,
        false => arguments,
    };
    format(FormatStyle::Printf, text, &arguments).map(Value::from)
}

/// minijinja fills up to a number of bytes, Python to one of characters.
fn refuse_wide(arguments: &[Value]) -> Result<(), Error> {
    let is_wide = |it: &Value| it.as_str().is_some_and(|it| !it.is_ascii());
    match arguments.iter().any(is_wide) {
        true => Err(refused("a width is not known here for text beyond ASCII")),
        false => Ok(()),
    }
}

fn printed_undefined(value: &Value) -> Value {
    match value.is_undefined() {
        true => Value::from(""),
        false => value.clone(),
    }
}

/// Prints what minijinja prints otherwise.
fn shown(value: &Value) -> Result<Value, Error> {
    match Shape::of(value) {
        Shape::Text | Shape::Integer => Ok(value.clone()),
        _ if value.is_kwargs() => Ok(value.clone()),
        _ => printing::text(value).map(Value::from),
    }
}
