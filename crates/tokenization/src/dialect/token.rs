//! What stands in a tag, as Jinja2's lexer sees it.

use super::{literal, strings::is_space};

/// A part of a tag.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// White space, of which only the line breaks matter.
    Space(usize),
    Number(&'a str),
    Name(&'a str),
    /// A text literal's value.
    Text(String),
    Operator(&'static str),
}

const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";",
];

/// Splits off the first token.
pub(super) fn next(text: &str) -> Result<(Token<'_>, &str), String> {
    let first = text.chars().next().ok_or("a tag has no end")?;
    if is_space(first) {
        let rest = text.trim_start_matches(is_space);
        let space = text.split_at(text.len() - rest.len()).0;
        return Ok((Token::Space(space.matches('\n').count()), rest));
    }
    if first.is_ascii_digit() {
        let (number, rest) = text.split_at(number_length(text));
        return Ok((Token::Number(number), rest));
    }
    if is_name(first) {
        let rest = text.trim_start_matches(is_name);
        return Ok((Token::Name(text.split_at(text.len() - rest.len()).0), rest));
    }
    if matches!(first, '\'' | '"') {
        let (raw, rest) = literal::split(text).ok_or("a text has no end")?;
        return Ok((Token::Text(literal::unescape(raw)?), rest));
    }
    let operator = OPERATORS.iter().find(|it| text.starts_with(**it));
    let operator = operator.ok_or_else(|| format!("`{first}` is not understood"))?;
    let rest = text.get(operator.len()..).unwrap_or_default();
    Ok((Token::Operator(operator), rest))
}

fn is_name(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// Returns how long the number is that `text` begins with.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if let Some(length) = float_length(bytes) {
        return length;
    }
    let prefixed = match bytes.get(1) {
        Some(b'x' | b'X') => digits(bytes, 2, |it| it.is_ascii_hexdigit()),
        Some(b'b' | b'B') => digits(bytes, 2, |it| matches!(it, b'0' | b'1')),
        Some(b'o' | b'O') => digits(bytes, 2, |it| matches!(it, b'0'..=b'7')),
        _ => 2,
    };
    match bytes.first() {
        Some(b'0') if prefixed > 2 => prefixed,
        Some(b'0') => digits(bytes, 1, |it| it == b'0'),
        _ => digits(bytes, 1, |it| it.is_ascii_digit()),
    }
}

fn float_length(bytes: &[u8]) -> Option<usize> {
    let whole = digits(bytes, 1, |it| it.is_ascii_digit());
    let has_fraction =
        bytes.get(whole) == Some(&b'.') && bytes.get(whole + 1).is_some_and(u8::is_ascii_digit);
    let mantissa = match has_fraction {
        true => digits(bytes, whole + 2, |it| it.is_ascii_digit()),
        false => whole,
    };
    let signed = match bytes.get(mantissa + 1) {
        Some(b'+' | b'-') => mantissa + 2,
        _ => mantissa + 1,
    };
    let has_exponent = matches!(bytes.get(mantissa), Some(b'e' | b'E'))
        && bytes.get(signed).is_some_and(u8::is_ascii_digit);
    match has_exponent {
        true => Some(digits(bytes, signed + 1, |it| it.is_ascii_digit())),
        false => has_fraction.then_some(mantissa),
    }
}

/// Returns where the digits end that go on at `at`, each with at most one underscore before it.
fn digits(bytes: &[u8], mut at: usize, is_digit: impl Fn(u8) -> bool) -> usize {
    loop {
        let next = match bytes.get(at) {
            Some(b'_') => at + 1,
            _ => at,
        };
        if !bytes.get(next).copied().is_some_and(&is_digit) {
            return at;
        }
        at = next + 1;
    }
}
