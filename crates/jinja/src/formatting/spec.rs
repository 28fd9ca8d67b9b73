//! What follows the colon in a place of Python's `str.format`.

use super::places::Reader;
use crate::{
    error::{Result, TemplateError, refused},
    strings::decimal,
};

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) fill: char,
    /// One of `<`, `>`, `^` and `=`.
    pub(super) align: Option<char>,
    pub(super) sign: Option<char>,
    pub(super) drops_negative_zero: bool,
    pub(super) alternate: bool,
    pub(super) width: Option<usize>,
    /// What stands between groups of digits.
    pub(super) separator: Option<char>,
    pub(super) precision: Option<usize>,
    pub(super) kind: Option<char>,
}

impl Spec {
    pub(super) fn new(text: &str) -> Result<Self> {
        let mut reader = Reader { rest: text };
        let (fill, align) = alignment(&mut reader);
        let sign = reader.peek().filter(|it| matches!(it, '+' | '-' | ' '));
        if sign.is_some() {
            reader.next();
        }
        let mut spec = Self {
            fill: fill.unwrap_or(' '),
            align,
            sign,
            drops_negative_zero: reader.skip('z'),
            alternate: reader.skip('#'),
            width: None,
            separator: None,
            precision: None,
            kind: None,
        };
        if fill.is_none() && reader.skip('0') {
            spec.fill = '0';
        }
        spec.width = sized(reader.number(decimal))?;
        spec.separator = separator(&mut reader)?;
        if reader.skip('.') {
            let precision = sized(reader.number(decimal))?;
            let missing = || TemplateError::new("a format misses the precision");
            spec.precision = Some(precision.ok_or_else(missing)?);
        }
        spec.kind = reader.next();
        match reader.rest {
            "" => Ok(spec),
            _ => refused(format!("`{text}` is no format")),
        }
    }

    /// Returns the alignment of a number, whose zeros stand behind the sign.
    pub(super) fn number_alignment(&self) -> char {
        let default = if self.fill == '0' { '=' } else { '>' };
        self.align.unwrap_or(default)
    }

    /// Refuses what separates digits where there are none, and returns how many digits it separates.
    pub(super) fn group(&self, kind: char) -> Result<usize> {
        match (self.separator, kind) {
            (None, _) | (_, 'd' | 'e' | 'f' | 'g' | 'E' | 'F' | 'G' | '%' | '\0') => Ok(3),
            (Some('_'), 'b' | 'o' | 'x' | 'X') => Ok(4),
            (Some(separator), _) => refused(format!("a format has `{separator}` with `{kind}`")),
        }
    }
}

/// Reads what is filled with, which needs an alignment behind it, and the alignment.
fn alignment(reader: &mut Reader<'_>) -> (Option<char>, Option<char>) {
    let is_alignment = |it: &char| matches!(it, '<' | '>' | '^' | '=');
    let mut ahead = *reader;
    let (first, second) = (ahead.next(), ahead.next());
    if let Some(align) = second.filter(is_alignment) {
        *reader = ahead;
        return (first, Some(align));
    }
    let align = first.filter(is_alignment);
    if align.is_some() {
        reader.next();
    }
    (None, align)
}

fn separator(reader: &mut Reader<'_>) -> Result<Option<char>> {
    let separator = [',', '_'].into_iter().find(|it| reader.skip(*it));
    match (separator, reader.peek()) {
        (Some(_), Some(',' | '_')) => refused("a format has more than one of `,` and `_`"),
        _ => Ok(separator),
    }
}

/// Refuses what Python takes for too large.
fn sized(number: Option<usize>) -> Result<Option<usize>> {
    match number {
        Some(number) if i64::try_from(number).is_err() => {
            refused("a width or a precision is too large")
        }
        _ => Ok(number),
    }
}
