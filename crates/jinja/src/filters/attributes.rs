//! What filters look for in their items.

use num_bigint::BigInt;

use crate::{
    access,
    error::{Result, refused},
    printing,
    run::Run,
    strings::{self, Numeral},
    value::Value,
};

/// The names and places that lead from an item to a part of it.
pub(super) struct Path(Vec<Value>);

/// Whether texts that differ in nothing but their case are the same.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Case {
    Sensitive,
    Insensitive,
}

/// What is looked for in items, and how it is made comparable.
pub(super) struct Getter {
    pub(super) path: Path,
    pub(super) default: Option<Value>,
    pub(super) case: Case,
}

impl Path {
    /// Reads a path with dots between its parts. None leads to the item itself.
    pub(super) fn new(run: &Run<'_>, path: Option<&Value>) -> Result<Self> {
        match path {
            None | Some(Value::None) => Ok(Self(Vec::new())),
            Some(path) => match path.as_str() {
                Some(text) => Self::of_text(run, text),
                None => Ok(Self(vec![path.clone()])),
            },
        }
    }

    fn of_text(run: &Run<'_>, text: &str) -> Result<Self> {
        let part = |text: &str| {
            run.fuel.take(1)?;
            run.fuel.take_bytes(text.len())?;
            part(text)
        };
        text.split('.').map(part).collect::<Result<_>>().map(Self)
    }

    /// Reads paths with commas between them.
    pub(super) fn several(run: &Run<'_>, paths: Option<&Value>) -> Result<Vec<Self>> {
        match paths.and_then(Value::as_str) {
            Some(text) => text.split(',').map(|it| Self::of_text(run, it)).collect(),
            None => Ok(vec![Self::new(run, paths)?]),
        }
    }

    /// Returns what it leads to, where what is undefined on the way is replaced if there is something else.
    pub(super) fn of(&self, run: &Run<'_>, item: &Value, default: Option<&Value>) -> Result<Value> {
        let mut item = item.clone();
        for part in &self.0 {
            run.fuel.take(1)?;
            let found = access::item(run, &item, part)?;
            item = match default {
                Some(default) if found.is_undefined() => default.clone(),
                _ => found,
            };
        }
        Ok(item)
    }
}

/// Reads a name, or a place where it is a number.
fn part(text: &str) -> Result<Value> {
    let is_digit = |c| matches!(strings::numeral(c), Numeral::Decimal | Numeral::Digit);
    if text.is_empty() || !text.chars().all(is_digit) {
        return Ok(Value::from(text));
    }
    let digits: Option<String> = text
        .chars()
        .map(|c| strings::decimal(c).and_then(|it| char::from_digit(it, 10)))
        .collect();
    let number = digits.filter(|it| it.len() <= printing::MOST_DIGITS);
    match number.and_then(|it| it.parse::<BigInt>().ok()) {
        Some(place) => Ok(Value::from(place)),
        None => refused(format!("`{text}` is neither a name nor a place")),
    }
}

impl Case {
    pub(super) fn of(case_sensitive: Option<&Value>) -> Self {
        match case_sensitive.is_some_and(Value::is_true) {
            true => Self::Sensitive,
            false => Self::Insensitive,
        }
    }

    /// Returns a value as it is compared.
    pub(super) fn fold(self, run: &Run<'_>, value: Value) -> Result<Value> {
        match (self, &value) {
            (Self::Insensitive, Value::Text(text) | Value::Safe(text)) => {
                run.fuel.take_bytes(text.len())?;
                Ok(Value::text_like(strings::lower(text), &value))
            }
            _ => Ok(value),
        }
    }
}

impl Getter {
    pub(super) fn new(
        run: &Run<'_>,
        path: Option<&Value>,
        case_sensitive: Option<&Value>,
    ) -> Result<Self> {
        Ok(Self {
            path: Path::new(run, path)?,
            default: None,
            case: Case::of(case_sensitive),
        })
    }

    /// Returns what is looked for in an item, as it is compared.
    pub(super) fn key(&self, run: &Run<'_>, item: &Value) -> Result<Value> {
        self.case.fold(run, self.plain(run, item)?)
    }

    /// Returns what is looked for in an item.
    pub(super) fn plain(&self, run: &Run<'_>, item: &Value) -> Result<Value> {
        self.path.of(run, item, self.default.as_ref())
    }
}
