//! How Python prints values.

use std::fmt::Write;

use minijinja::{AutoEscape, Error, Output, State, Value};

use super::{
    arguments::refused,
    objects::{Range, Shape, View, pairs},
};

/// Writes a value where a template prints it.
pub(super) fn format(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    let escapes = matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe();
    let text = text(value)?;
    let text = if escapes { escaped(&text) } else { text };
    out.write_str(&text).map_err(Error::from)
}

/// Returns `str(value)`.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_undefined() => Ok(String::new()),
        None => repr(value),
    }
}

/// Returns `repr(value)`.
pub(super) fn repr(value: &Value) -> Result<String, Error> {
    Ok(match Shape::of(value) {
        Shape::Undefined => "Undefined".to_owned(),
        Shape::None | Shape::Bool | Shape::Integer => value.to_string(),
        Shape::Float => f64::try_from(value.clone()).map(float)?,
        Shape::Text if value.is_safe() => {
            format!("Markup({})", quoted(value.as_str().unwrap_or_default()))
        }
        Shape::Text => quoted(value.as_str().unwrap_or_default()),
        Shape::List => format!("[{}]", items(value.try_iter()?)?),
        Shape::Tuple if value.len() == Some(1) => format!("({},)", items(value.try_iter()?)?),
        Shape::Tuple => format!("({})", items(value.try_iter()?)?),
        Shape::Dict => dict(value)?,
        Shape::Range => value.downcast_object_ref().map(range).unwrap_or_default(),
        Shape::View => value
            .downcast_object_ref()
            .map(view)
            .transpose()?
            .unwrap_or_default(),
        Shape::Generator => return Err(unprintable("what a filter gives", "| list")),
        Shape::Namespace => return Err(unprintable("a namespace", "| tojson")),
        Shape::Other => return Err(unprintable("a function", "()")),
    })
}

fn unprintable(what: &str, missing: &str) -> Error {
    refused(format!(
        "{what} is printed as the place where Python has it: expected text; is `{missing}` missing"
    ))
}

fn items(values: impl Iterator<Item = Value>) -> Result<String, Error> {
    let items = values.map(|it| repr(&it)).collect::<Result<Vec<_>, _>>();
    Ok(items?.join(", "))
}

fn dict(value: &Value) -> Result<String, Error> {
    let pairs = pairs(value).into_iter();
    let items = pairs.map(|(key, value)| Ok(format!("{}: {}", repr(&key)?, repr(&value)?)));
    Ok(format!(
        "{{{}}}",
        items.collect::<Result<Vec<_>, Error>>()?.join(", ")
    ))
}

fn range(range: &Range) -> String {
    let Range { start, stop, step } = range;
    match step {
        1 => format!("range({start}, {stop})"),
        _ => format!("range({start}, {stop}, {step})"),
    }
}

fn view(view: &View) -> Result<String, Error> {
    Ok(format!(
        "{}([{}])",
        view.name,
        items(view.items.iter().cloned())?
    ))
}

/// Returns the shortest digits that stand for a number, as Python spells them.
pub(super) fn float(number: f64) -> String {
    if !number.is_finite() {
        let text = if number.is_nan() {
            "nan"
        } else if number > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        return text.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse().unwrap_or(0) {
        -4..16 => format!("{number:?}"),
        exponent @ i32::MIN..0 => format!("{digits}e-{:02}", exponent.unsigned_abs()),
        exponent => format!("{digits}e+{exponent:02}"),
    }
}

/// Writes a text as Python does within a list.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::from(quote);
    for c in text.chars() {
        push_quoted(&mut out, c, quote);
    }
    out.push(quote);
    out
}

fn push_quoted(out: &mut String, c: char, quote: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c == quote => out.extend(['\\', c]),
        c if is_printable(c) => out.push(c),
        c => push_code(out, u32::from(c)),
    }
}

fn push_code(out: &mut String, code: u32) {
    let written = match code {
        0..0x100 => write!(out, "\\x{code:02x}"),
        0x100..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "a text takes everything");
}

/// Returns whether Python prints a character itself.
fn is_printable(c: char) -> bool {
    // At the beginning of a text, marks that belong to the character before would be escaped too.
    let text = String::from_iter(['a', c]);
    matches!(c, '\'' | '"' | '\\') || text.escape_debug().nth(1) == Some(c)
}

/// Escapes what means something in HTML, as Python's `markupsafe` does.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
