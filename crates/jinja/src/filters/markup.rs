//! Filters that make HTML, or take it away.

use super::{entities, escape, links};
use crate::{
    calls::{Filter, Given},
    error::{Result, refused},
    iteration, printing,
    run::Run,
    strings,
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Filter> {
    Some(match name {
        "e" | "escape" => escaped,
        "forceescape" => forceescape,
        "safe" => safe,
        "striptags" => striptags,
        "tojson" => crate::json::tojson,
        "urlencode" => urlencode,
        "urlize" => links::urlize,
        "xmlattr" => xmlattr,
        _ => return None,
    })
}

fn escaped(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    escape(run, value)
}

fn forceescape(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    let text = printing::text(&run.fuel, value)?;
    printing::escaped(&run.fuel, &text).map(Value::safe)
}

fn safe(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    match value {
        Value::Text(text) | Value::Safe(text) => Ok(Value::Safe(text.clone())),
        _ => printing::text(&run.fuel, value).map(Value::safe),
    }
}

pub(crate) fn striptags(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    let text = printing::text(&run.fuel, value)?;
    run.fuel.take_bytes(text.len())?;
    let text = without_tags(&text);
    let mut out = String::with_capacity(text.len());
    for word in text.split(strings::is_space).filter(|it| !it.is_empty()) {
        out.push_str(if out.is_empty() { "" } else { " " });
        out.push_str(word);
    }
    entities::unescaped(&out).map(Value::from)
}

fn without_tags(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, tag)) = rest.split_once('<') {
        let after = match tag.strip_prefix("!--") {
            Some(comment) => comment.split_once("-->"),
            None => tag.split_once('>'),
        };
        // What is not closed is no tag, nor is what comes after it.
        let Some((_, after)) = after else {
            break;
        };
        out.push_str(before);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn urlencode(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    if value.as_str().is_some() || !iteration::is_iterable(value) {
        let text = printing::text(&run.fuel, value)?;
        return quoted(run, &text, b"/").map(Value::from);
    }
    let pairs = match value {
        Value::Dict(table) => {
            let pair = |(key, value): (&Value, &Value)| Value::pair(key.clone(), value.clone());
            run.fuel.take_items(table.len())?;
            table.iter().map(pair).collect()
        }
        _ => iteration::all(run, value)?,
    };
    let mut parts = Vec::new();
    for pair in &pairs {
        let [key, value] = &*iteration::all(run, pair)? else {
            return refused("urlencode expects pairs of a name and a value");
        };
        let part = |it| quoted(run, &printing::text(&run.fuel, it)?, b"");
        parts.push(format!("{}={}", part(key)?, part(value)?).replace("%20", "+"));
    }
    Ok(Value::from(parts.join("&")))
}

/// Writes bytes that mean something in addresses, or are no ASCII, by their numbers.
fn quoted(run: &Run<'_>, text: &str, also_kept: &[u8]) -> Result<String> {
    run.fuel.take_bytes(text.len().saturating_mul(3))?;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_kept =
            byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) || also_kept.contains(&byte);
        match is_kept {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(out)
}

fn xmlattr(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["autospace"])?;
    let Value::Dict(table) = value else {
        return refused(format!(
            "xmlattr expects a dict, found a value of type {}",
            value.kind()
        ));
    };
    let mut parts = Vec::new();
    for (key, value) in table.iter() {
        run.fuel.take(1)?;
        if value.is_none() || value.is_undefined() {
            continue;
        }
        let name = key.expect_text()?;
        let is_border = |c: char| matches!(c, ' ' | '\t'..='\r' | '/' | '>' | '=');
        if name.contains(is_border) {
            return refused(format!("`{name}` is no name of an attribute"));
        }
        let part = |it| printing::escape(&run.fuel, it);
        let (key, value) = (part(key)?, part(value)?);
        run.fuel.take_bytes(key.len().saturating_add(value.len()))?;
        parts.push(format!("{key}=\"{value}\""));
    }
    let mut text = parts.join(" ");
    if arguments.get(0).is_none_or(Value::is_true) && !text.is_empty() {
        text.insert(0, ' ');
    }
    run.fuel.take_bytes(text.len())?;
    Ok(run.marked(text))
}
