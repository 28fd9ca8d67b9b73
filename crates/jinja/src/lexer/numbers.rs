//! Numbers as Jinja2 reads them.

use num_bigint::BigInt;

use super::Token;
use crate::{
    error::{Result, refused},
    printing,
};

/// Reads the number that `text` begins with.
pub(super) fn read(text: &str) -> Result<(Token, &str)> {
    let Some(length) = float_length(text.as_bytes()) else {
        return whole(text);
    };
    let (digits, rest) = text.split_at(length);
    match digits.replace('_', "").parse() {
        Ok(value) => Ok((Token::Float(value), rest)),
        Err(_) => refused(format!("`{digits}` is no number")),
    }
}

/// Reads the whole number that `text` begins with: after a dot it is a place, and has no fraction.
pub(super) fn whole(text: &str) -> Result<(Token, &str)> {
    let (length, radix) = integer_length(text.as_bytes());
    let (digits, rest) = text.split_at(length);
    let plain = digits.replace('_', "");
    let plain = if radix == 10 {
        &plain
    } else {
        plain.get(2..).unwrap_or_default()
    };
    // Python has a limit too, for the time that it takes, where digits are no groups of bits.
    let is_short = radix.is_power_of_two() || plain.len() <= printing::MOST_DIGITS;
    let number = is_short.then(|| BigInt::parse_bytes(plain.as_bytes(), radix));
    match number.flatten() {
        Some(value) => Ok((Token::Int(value), rest)),
        None => refused(format!("a number of {} digits is no number", plain.len())),
    }
}

/// Returns how long the whole number is that `bytes` begins with, and its base.
fn integer_length(bytes: &[u8]) -> (usize, u32) {
    let (prefixed, radix) = match bytes.get(1) {
        Some(b'x' | b'X') => (digits(bytes, 2, |it| it.is_ascii_hexdigit()), 16),
        Some(b'b' | b'B') => (digits(bytes, 2, |it| matches!(it, b'0' | b'1')), 2),
        Some(b'o' | b'O') => (digits(bytes, 2, |it| matches!(it, b'0'..=b'7')), 8),
        _ => (2, 10),
    };
    match bytes.first() {
        Some(b'0') if prefixed > 2 => (prefixed, radix),
        Some(b'0') => (digits(bytes, 1, |it| it == b'0'), 10),
        _ => (digits(bytes, 1, |it| it.is_ascii_digit()), 10),
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
