//! Which value stands in a place of Python's `str.format`.

use super::places::Reader;
use crate::{
    access,
    calls::Given,
    error::{Result, TemplateError, refused},
    run::Run,
    strings::decimal,
    value::Value,
};

/// What a text is formatted with.
pub(super) enum Source<'a> {
    Given(&'a Given),
    Mapping(&'a Value),
}

impl Source<'_> {
    /// Returns the value of a field such as `0.name[key]`.
    pub(super) fn field(&self, run: &Run<'_>, field: &str) -> Result<Value> {
        let mut reader = Reader { rest: field };
        let first = reader.until(|c| matches!(c, '.' | '['));
        let mut value = match index(first)? {
            Some(place) => self.at(place)?,
            None => self.named(first)?,
        };
        while let Some(c) = reader.next() {
            value = match c {
                '.' => access::attribute(run, &value, attribute(&mut reader)?)?,
                '[' => access::item(run, &value, &item(&mut reader)?)?,
                _ => return refused("only `.` or `[` can follow `]` in a format"),
            };
        }
        Ok(value)
    }

    fn at(&self, place: usize) -> Result<Value> {
        let value = match self {
            Self::Given(given) => given.positional.get(place),
            Self::Mapping(_) => None,
        };
        value.cloned().ok_or_else(|| missing(&place.to_string()))
    }

    fn named(&self, name: &str) -> Result<Value> {
        let value = match self {
            Self::Given(given) => given
                .named
                .iter()
                .find(|(it, _)| **it == *name)
                .map(|(_, value)| value),
            Self::Mapping(Value::Dict(table)) => table.get_text(name),
            Self::Mapping(_) => None,
        };
        value.cloned().ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> TemplateError {
    TemplateError::new(format!("there is no value `{name}` for the format"))
}

fn attribute<'a>(reader: &mut Reader<'a>) -> Result<&'a str> {
    not_empty(reader.until(|c| matches!(c, '.' | '[')))
}

fn item(reader: &mut Reader<'_>) -> Result<Value> {
    let name = reader.until(|c| c == ']');
    if !reader.skip(']') {
        return refused("a format misses `]`");
    }
    let name = not_empty(name)?;
    Ok(match index(name)? {
        Some(place) => Value::from(place),
        None => Value::from(name),
    })
}

fn not_empty(name: &str) -> Result<&str> {
    match name.is_empty() {
        true => refused("a format asks for an attribute or an item without a name"),
        false => Ok(name),
    }
}

/// Returns a number that is all digits.
fn index(name: &str) -> Result<Option<usize>> {
    let mut reader = Reader { rest: name };
    let number = reader.number(decimal).filter(|_| reader.rest.is_empty());
    match number.map(i64::try_from) {
        Some(Err(_) | Ok(i64::MAX)) => refused("a number in a format has too many digits"),
        _ => Ok(number),
    }
}
