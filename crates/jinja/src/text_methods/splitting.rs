//! Methods that take a text apart.

use super::index_or;
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
        "splitlines" => lines(run, text, given)?,
        "partition" | "rpartition" => {
            let parts = partition(text, name, given)?;
            return Ok(Value::tuple(
                parts.map(|it| Value::text_like(it, of)).into(),
            ));
        }
        _ => split(run, text, name, given)?,
    };
    let parts = parts.into_iter().map(|it| Value::text_like(it, of));
    Ok(parts.collect())
}

/// Keeps parts of a text, and takes what each costs.
fn kept<'a>(run: &Run<'_>, parts: impl Iterator<Item = &'a str>) -> Result<Vec<&'a str>> {
    let cost = |it| run.fuel.take(1).map(|()| it);
    parts.map(cost).collect()
}

fn lines<'a>(run: &Run<'_>, text: &'a str, given: &Given) -> Result<Vec<&'a str>> {
    let given = given.read(["keepends"])?;
    let keeps_ends = match given.get(0) {
        // Whether it is zero is not all that is asked: it has to be a whole number.
        Some(value) => value.expect_index()? != 0,
        None => false,
    };
    let mut lines = kept(run, strings::lines(text))?;
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

fn split<'a>(run: &Run<'_>, text: &'a str, name: &str, given: &Given) -> Result<Vec<&'a str>> {
    let given = given.read(["sep", "maxsplit"])?;
    let separator = given.text(0)?.map(not_empty).transpose()?;
    run.fuel.take_bytes(separator.map_or(0, str::len))?;
    let most = usize::try_from(index_or(&given, 1, -1)?).unwrap_or(usize::MAX);
    let count = most.saturating_add(1);
    let is_forward = name == "split";
    let mut parts = match separator {
        Some(separator) if is_forward => kept(run, text.splitn(count, separator))?,
        Some(separator) => kept(run, text.rsplitn(count, separator))?,
        None if is_forward => kept(run, words(text, most))?,
        None => kept(run, words_from_end(text, most))?,
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

fn words(text: &str, most: usize) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_start_matches(is_space);
    let mut count = 0;
    std::iter::from_fn(move || {
        count += 1;
        let end = match count > most {
            true => rest.len(),
            false => rest.find(is_space).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        rest = after.trim_start_matches(is_space);
        (!word.is_empty()).then_some(word)
    })
}

fn words_from_end(text: &str, most: usize) -> impl Iterator<Item = &str> {
    let mut rest = text.trim_end_matches(is_space);
    let mut count = 0;
    std::iter::from_fn(move || {
        count += 1;
        let begin = match count > most {
            true => 0,
            false => {
                let space = rest.char_indices().rfind(|(_, c)| is_space(*c));
                space.map_or(0, |(at, c)| at + c.len_utf8())
            }
        };
        let (before, word) = rest.split_at(begin);
        rest = before.trim_end_matches(is_space);
        (!word.is_empty()).then_some(word)
    })
}
