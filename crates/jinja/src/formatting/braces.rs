//! Python's `str.format`, as Jinja2's sandbox has it.

use std::borrow::Cow;

use super::{ascii, fields::Source, places::Reader, specified::specified};
use crate::{
    calls::Given,
    error::{Result, TemplateError, refused},
    printing,
    run::Run,
    strings::{Numeral, numeral},
    value::Value,
};

/// So often an option can have a place of its own.
const MOST_NESTED_PLACES: u32 = 2;

/// Fills the places of a text, as Python's `format.format(…)` does.
pub(crate) fn braces(run: &Run<'_>, format: &Value, given: &Given) -> Result<Value> {
    filled(run, format, Source::Given(given))
}

/// Fills the places of a text, as Python's `format.format_map(mapping)` does.
pub(crate) fn format_map(run: &Run<'_>, format: &Value, mapping: &Value) -> Result<Value> {
    filled(run, format, Source::Mapping(mapping))
}

fn filled(run: &Run<'_>, format: &Value, source: Source<'_>) -> Result<Value> {
    let mut filler = Filler {
        run,
        source,
        numbering: Numbering::Automatic(0),
        is_safe: format.is_safe(),
    };
    let text = filler.fill(format.expect_text()?, MOST_NESTED_PLACES)?;
    Ok(Value::text_like(text, format))
}

/// How places without a name get their number.
#[derive(Clone, Copy)]
enum Numbering {
    Automatic(usize),
    Manual,
}

struct Filler<'a> {
    run: &'a Run<'a>,
    source: Source<'a>,
    numbering: Numbering,
    is_safe: bool,
}

/// What stands between braces.
struct Place<'a> {
    field: &'a str,
    conversion: Option<char>,
    options: &'a str,
}

impl Filler<'_> {
    fn fill(&mut self, text: &str, depth: u32) -> Result<String> {
        let mut reader = Reader { rest: text };
        let mut out = String::new();
        loop {
            out.push_str(reader.until(|c| matches!(c, '{' | '}')));
            match (reader.next(), reader.peek()) {
                (None, _) => return Ok(out),
                (Some(brace), next) if next == Some(brace) => {
                    out.push(brace);
                    reader.next();
                }
                (Some('{'), Some(_)) => {
                    let value = self.place(&place(&mut reader)?, depth)?;
                    self.run.fuel.take_bytes(value.len())?;
                    out.push_str(&value);
                }
                (Some(brace), _) => return refused(format!("a format has a single `{brace}`")),
            }
        }
    }

    fn place(&mut self, place: &Place<'_>, depth: u32) -> Result<String> {
        let value = match place.field {
            "" => {
                let number = self.number()?;
                self.source.field(self.run, &number)?
            }
            field => {
                if field.chars().all(is_digit) {
                    self.forbid_numbers()?;
                }
                self.source.field(self.run, field)?
            }
        };
        let value = match place.conversion {
            None => value,
            Some('s') => printing::text(&self.run.fuel, &value).map(Value::from)?,
            Some('r') => printing::repr(&self.run.fuel, &value).map(Value::from)?,
            Some('a') => ascii(&self.run.fuel, &value).map(Value::from)?,
            Some(other) => return refused(format!("a format knows no conversion `{other}`")),
        };
        let deeper = depth
            .checked_sub(1)
            .ok_or_else(|| TemplateError::new("a format has too many places within places"))?;
        let options = self.fill(place.options, deeper)?;
        self.write(&value, &options)
    }

    fn number(&mut self) -> Result<String> {
        match &mut self.numbering {
            Numbering::Automatic(next) => {
                *next += 1;
                Ok((*next - 1).to_string())
            }
            Numbering::Manual => mixed(),
        }
    }

    fn forbid_numbers(&mut self) -> Result<()> {
        match self.numbering {
            Numbering::Automatic(1..) => mixed(),
            _ => {
                self.numbering = Numbering::Manual;
                Ok(())
            }
        }
    }

    fn write(&self, value: &Value, options: &str) -> Result<String> {
        match value {
            _ if !self.is_safe => specified(self.run, value, options),
            Value::Safe(_) if !options.is_empty() => {
                refused("a text that is marked as safe has no format")
            }
            Value::Safe(_) => printing::escape(&self.run.fuel, value).map(Cow::into_owned),
            _ => printing::escaped(&self.run.fuel, &specified(self.run, value, options)?),
        }
    }
}

fn mixed<T>() -> Result<T> {
    refused("a format has places with numbers and places without")
}

fn is_digit(c: char) -> bool {
    matches!(numeral(c), Numeral::Decimal | Numeral::Digit)
}

/// Reads a place after its brace.
fn place<'a>(reader: &mut Reader<'a>) -> Result<Place<'a>> {
    let begin = reader.rest;
    let end = field_end(reader)?;
    let field = begin
        .get(..begin.len() - reader.rest.len())
        .unwrap_or_default();
    let field = field.strip_suffix(end).unwrap_or(field);
    let mut place = Place {
        field,
        conversion: None,
        options: "",
    };
    let mut end = Some(end);
    if end == Some('!') {
        place.conversion = reader.next();
        end = reader.next();
    }
    match end {
        Some('}') => {}
        Some(':') => place.options = options(reader)?,
        _ => return refused("a conversion in a format has no end"),
    }
    Ok(place)
}

/// Goes past a field's name and what ends it.
fn field_end(reader: &mut Reader<'_>) -> Result<char> {
    while let Some(c) = reader.next() {
        match c {
            '{' => return refused("the name of a place in a format has a `{`"),
            '[' => drop(reader.until(|c| c == ']')),
            '}' | ':' | '!' => return Ok(c),
            _ => {}
        }
    }
    refused("a format misses `}`")
}

/// Reads options and the brace at their end.
fn options<'a>(reader: &mut Reader<'a>) -> Result<&'a str> {
    let begin = reader.rest;
    let mut depth = 1;
    for (at, c) in begin.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (options, rest) = begin.split_at(at);
            reader.rest = rest.get(1..).unwrap_or_default();
            return Ok(options);
        }
    }
    refused("a format misses `}`")
}
