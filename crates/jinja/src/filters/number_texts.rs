//! How Python reads numbers.

use num_bigint::BigInt;

use crate::{printing, strings};

/// Spells a number with ASCII's digits, and drops the white space around it.
fn plain(text: &str) -> String {
    // Four control characters are white space everywhere but here.
    let is_space = |c| strings::is_space(c) && !matches!(c, '\u{1c}'..='\u{1f}');
    let digit = |c| strings::decimal(c).and_then(|it| char::from_digit(it, 10));
    let trimmed = text.trim_matches(is_space).chars();
    trimmed.map(|c| digit(c).unwrap_or(c)).collect()
}

fn signed(text: &str) -> (&str, &str) {
    match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Reads a whole number as Python's `int(text, base)` does.
pub(super) fn integer(text: &str, base: i64) -> Option<BigInt> {
    let base = u32::try_from(base)
        .ok()
        .filter(|it| *it == 0 || (2..=36).contains(it))?;
    let text = plain(text);
    let (sign, digits) = signed(&text);
    let (radix, digits) = prefixed(digits, base);
    let digits = without_underscores(digits, radix)?;
    let has_limit = !radix.is_power_of_two();
    if has_limit && digits.len() > printing::MOST_DIGITS {
        return None;
    }
    // Where the base is looked for, a zero before other digits could be meant as one.
    if base == 0 && radix == 10 && digits.starts_with('0') && digits.contains(|c| c != '0') {
        return None;
    }
    BigInt::parse_bytes(format!("{sign}{digits}").as_bytes(), radix)
}

/// Takes `0x` and the like away where the base is that one, or is looked for.
fn prefixed(digits: &str, base: u32) -> (u32, &str) {
    let prefixes = [
        (16, "0x"),
        (16, "0X"),
        (8, "0o"),
        (8, "0O"),
        (2, "0b"),
        (2, "0B"),
    ];
    for (radix, prefix) in prefixes {
        if let Some(rest) = digits.strip_prefix(prefix)
            && (base == 0 || base == radix)
        {
            return (radix, rest.strip_prefix('_').unwrap_or(rest));
        }
    }
    (if base == 0 { 10 } else { base }, digits)
}

/// Underscores may stand between digits.
fn without_underscores(digits: &str, radix: u32) -> Option<String> {
    let is_digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_digit(radix));
    digits
        .split('_')
        .all(is_digits)
        .then(|| digits.replace('_', ""))
}

/// Reads a number as Python's `float(text)` does.
pub(super) fn float(text: &str) -> Option<f64> {
    let text = plain(text);
    let is_digit = |c: Option<char>| c.is_some_and(|it| it.is_ascii_digit());
    let is_between = |(at, underscore): (usize, &str)| {
        let (before, after) = text.split_at(at);
        let after = after.strip_prefix(underscore).unwrap_or(after);
        is_digit(before.chars().next_back()) && is_digit(after.chars().next())
    };
    match text.match_indices('_').all(is_between) {
        true => text.replace('_', "").parse().ok(),
        false => None,
    }
}
