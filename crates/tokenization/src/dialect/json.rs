//! JSON as Python's `json.dumps` writes it.

use std::fmt::Write;

use minijinja::{
    Error, Value,
    value::{Rest, ValueOrKwargs},
};

use super::{
    arguments::{Arguments, refused},
    objects::{Shape, pairs},
    printing,
};

/// Writes a value as the filter that `transformers` adds does.
pub(super) fn tojson(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let values = arguments.into_values();
    let arguments = Arguments::of(&values, 4)?;
    let style = Style::read(&arguments)?;
    arguments.finish()?;
    let (out, depth) = (String::new(), 0);
    let mut writer = Writer { style, out, depth };
    writer.value(value)?;
    Ok(writer.out)
}

struct Style {
    characters: Characters,
    indent: Option<String>,
    between_items: String,
    after_key: String,
    order: Order,
}

#[derive(PartialEq)]
enum Characters {
    Ascii,
    All,
}

#[derive(PartialEq)]
enum Order {
    AsGiven,
    Sorted,
}

impl Style {
    fn read(arguments: &Arguments<'_>) -> Result<Self, Error> {
        let characters = match arguments.is_true(0, "ensure_ascii")? {
            true => Characters::Ascii,
            false => Characters::All,
        };
        let indent = arguments.some(1, "indent")?;
        let indent = indent.map(|it| indentation(&it)).transpose()?;
        let separators = arguments.some(2, "separators")?;
        let separators = separators.map(|it| separators_of(&it)).transpose()?;
        let (between_items, after_key) = separators.unwrap_or_else(|| {
            let between = if indent.is_some() { "," } else { ", " };
            (between.to_owned(), ": ".to_owned())
        });
        let order = match arguments.is_true(3, "sort_keys")? {
            true => Order::Sorted,
            false => Order::AsGiven,
        };
        Ok(Self {
            characters,
            indent,
            between_items,
            after_key,
            order,
        })
    }
}

fn indentation(indent: &Value) -> Result<String, Error> {
    match indent.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let width = i64::try_from(indent.clone())?;
            Ok(" ".repeat(usize::try_from(width.clamp(0, 64)).unwrap_or(0)))
        }
    }
}

fn separators_of(value: &Value) -> Result<(String, String), Error> {
    let texts = value.try_iter()?.map(|it| it.as_str().map(str::to_owned));
    match texts.collect::<Option<Vec<_>>>().as_deref() {
        Some([between, after]) => Ok((between.clone(), after.clone())),
        _ => Err(refused("expected two texts as `separators` of `tojson`")),
    }
}

struct Writer {
    style: Style,
    out: String,
    depth: usize,
}

impl Writer {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        if self.out.len() > printing::MOST_BYTES || self.depth > printing::DEEPEST {
            return Err(refused("a value is too large for tojson"));
        }
        match Shape::of(value) {
            Shape::None => self.out.push_str("null"),
            Shape::Bool if value.is_true() => self.out.push_str("true"),
            Shape::Bool => self.out.push_str("false"),
            Shape::Integer => self.out.push_str(&value.to_string()),
            Shape::Float => self.out.push_str(&float(f64::try_from(value.clone())?)),
            Shape::Text => self.text(value.as_str().unwrap_or_default()),
            Shape::List | Shape::Tuple => self.list(value)?,
            Shape::Dict => self.dict(value)?,
            other => {
                return Err(refused(format!(
                    "tojson does not know values of type {other:?}; is `| list` missing"
                )));
            }
        }
        Ok(())
    }

    fn list(&mut self, value: &Value) -> Result<(), Error> {
        self.out.push('[');
        self.depth += 1;
        for (index, item) in value.try_iter()?.enumerate() {
            self.next(index);
            self.value(&item)?;
        }
        self.depth -= 1;
        if value.len() != Some(0) {
            self.line();
        }
        self.out.push(']');
        Ok(())
    }

    fn dict(&mut self, value: &Value) -> Result<(), Error> {
        let mut pairs = pairs(value);
        if self.style.order == Order::Sorted {
            let is_text = |(key, _): &(Value, Value)| key.as_str().is_some();
            if !pairs.iter().all(is_text) {
                return Err(refused("tojson sorts only keys that are texts"));
            }
            pairs.sort_by(|(a, _), (b, _)| a.as_str().cmp(&b.as_str()));
        }
        self.out.push('{');
        self.depth += 1;
        for (index, (key, value)) in pairs.iter().enumerate() {
            self.next(index);
            self.key(key)?;
            self.value(value)?;
        }
        self.depth -= 1;
        if !pairs.is_empty() {
            self.line();
        }
        self.out.push('}');
        Ok(())
    }

    fn key(&mut self, key: &Value) -> Result<(), Error> {
        match Shape::of(key) {
            Shape::Text => self.value(key)?,
            Shape::None | Shape::Bool | Shape::Integer | Shape::Float => {
                self.out.push('"');
                self.value(key)?;
                self.out.push('"');
            }
            other => {
                return Err(refused(format!(
                    "tojson does not know keys of type {other:?}"
                )));
            }
        }
        self.out.push_str(&self.style.after_key);
        Ok(())
    }

    fn next(&mut self, index: usize) {
        if index > 0 {
            self.out.push_str(&self.style.between_items);
        }
        self.line();
    }

    fn line(&mut self) {
        if let Some(indent) = &self.style.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(self.depth));
        }
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

fn float(number: f64) -> String {
    match printing::float(number).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        finite => finite.to_owned(),
    }
}
