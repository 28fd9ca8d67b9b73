//! Python's `format % arguments`.

use num_bigint::BigInt;
use num_traits::{FromPrimitive, Signed};

use super::{
    ascii, character,
    numbers::{self, Form, Notation},
    only_ascii,
    places::Reader,
    shortened,
};
use crate::{
    error::{Result, TemplateError, refused},
    objects::Object,
    printing,
    run::Run,
    strings,
    value::Value,
};

/// What stands between `%` and the letter, and the letter.
#[derive(Debug, Default)]
struct Place {
    flags: Vec<char>,
    width: Option<usize>,
    precision: Option<usize>,
    kind: char,
}

/// The arguments that are not converted yet.
struct Arguments<'a> {
    mapping: Option<&'a Value>,
    /// In reverse.
    left: Vec<Value>,
    is_safe: bool,
}

/// A value as it is written, and what stands before it.
#[derive(Default)]
struct Written {
    sign: Option<char>,
    prefix: &'static str,
    body: String,
    is_number: bool,
}

/// Fills the places of a text, as Python's `format % arguments` does.
pub(crate) fn percent(run: &Run<'_>, format: &Value, arguments: &Value) -> Result<Value> {
    let mut arguments = Arguments::new(arguments, format);
    let mut reader = Reader {
        rest: format.expect_text()?,
    };
    let mut out = String::new();
    loop {
        out.push_str(reader.until(|c| c == '%'));
        if !reader.skip('%') {
            break;
        }
        if reader.skip('%') {
            out.push('%');
            continue;
        }
        let place = arguments.place(&mut reader)?;
        let value = arguments.next()?;
        let written = place.write(run, &value, &arguments)?;
        run.fuel.take_bytes(written.body.len())?;
        run.fuel.take_bytes(place.width.unwrap_or(0))?;
        place.fill(&written, &mut out);
    }
    arguments.finish()?;
    Ok(Value::text_like(out, format))
}

/// Returns whether Python looks keys up in a value here.
fn is_mapping(value: &Value) -> bool {
    match value {
        Value::Undefined | Value::List(_) | Value::Dict(_) | Value::Range(_) => true,
        Value::Object(it) => matches!(**it, Object::Blocks),
        _ => false,
    }
}

impl<'a> Arguments<'a> {
    fn new(given: &'a Value, format: &Value) -> Self {
        let left = match given {
            Value::Tuple(items) => items.iter().rev().cloned().collect(),
            _ => vec![given.clone()],
        };
        Self {
            mapping: Some(given).filter(|it| is_mapping(it)),
            left,
            is_safe: format.is_safe(),
        }
    }

    fn next(&mut self) -> Result<Value> {
        self.left
            .pop()
            .ok_or_else(|| TemplateError::new("there are not enough arguments for the format"))
    }

    fn finish(&self) -> Result<()> {
        match self.left.is_empty() || self.mapping.is_some() {
            true => Ok(()),
            false => refused("not all arguments are converted by the format"),
        }
    }

    /// Reads a place after its `%`.
    fn place(&mut self, reader: &mut Reader<'_>) -> Result<Place> {
        if reader.skip('(') {
            let value = self.named(key(reader)?)?;
            self.left = vec![value];
        }
        let mut place = Place::default();
        while let Some(flag @ ('-' | '+' | ' ' | '#' | '0')) = reader.peek() {
            place.flags.push(flag);
            reader.next();
        }
        if let Some(width) = self.size(reader)? {
            if width < 0 {
                place.flags.push('-');
            }
            place.width = Some(size(width.unsigned_abs())?);
        }
        if reader.skip('.') {
            let precision = self.size(reader)?.unwrap_or(0);
            place.precision = Some(size(precision.max(0).unsigned_abs())?);
        }
        if let Some('h' | 'l' | 'L') = reader.peek() {
            reader.next();
        }
        place.kind = reader
            .next()
            .ok_or_else(|| TemplateError::new("a format ends within a place"))?;
        Ok(place)
    }

    /// Reads a width or a precision, which may be an argument.
    fn size(&mut self, reader: &mut Reader<'_>) -> Result<Option<i64>> {
        if !reader.skip('*') {
            let number = reader.number(|c| c.to_digit(10));
            return Ok(number.map(|it| i64::try_from(it).unwrap_or(i64::MAX)));
        }
        match self.next()?.to_i64() {
            Some(number) if !self.is_safe => Ok(Some(number)),
            _ => refused("`*` expects a whole number"),
        }
    }

    fn named(&self, key: &str) -> Result<Value> {
        let found = match self.mapping {
            Some(Value::Dict(table)) => table.get_text(key),
            Some(other) => {
                return refused(format!("a value of type {} has no `{key}`", other.kind()));
            }
            None => return refused("the format requires a mapping"),
        };
        match found {
            Some(value) => Ok(value.clone()),
            None => refused(format!("there is no value `{key}` for the format")),
        }
    }
}

/// Reads a key and the bracket at its end.
fn key<'a>(reader: &mut Reader<'a>) -> Result<&'a str> {
    let begin = reader.rest;
    let mut depth = 1;
    for (at, c) in begin.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (key, rest) = begin.split_at(at);
            reader.rest = rest.get(1..).unwrap_or_default();
            return Ok(key);
        }
    }
    refused("a key in a format has no end")
}

/// Refuses what Python takes for too large.
fn size(number: u64) -> Result<usize> {
    match i32::try_from(number)
        .ok()
        .and_then(|it| usize::try_from(it).ok())
    {
        Some(number) => Ok(number),
        None => refused("a width or a precision is too large"),
    }
}

impl Place {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    fn write(&self, run: &Run<'_>, value: &Value, arguments: &Arguments<'_>) -> Result<Written> {
        let (fuel, is_safe) = (&run.fuel, arguments.is_safe);
        match self.kind {
            's' | 'r' | 'a' => {
                let escaped = || printing::escaped(fuel, &printing::repr(fuel, value)?);
                let text = match (self.kind, is_safe) {
                    ('s', true) => printing::escape(fuel, value)?,
                    ('s', false) => printing::text(fuel, value)?,
                    ('r', true) => escaped()?.into(),
                    ('r', false) => printing::repr(fuel, value)?.into(),
                    (_, true) => only_ascii(fuel, &escaped()?)?.into(),
                    (_, false) => ascii(fuel, value)?.into(),
                };
                fuel.take_bytes(text.len())?;
                Ok(Written {
                    body: shortened(&text, self.precision).to_owned(),
                    ..Written::default()
                })
            }
            'c' | 'o' | 'x' | 'X' if is_safe => refused(format!(
                "`%{}` is nothing for a text that is marked as safe",
                self.kind
            )),
            'c' => single(value),
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' => self.whole(run, value),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => self.float(run, value),
            other => refused(format!("a format knows no `%{other}`")),
        }
    }

    fn whole(&self, run: &Run<'_>, value: &Value) -> Result<Written> {
        let number = match value {
            Value::Float(it) if matches!(self.kind, 'd' | 'i' | 'u') => {
                BigInt::from_f64(it.trunc())
            }
            _ => value.to_big(),
        };
        let Some(number) = number else {
            return refused(format!(
                "`%{}` expects a whole number, found a value of type {}",
                self.kind,
                value.kind()
            ));
        };
        let size = value.size_bytes().saturating_mul(8);
        run.fuel
            .take_bytes(size.saturating_add(self.precision.unwrap_or(0)))?;
        let (base, prefix) = match self.kind {
            'o' => (8, "0o"),
            'x' => (16, "0x"),
            'X' => (16, "0X"),
            _ => (10, ""),
        };
        let digits = numbers::whole(&number, base)?;
        let width = self.precision.unwrap_or(0);
        let zeros = "0".repeat(width.saturating_sub(digits.len()));
        let digits = match self.kind {
            'X' => digits.to_uppercase(),
            _ => digits,
        };
        Ok(Written {
            sign: self.sign(number.is_negative().then_some('-')),
            prefix: if self.has('#') { prefix } else { "" },
            body: zeros + &digits,
            is_number: true,
        })
    }

    fn float(&self, run: &Run<'_>, value: &Value) -> Result<Written> {
        let number = value.to_f64()?;
        let form = Form {
            notation: match self.kind {
                'e' | 'E' => Notation::Exponent,
                'f' | 'F' => Notation::Fixed,
                _ => Notation::General,
            },
            precision: self.precision.unwrap_or(6),
            alternate: self.has('#'),
            adds_zero: false,
        };
        run.fuel.take_bytes(form.precision)?;
        let body = form.unsigned(number);
        Ok(Written {
            sign: self.sign(numbers::is_negative(number).then_some('-')),
            body: match self.kind.is_ascii_uppercase() {
                true => body.to_ascii_uppercase(),
                false => body,
            },
            is_number: true,
            prefix: "",
        })
    }

    fn sign(&self, sign: Option<char>) -> Option<char> {
        let flag = ['+', ' '].into_iter().find(|it| self.has(*it));
        sign.or(flag)
    }

    /// Writes a value and what is missing to the width.
    fn fill(&self, written: &Written, out: &mut String) {
        let sign = written.sign.map(String::from).unwrap_or_default();
        let length = sign.len() + written.prefix.len() + written.body.chars().count();
        let missing = self.width.unwrap_or(0).saturating_sub(length);
        let is_left = self.has('-');
        let (before, zeros, after) = match written.is_number && self.has('0') {
            _ if is_left => (0, 0, missing),
            true => (0, missing, 0),
            false => (missing, 0, 0),
        };
        out.extend(std::iter::repeat_n(' ', before));
        out.extend([&sign, written.prefix]);
        out.extend(std::iter::repeat_n('0', zeros));
        out.push_str(&written.body);
        out.extend(std::iter::repeat_n(' ', after));
    }
}

/// Writes one character.
fn single(value: &Value) -> Result<Written> {
    let c = match value.as_str() {
        Some(text) => {
            let single = strings::single(text);
            single.ok_or_else(|| TemplateError::new("`%c` expects one character"))?
        }
        None => character(value)?,
    };
    Ok(Written {
        body: c.into(),
        ..Written::default()
    })
}
