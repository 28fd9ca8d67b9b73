//! JSON as Python's `json.dumps` writes it.

mod style;

use std::{cmp::Ordering, fmt::Write};

use self::style::{Characters, Order, Style};
use crate::{
    calls::Given,
    dict::Dict,
    error::{Result, too_large, unknown},
    fuel::Fuel,
    numbers, printing,
    run::Run,
    value::Value,
};

/// Writes a value as the filter that `transformers` adds does.
pub(crate) fn tojson(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let style = Style::read(run, given)?;
    let mut writer = Writer {
        fuel: &run.fuel,
        style,
        out: String::new(),
        depth: 0,
    };
    writer.value(value)?;
    run.fuel.take_bytes(writer.out.len())?;
    Ok(Value::from(writer.out))
}

struct Writer<'f> {
    fuel: &'f Fuel,
    style: Style,
    out: String,
    depth: usize,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) -> Result<()> {
        self.fuel.take(1)?;
        if self.out.len() > printing::MOST_BYTES {
            return too_large("a value is too large for `tojson`");
        }
        match value {
            Value::None => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Int(number) => self.out.push_str(&number.to_string()),
            Value::Big(number) => self.out.push_str(&printing::whole(number)?),
            Value::Float(number) => self.out.push_str(&float(*number)),
            Value::Text(text) | Value::Safe(text) => self.text(text),
            Value::List(items) | Value::Tuple(items) => {
                self.fuel.nested(|| self.list(items))?;
            }
            Value::Dict(table) => {
                self.fuel.nested(|| self.dict(table))?;
            }
            other => {
                return unknown(format!(
                    "`tojson` does not know values of type {}",
                    other.kind()
                ));
            }
        }
        Ok(())
    }

    fn list(&mut self, items: &[Value]) -> Result<()> {
        self.out.push('[');
        self.depth += 1;
        for (index, item) in items.iter().enumerate() {
            self.next(index)?;
            self.value(item)?;
        }
        self.depth -= 1;
        if !items.is_empty() {
            self.line()?;
        }
        self.out.push(']');
        Ok(())
    }

    fn dict(&mut self, dict: &Dict) -> Result<()> {
        let mut entries: Vec<(&Value, &Value)> = dict.iter().collect();
        if self.style.order == Order::Sorted {
            let steps = entries.len().checked_ilog2().unwrap_or(0) + 1;
            let steps = usize::try_from(steps).unwrap_or(usize::MAX);
            self.fuel.take_items(entries.len().saturating_mul(steps))?;
            sort(&mut entries)?;
        }
        self.out.push('{');
        self.depth += 1;
        for (index, (key, value)) in entries.into_iter().enumerate() {
            self.next(index)?;
            self.key(key)?;
            self.value(value)?;
        }
        self.depth -= 1;
        if !dict.is_empty() {
            self.line()?;
        }
        self.out.push('}');
        Ok(())
    }

    fn key(&mut self, key: &Value) -> Result<()> {
        match key {
            Value::Text(text) | Value::Safe(text) => self.text(text),
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) => {
                self.out.push('"');
                self.value(key)?;
                self.out.push('"');
            }
            other => {
                return unknown(format!(
                    "`tojson` does not know keys of type {}",
                    other.kind()
                ));
            }
        }
        self.out.push_str(&self.style.after_key);
        Ok(())
    }

    fn next(&mut self, index: usize) -> Result<()> {
        if index > 0 {
            self.out.push_str(&self.style.between_items);
        }
        self.line()
    }

    fn line(&mut self) -> Result<()> {
        let Some(indent) = &self.style.indent else {
            return Ok(());
        };
        let width = indent.len().saturating_mul(self.depth);
        if self.out.len().saturating_add(width) > printing::MOST_BYTES {
            return too_large("a value is too large for `tojson`");
        }
        self.out.push('\n');
        self.out.push_str(&indent.repeat(self.depth));
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            self.character(c);
        }
        self.out.push('"');
    }

    fn character(&mut self, c: char) {
        match c {
            '"' | '\\' => self.out.extend(['\\', c]),
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            '\t' => self.out.push_str("\\t"),
            '\u{8}' => self.out.push_str("\\b"),
            '\u{c}' => self.out.push_str("\\f"),
            '\0'..' ' => self.escape(c),
            '\u{7f}'.. if self.style.characters == Characters::Ascii => self.escape(c),
            c => self.out.push(c),
        }
    }

    fn escape(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let written = write!(self.out, "\\u{unit:04x}");
            debug_assert!(written.is_ok(), "a text takes everything");
        }
    }
}

/// Sorts entries by their keys, which are compared as they are, before they become texts.
fn sort(entries: &mut [(&Value, &Value)]) -> Result<()> {
    let is_orderly = |it: &Value| match it {
        Value::Float(number) => !number.is_nan(),
        it => it.is_number(),
    };
    if entries.iter().all(|(key, _)| key.as_str().is_some()) {
        entries.sort_by(|(a, _), (b, _)| a.as_str().cmp(&b.as_str()));
    } else if entries.iter().all(|(key, _)| is_orderly(key)) {
        entries.sort_by(|(a, _), (b, _)| numbers::order(a, b).unwrap_or(Ordering::Equal));
    } else if entries.len() > 1 {
        return unknown("`tojson` sorts keys that are all texts or all numbers, and no others");
    }
    Ok(())
}

fn float(number: f64) -> String {
    match printing::float(number).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        finite => finite.to_owned(),
    }
}
