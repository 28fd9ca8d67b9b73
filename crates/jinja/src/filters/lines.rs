//! The filter that indents lines.

use super::size;
use crate::{
    calls::Given,
    error::{Result, refused},
    run::Run,
    strings,
    value::Value,
};

pub(super) fn indent(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["width", "first", "blank"])?;
    let text = value.expect_text()?;
    let indent = match arguments.get(0) {
        Some(width) if width.is_safe() && !value.is_safe() => {
            return refused("a text cannot be indented with a safe one");
        }
        Some(width) => indentation(run, width)?,
        None => " ".repeat(4),
    };
    // Python adds a line break before it splits the text; one that ends it becomes a part of another.
    let ends = text.is_empty() || text.ends_with(|c| strings::is_line_break(c) && c != '\r');
    let count = strings::lines(text).count() + usize::from(ends);
    let size = indent.len().saturating_mul(count);
    run.fuel.take_bytes(size.saturating_add(text.len()))?;
    let lines = strings::lines(text).chain(ends.then_some(""));
    let mut out = String::with_capacity(text.len());
    for (index, line) in lines.enumerate() {
        let line = line.trim_end_matches(strings::is_line_break);
        let indents = match index {
            0 => arguments.is_true(1),
            _ => arguments.is_true(2) || !line.is_empty(),
        };
        out.push_str(if index > 0 { "\n" } else { "" });
        out.push_str(if indents { &indent } else { "" });
        out.push_str(line);
    }
    Ok(Value::text_like(out, value))
}

fn indentation(run: &Run<'_>, width: &Value) -> Result<String> {
    if let Some(text) = width.as_str() {
        return Ok(text.to_owned());
    }
    let width = size(width)?;
    run.fuel.take_bytes(width)?;
    Ok(" ".repeat(width))
}
