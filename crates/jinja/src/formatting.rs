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
    fuel::Fuel,
    printing,
    run::Run,
    strings,
    value::Value,
};

/// Fills the places of Python's older way, which is a filter too.
pub(crate) fn filter(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let format = match value.as_str() {
        Some(_) => value.clone(),
        None => printing::text(&run.fuel, value).map(Value::from)?,
    };
    if given.named.is_empty() {
        return percent(run, &format, &Value::tuple(given.positional.clone()));
    }
    if !given.positional.is_empty() {
        return refused("`format` takes values either by place or by name");
    }
    run.fuel.take_items(given.named.len())?;
    let mut names = Dict::default();
    for (name, value) in &given.named {
        names.insert_text(name.clone(), value.clone());
    }
    percent(run, &format, &Value::dict(names))
}

/// Returns Python's `ascii(value)`.
fn ascii(fuel: &Fuel, value: &Value) -> Result<String> {
    only_ascii(fuel, &printing::repr(fuel, value)?)
}

/// Escapes what is beyond ASCII.
fn only_ascii(fuel: &Fuel, text: &str) -> Result<String> {
    fuel.take_bytes(text.len())?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => strings::push_code(&mut out, u32::from(c)),
        }
    }
    Ok(out)
}

/// Returns the first characters of a text.
fn shortened(text: &str, characters: Option<usize>) -> &str {
    let end = characters.and_then(|it| text.char_indices().nth(it));
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

/// Returns a character by its number.
fn character(number: &Value) -> Result<char> {
    match number.to_char() {
        Some(c) => Ok(c),
        None => refused("`%c` and `{:c}` expect the number of a character"),
    }
}
