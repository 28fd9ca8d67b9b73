//! Methods that take a text apart.

use super::{index, index_or};
use crate::{
    calls::Given,
    error::{Result, refused},
    run::Run,
    strings::{self, is_line_break, is_space},
    value::Value,
};

pub(super) fn call(run: &Run<'_>, of: &Value, name: &str, given: &Given) -> Result<Value> {
    let text = of.expect_text()?;
    let parts = match name {
        "splitlines" => lines(text, given)?,
        "partition" | "rpartition" => {
            let parts = partition(text, name, given)?;
            return Ok(Value::tuple(
                parts.map(|it| Value::text_like(it, of)).into(),
            ));
        }
        _ => split(text, name, given)?,
    };
    run.fuel.take_items(parts.len())?;
    let parts = parts.into_iter().map(|it| Value::text_like(it, of));
    Ok(parts.collect())
}

fn lines<'a>(text: &'a str, given: &Given) -> Result<Vec<&'a str>> {
    let given = given.read(["keepends"])?;
    let keeps_ends = match given.get(0) {
        // Whether it is zero is not all that is asked: it has to be a whole number.
        Some(value) => index(value)? != 0,
        None => false,
    };
    let mut lines = strings::lines(text);
    if !keeps_ends {
        for line in &mut lines {
            let without = line
                .strip_suffix("\r\n")
                .or_else(|| line.strip_suffix(is_line_break));
            *line = without.unwrap_or(line);
        }
    }
    Ok(lines)
}

fn partition<'a>(text: &'a str, name: &str, given: &'a Given) -> Result<[&'a str; 3]> {
    let separator = not_empty(given.read([""])?.required_text(0)?)?;
    let parts = match name {
        "partition" => text.split_once(separator),
        _ => text.rsplit_once(separator),
    };
    Ok(match (parts, name) {
        (Some((before, after)), _) => [before, separator, after],
        (None, "partition") => [text, "", ""],
        (None, _) => ["", "", text],
    })
}

fn split<'a>(text: &'a str, name: &str, given: &Given) -> Result<Vec<&'a str>> {
    let given = given.read(["sep", "maxsplit"])?;
    let separator = given.text(0)?.map(not_empty).transpose()?;
    let most = usize::try_from(index_or(&given, 1, -1)?).unwrap_or(usize::MAX);
    let count = most.saturating_add(1);
    let is_forward = name == "split";
    let mut parts: Vec<_> = match separator {
        Some(separator) if is_forward => text.splitn(count, separator).collect(),
        Some(separator) => text.rsplitn(count, separator).collect(),
        None if is_forward => words(text, most),
        None => words_from_end(text, most),
    };
    if !is_forward {
        parts.reverse();
    }
    Ok(parts)
}

fn not_empty(separator: &str) -> Result<&str> {
    match separator {
        "" => refused("a text cannot be split at nothing"),
        separator => Ok(separator),
    }
}

fn words(text: &str, most: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() && words.len() < most {
        let end = rest.find(is_space).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after.trim_start_matches(is_space);
    }
    if !rest.is_empty() {
        words.push(rest);
    }
    words
}

fn words_from_end(text: &str, most: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while !rest.is_empty() && words.len() < most {
        let space = rest.char_indices().rfind(|(_, c)| is_space(*c));
        let (before, word) = rest.split_at(space.map_or(0, |(at, c)| at + c.len_utf8()));
        words.push(word);
        rest = before.trim_end_matches(is_space);
    }
    if !rest.is_empty() {
        words.push(rest);
    }
    words
}
