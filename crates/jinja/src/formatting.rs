//! Texts with places for values: Python's `%` and `str.format`.

mod braces;
mod fields;
mod numbers;
mod percent;
mod places;
mod spec;
mod specified;

pub(crate) use self::{
    braces::{braces, format_map},
    percent::percent,
};
use crate::{
    calls::Given,
    dict::Dict,
    error::{Result, refused},
    printing,
    run::Run,
    value::Value,
};

/// Fills the places of Python's older way, which is a filter too.
pub(crate) fn filter(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let format = match value.as_str() {
        Some(_) => value.clone(),
        None => Value::from(printing::text(value)?),
    };
    if given.named.is_empty() {
        return percent(run, &format, &Value::tuple(given.positional.clone()));
    }
    if !given.positional.is_empty() {
        return refused("`format` takes values either by place or by name");
    }
    let mut names = Dict::default();
    for (name, value) in &given.named {
        names.insert_text(name.clone(), value.clone());
    }
    percent(run, &format, &Value::dict(names))
}

/// Returns Python's `str(markupsafe.escape(value))`.
pub(crate) fn escaped(value: &Value) -> Result<String> {
    match value {
        Value::Safe(text) => Ok(text.to_string()),
        _ => Ok(printing::escaped(&printing::text(value)?)),
    }
}

/// Returns Python's `ascii(value)`.
fn ascii(value: &Value) -> Result<String> {
    Ok(only_ascii(&printing::repr(value)?))
}

/// Escapes what is beyond ASCII.
fn only_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let code = u32::from(c);
        match code {
            0..0x80 => out.push(c),
            0x80..0x100 => out.push_str(&format!("\\x{code:02x}")),
            0x100..0x1_0000 => out.push_str(&format!("\\u{code:04x}")),
            _ => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}

/// Returns the first characters of a text.
fn shortened(text: &str, characters: Option<usize>) -> &str {
    let end = characters.and_then(|it| text.char_indices().nth(it));
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// Returns a character by its number.
fn character(number: &Value) -> Result<char> {
    let code = number.to_i64().and_then(|it| u32::try_from(it).ok());
    match code.and_then(char::from_u32) {
        Some(c) => Ok(c),
        None => refused("`%c` and `{:c}` expect the number of a character"),
    }
}
