//! What Python knows of characters and texts.

mod case;
mod characters;
mod tables;

pub(crate) use case::{capitalize, casefold, lower, swapcase, title, upper};
pub(crate) use characters::{
    Numeral, decimal, is_identifier, is_letter, is_line_break, is_lower, is_space, is_title,
    is_upper, numeral,
};

/// Splits a text after its line breaks, which are more than the usual two.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_line_break) {
        let after = rest.split_at(at).1;
        let length = match after.starts_with("\r\n") {
            true => 2,
            false => after.chars().next().map_or(0, char::len_utf8),
        };
        let (line, next) = rest.split_at(at + length);
        lines.push(line);
        rest = next;
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// Finds `what` between two characters, counted as Python counts; the result is counted in characters too.
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
