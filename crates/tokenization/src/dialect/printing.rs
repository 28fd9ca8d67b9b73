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
    let mut out = String::new();
    push(&mut out, value, 0)?;
    Ok(out)
}

/// More than this is no prompt, but a list that has itself many times over.
pub(super) const MOST_BYTES: usize = 8 << 20;

/// Deeper is nothing that anybody wrote.
pub(super) const DEEPEST: usize = 200;

fn push(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    if out.len() > MOST_BYTES || depth > DEEPEST {
        return Err(refused("a value is too large to print"));
    }
    match Shape::of(value) {
        Shape::Undefined => out.push_str("Undefined"),
        Shape::None | Shape::Bool | Shape::Integer => out.push_str(&value.to_string()),
        Shape::Float => out.push_str(&float(f64::try_from(value.clone())?)),
        Shape::Text => push_text(out, value),
        Shape::List => push_items(out, value.try_iter()?, ["[", "]"], depth)?,
        Shape::Tuple if value.len() == Some(1) => {
            push_items(out, value.try_iter()?, ["(", ",)"], depth)?;
        }
        Shape::Tuple => push_items(out, value.try_iter()?, ["(", ")"], depth)?,
        Shape::Dict => push_dict(out, value, depth)?,
        Shape::Range => out.extend(value.downcast_object_ref().map(range)),
        Shape::View => {
            if let Some(View { name, items }) = value.downcast_object_ref() {
                out.push_str(name);
                push_items(out, items.iter().cloned(), ["([", "])"], depth)?;
            }
        }
        Shape::Generator => return Err(unprintable("what a filter gives", "| list")),
        Shape::Namespace => return Err(unprintable("a namespace", "a name after it")),
        Shape::Other => return Err(unprintable("a function", "()")),
    }
    Ok(())
}

fn unprintable(what: &str, missing: &str) -> Error {
    refused(format!(
        "{what} has no text: expected a value that has; is `{missing}` missing"
    ))
}

fn push_text(out: &mut String, value: &Value) {
    let text = quoted(value.as_str().unwrap_or_default());
    match value.is_safe() {
        true => out.extend(["Markup(", &text, ")"]),
        false => out.push_str(&text),
    }
}

fn push_items(
    out: &mut String,
    values: impl Iterator<Item = Value>,
    [begin, end]: [&str; 2],
    depth: usize,
) -> Result<(), Error> {
    out.push_str(begin);
    for (index, value) in values.enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        push(out, &value, depth + 1)?;
    }
    out.push_str(end);
    Ok(())
}

fn push_dict(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    out.push('{');
    for (index, (key, value)) in pairs(value).into_iter().enumerate() {
        out.push_str(if index > 0 { ", " } else { "" });
        push(out, &key, depth + 1)?;
        out.push_str(": ");
        push(out, &value, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

fn range(range: &Range) -> String {
    let Range { start, stop, step } = range;
    match step {
        1 => format!("range({start}, {stop})"),
        _ => format!("range({start}, {stop}, {step})"),
    }
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
