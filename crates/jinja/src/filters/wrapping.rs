//! The filter that breaks lines at a width.

use std::collections::VecDeque;

use super::words::{is_letter, is_word};
use crate::{
    calls::Given,
    error::{Result, refused},
    printing,
    run::Run,
    strings,
    value::Value,
};

pub(super) fn wordwrap(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let names = [
        "width",
        "break_long_words",
        "wrapstring",
        "break_on_hyphens",
    ];
    let arguments = given.read(names)?;
    let width = arguments.get(0).map_or(Ok(79), Value::expect_index)?;
    let hyphens = arguments.get(3).unwrap_or(&Value::Bool(true));
    let wrap = Wrap {
        width: usize::try_from(width).unwrap_or(0),
        breaks_words: arguments.get(1).is_none_or(Value::is_true),
        splits_at_hyphens: matches!(hyphens, Value::Bool(true)),
        breaks_at_hyphens: hyphens.is_true(),
    };
    let newline = Value::from("\n");
    let between = arguments.some(2).unwrap_or(&newline);
    let text = value.expect_text()?;
    // Each character may become a line of its own.
    run.fuel.take_items(text.len())?;
    if wrap.width == 0 && !text.is_empty() {
        return refused("wordwrap expects a width above 0");
    }
    let lines = strings::lines(text)
        .flat_map(|it| wrap.paragraph(it.trim_end_matches(strings::is_line_break)));
    joined(run, lines.collect(), between)
}

fn joined(run: &Run<'_>, mut lines: Vec<String>, between: &Value) -> Result<Value> {
    let text = between.expect_text()?;
    run.fuel
        .take_bytes(text.len().saturating_mul(lines.len()))?;
    if between.is_safe() {
        let escaped = lines.iter().map(|it| printing::escaped(&run.fuel, it));
        lines = escaped.collect::<Result<_>>()?;
    }
    Ok(Value::text_like(lines.join(text), between))
}

/// How lines are broken.
struct Wrap {
    width: usize,
    breaks_words: bool,
    splits_at_hyphens: bool,
    breaks_at_hyphens: bool,
}

type Chunk<'a> = &'a [char];

impl Wrap {
    /// Breaks a paragraph; an empty one is one line.
    fn paragraph(&self, text: &str) -> Vec<String> {
        let text: Vec<char> = text.chars().collect();
        let mut chunks = self.chunks(&text);
        let mut lines: Vec<String> = Vec::new();
        while !chunks.is_empty() {
            if !lines.is_empty() && chunks.front().is_some_and(|it| is_blank(it)) {
                chunks.pop_front();
            }
            let line = self.line(&mut chunks);
            if !line.is_empty() {
                lines.push(line.concat().into_iter().collect());
            }
        }
        if lines.is_empty() {
            lines.push(String::new());
        }
        lines
    }

    /// Takes the chunks of one line.
    fn line<'a>(&self, chunks: &mut VecDeque<Chunk<'a>>) -> Vec<Chunk<'a>> {
        let (mut line, mut length) = (Vec::new(), 0);
        while let Some(chunk) = chunks.front().filter(|it| length + it.len() <= self.width) {
            length += chunk.len();
            line.extend(chunks.pop_front());
        }
        if chunks.front().is_some_and(|it| it.len() > self.width) {
            self.take_long(chunks, &mut line, self.width - length);
        }
        if line.last().is_some_and(|it| is_blank(it)) {
            line.pop();
        }
        line
    }

    /// Takes as much of a chunk that fits on no line as there is room for.
    fn take_long<'a>(
        &self,
        chunks: &mut VecDeque<Chunk<'a>>,
        line: &mut Vec<Chunk<'a>>,
        room: usize,
    ) {
        if !self.breaks_words {
            if line.is_empty() {
                line.extend(chunks.pop_front());
            }
            return;
        }
        if let Some(chunk) = chunks.front_mut() {
            let (taken, rest) = chunk.split_at(self.end_of(chunk, room).min(chunk.len()));
            line.push(taken);
            *chunk = rest;
        }
    }

    /// Returns where a long chunk is broken: after a hyphen, if one follows something else.
    fn end_of(&self, chunk: Chunk<'_>, room: usize) -> usize {
        let fitting = chunk.iter().take(room);
        let hyphen = fitting.clone().rposition(|it| *it == '-');
        match hyphen {
            Some(at) if self.breaks_at_hyphens && fitting.take(at).any(|it| *it != '-') => at + 1,
            _ => room,
        }
    }

    /// Splits a text into white space and what is not broken.
    fn chunks<'a>(&self, text: Chunk<'a>) -> VecDeque<Chunk<'a>> {
        let mut chunks = VecDeque::new();
        let mut at = 0;
        while at < text.len() {
            let end = match self.splits_at_hyphens {
                true => end_of_part(text, at),
                false => end_of_run(text, at),
            };
            chunks.extend(text.get(at..end));
            at = end.max(at + 1);
        }
        chunks
    }
}

fn is_blank(chunk: &[char]) -> bool {
    chunk.iter().all(|it| strings::is_space(*it))
}

/// Only this white space parts words; other kinds of it stand within them.
fn parts_words(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// Returns where white space ends, or what is none.
fn end_of_run(text: &[char], at: usize) -> usize {
    let is_white = |it: &char| parts_words(*it);
    let first = text.get(at).is_some_and(is_white);
    let rest = text.iter().skip(at);
    at + rest.take_while(|it| is_white(it) == first).count()
}

/// As [`end_of_run`], where words also end after their hyphens and around dashes.
fn end_of_part(text: &[char], at: usize) -> usize {
    if text.get(at).is_some_and(|it| parts_words(*it)) {
        return end_of_run(text, at);
    }
    if let Some(end) = end_of_dash(text, at) {
        return end;
    }
    let mut end = at + 1;
    loop {
        match text.get(end) {
            None => return end,
            Some(c) if parts_words(*c) => return end,
            Some('-') if is_hyphen(text, end) => return end + 1,
            Some('-') if end_of_dash(text, end).is_some() => return end,
            Some(_) => end += 1,
        }
    }
}

/// Looks at characters by their distance from one.
fn looks(text: &[char], at: usize, back: usize, is: impl Fn(char) -> bool) -> bool {
    at.checked_sub(back)
        .and_then(|it| text.get(it))
        .is_some_and(|it| is(*it))
}

/// Returns where two or more hyphens end that stand between words.
fn end_of_dash(text: &[char], at: usize) -> Option<usize> {
    let is_after = |c| is_word(c) || matches!(c, '!' | '"' | '\'' | '&' | '.' | ',' | '?');
    if !looks(text, at, 0, |c| c == '-') || !looks(text, at, 1, is_after) {
        return None;
    }
    let end = at + text.iter().skip(at).take_while(|it| **it == '-').count();
    (end >= at + 2 && looks(text, end, 0, is_word)).then_some(end)
}

/// Returns whether a hyphen joins two words, so that a line can be broken after it.
fn is_hyphen(text: &[char], at: usize) -> bool {
    let follows_letters = looks(text, at, 1, is_letter) && looks(text, at, 2, is_letter);
    let follows_short = looks(text, at, 1, is_letter)
        && looks(text, at, 2, |c| c == '-')
        && looks(text, at, 3, is_letter);
    let next = at + 1;
    let after = next + usize::from(looks(text, next + 1, 0, |c| c == '-'));
    (follows_letters || follows_short)
        && looks(text, next, 0, is_letter)
        && looks(text, after + 1, 0, is_letter)
}
