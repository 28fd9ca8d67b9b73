//! What Python knows of characters and texts.

mod case;
mod characters;
mod tables;

use std::fmt::Write;

pub(crate) use case::{capitalize, casefold, lower, swapcase, title, upper};
pub(crate) use characters::{
    Numeral, decimal, is_identifier, is_letter, is_line_break, is_lower, is_space, is_title,
    is_upper, numeral,
};

/// Splits a text after its line breaks, which are more than the usual two.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.find(is_line_break).map_or(rest.len(), |at| {
            let after = rest.split_at(at).1;
            let length = match after.starts_with("\r\n") {
                true => 2,
                false => after.chars().next().map_or(0, char::len_utf8),
            };
            at + length
        });
        let (line, next) = rest.split_at(end);
        rest = next;
        (!line.is_empty()).then_some(line)
    })
}

/// Returns the one character that a text has, if it has one and no more.
pub(crate) fn single(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// Writes a character's number as Python escapes it.
pub(crate) fn push_code(out: &mut String, code: u32) {
    let written = match code {
        0..0x100 => write!(out, "\\x{code:02x}"),
        0x100..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "a text takes everything");
}

/// A part of a text, and how many characters of the text are before it.
pub(crate) struct Within<'a> {
    pub(crate) text: &'a str,
    pub(crate) offset: usize,
}

impl<'a> Within<'a> {
    /// Returns what lies between two characters, or `None` where the first is past the end.
    pub(crate) fn new(text: &'a str, start: Option<i64>, end: Option<i64>) -> Option<Self> {
        let count = text.chars().count();
        let place = |at: i64| {
            let from_end = i64::try_from(count).unwrap_or(i64::MAX).saturating_add(at);
            usize::try_from(if at < 0 { from_end.max(0) } else { at }).unwrap_or(usize::MAX)
        };
        let (start, end) = (start.map_or(0, place), end.map_or(count, place).min(count));
        if start > end {
            return None;
        }
        let byte = |at: usize| {
            text.char_indices()
                .nth(at)
                .map_or(text.len(), |(byte, _)| byte)
        };
        let text = text.get(byte(start)..byte(end))?;
        let offset = start;
        Some(Self { text, offset })
    }

    /// Returns which character of the whole text begins at a byte of the part.
    pub(crate) fn character(&self, byte: usize) -> usize {
        self.offset + self.text.split_at(byte).0.chars().count()
    }
}
