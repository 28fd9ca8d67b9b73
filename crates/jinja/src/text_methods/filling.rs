//! Methods that fill a text up.

use super::{argument, index_or};
use crate::{
    calls::Given,
    error::{Result, TemplateError},
    run::Run,
    strings,
    value::Value,
};

pub(super) fn call(run: &Run<'_>, of: &Value, name: &str, given: &Given) -> Result<Value> {
    let text = match name {
        "expandtabs" => expanded(run, of.expect_text()?, given)?,
        "zfill" => {
            let width = given.read([""])?.required(0)?.expect_index()?;
            let text = of.expect_text()?;
            let (sign, rest) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            let [before, _] = fills(run, (text, '0', width), name)?;
            format!("{sign}{before}{rest}")
        }
        _ => {
            let given = given.read(["", ""])?;
            let width = given.required(0)?.expect_index()?;
            let fill = match given.get(1) {
                Some(fill) => single(&argument(run, of, fill)?)?,
                None => ' ',
            };
            let text = of.expect_text()?;
            let [before, after] = fills(run, (text, fill, width), name)?;
            format!("{before}{text}{after}")
        }
    };
    Ok(Value::text_like(text, of))
}

fn single(text: &str) -> Result<char> {
    strings::single(text)
        .ok_or_else(|| TemplateError::new("a text is filled up with one character"))
}

/// Returns what comes before and after a text to fill it up.
pub(crate) fn fills(run: &Run<'_>, how: (&str, char, i64), name: &str) -> Result<[String; 2]> {
    let (text, fill, width) = how;
    let width = usize::try_from(width).unwrap_or(0);
    let missing = width.saturating_sub(text.chars().count());
    run.fuel
        .take_bytes(missing.saturating_mul(fill.len_utf8()))?;
    let before = match name {
        "ljust" => 0,
        // Python puts the odd one before where the width is odd too.
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let fills = |count: usize| std::iter::repeat_n(fill, count).collect();
    Ok([fills(before), fills(missing - before)])
}

fn expanded(run: &Run<'_>, text: &str, given: &Given) -> Result<String> {
    let size = index_or(&given.read(["tabsize"])?, 0, 8)?;
    let size = i32::try_from(size).map_err(|_| TemplateError::new("`tabsize` is too large"))?;
    let size = usize::try_from(size).unwrap_or(0);
    let mut out = String::with_capacity(text.len());
    let mut column: usize = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let width = column.checked_rem(size).map_or(0, |it| size - it);
                run.fuel.take_bytes(width)?;
                out.extend(std::iter::repeat_n(' ', width));
                column += width;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(out)
}
