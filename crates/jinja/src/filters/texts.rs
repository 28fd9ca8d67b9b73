//! Filters that change texts.

use super::{lines, pretty, soft_text, words::is_word, wrapping};
use crate::{
    calls::{Filter, Given},
    error::{Result, refused},
    formatting, operators, printing,
    run::Run,
    strings,
    text_methods::{Ends, fills, stripped},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Filter> {
    Some(match name {
        "capitalize" => |run, value, given| changed(run, value, given, strings::capitalize),
        "center" => center,
        "format" => formatting::filter,
        "indent" => lines::indent,
        "lower" => |run, value, given| changed(run, value, given, strings::lower),
        "pprint" => pretty::pprint,
        "replace" => replace,
        "string" => string,
        "title" => title,
        "trim" => trim,
        "truncate" => truncate,
        "upper" => |run, value, given| changed(run, value, given, strings::upper),
        "wordcount" => wordcount,
        "wordwrap" => wrapping::wordwrap,
        _ => return None,
    })
}

/// Applies a change to a text, which stays safe if it is.
fn changed(
    run: &Run<'_>,
    value: &Value,
    given: &Given,
    change: fn(&str) -> String,
) -> Result<Value> {
    given.nothing()?;
    let text = soft_text(run, value)?;
    let plain = text.expect_text()?;
    run.fuel.take_bytes(plain.len())?;
    Ok(Value::text_like(change(plain), &text))
}

fn string(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    soft_text(run, value)
}

/// Words begin after white space and hyphens and opening brackets, unlike those of the method.
fn title(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    let text = printing::text(&run.fuel, value)?;
    run.fuel.take_bytes(text.len())?;
    let is_border = |c: char| strings::is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(is_border) {
        let border = word.chars().next().map_or(0, char::len_utf8);
        let (first, rest) = word.split_at(border);
        out.push_str(&strings::upper(first));
        out.push_str(&strings::lower(rest));
    }
    Ok(Value::from(out))
}

fn trim(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["chars"])?;
    let text = soft_text(run, value)?;
    let plain = text.expect_text()?;
    run.fuel.take_bytes(plain.len())?;
    let trimmed = stripped(run, plain, arguments.text(0)?, Ends::Both)?;
    match trimmed.len() == plain.len() {
        true => Ok(text),
        false => Ok(Value::text_like(trimmed, &text)),
    }
}

fn center(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["width"])?;
    let width = arguments.get(0).map_or(Ok(80), Value::expect_index)?;
    let text = soft_text(run, value)?;
    let plain = text.expect_text()?;
    run.fuel.take_bytes(plain.len())?;
    let [left, right] = fills(run, (plain, ' ', width), "center")?;
    Ok(Value::text_like([&left, plain, &right].concat(), &text))
}

fn replace(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["old", "new", "count"])?;
    let (old, new) = (arguments.required(0)?, arguments.required(1)?);
    let count = match arguments.some(2) {
        Some(count) => usize::try_from(count.expect_index()?).ok(),
        None => None,
    };
    let needs_escaping = old.is_safe() || new.is_safe() && !value.is_safe();
    let text = match run.escapes() {
        true if needs_escaping => super::escape(run, value)?,
        true => soft_text(run, value)?,
        false => Value::from(printing::text(&run.fuel, value)?),
    };
    let new = match text.is_safe() {
        true => super::escape(run, new)?,
        false => soft_text(run, new)?,
    };
    let (plain, old, new) = (
        text.expect_text()?,
        printing::text(&run.fuel, old)?,
        new.expect_text()?,
    );
    run.fuel.take_bytes(plain.len().saturating_add(old.len()))?;
    let found = match old.is_empty() {
        true => plain.chars().count() + 1,
        false => plain.matches(&*old).count(),
    };
    let times = count.map_or(found, |it| it.min(found));
    run.fuel
        .take_bytes(times.saturating_mul(new.len()).saturating_add(plain.len()))?;
    Ok(Value::text_like(plain.replacen(&*old, new, times), &text))
}

fn truncate(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["length", "killwords", "end", "leeway"])?;
    let ellipsis = Value::from("...");
    let end = arguments.get(2).unwrap_or(&ellipsis);
    let size_bytes = value.size_bytes().saturating_add(end.size_bytes());
    run.fuel.take_bytes(size_bytes)?;
    let end_length = end.expect_text()?.chars().count();
    let length = arguments.get(0).map_or(Ok(255), Value::expect_index)?;
    let leeway = arguments.some(3).map_or(Ok(5), Value::expect_index)?;
    let room = usize::try_from(length)
        .ok()
        .and_then(|it| it.checked_sub(end_length));
    let (Some(room), Ok(leeway)) = (room, usize::try_from(leeway)) else {
        return refused(format!(
            "truncate cannot cut to {length} characters with its end"
        ));
    };
    let Some(found) = value.len() else {
        return refused(format!("a value of type {} has no length", value.kind()));
    };
    if found <= room.saturating_add(end_length).saturating_add(leeway) {
        return Ok(value.clone());
    }
    let text = value.expect_text()?;
    let kept = text
        .char_indices()
        .nth(room)
        .map_or(text, |(at, _)| text.split_at(at).0);
    let kept = match arguments.is_true(1) {
        true => kept,
        false => kept.rsplit_once(' ').map_or(kept, |(words, _)| words),
    };
    operators::add(run, &Value::text_like(kept, value), end)
}

fn wordcount(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    let text = printing::text(&run.fuel, value)?;
    run.fuel.take_bytes(text.len())?;
    let words = text.split(|c: char| !is_word(c));
    Ok(Value::from(words.filter(|it| !it.is_empty()).count()))
}
