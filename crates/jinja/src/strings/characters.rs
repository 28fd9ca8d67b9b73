//! What Python 3.11 says of a character. What has become one since Unicode 14 is nothing to it.

use super::tables::{CONTINUES, DIGITS, IDEOGRAPHS, NO_LETTERS, STARTS, ZEROS};
use crate::printing::is_printable;

/// Returns whether Python takes a character for white space: four control characters more than Unicode does.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Returns whether Python's `splitlines` ends a line at a character.
pub(crate) fn is_line_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// What kind of number a character is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Numeral {
    No,
    /// A digit of some script.
    Decimal,
    /// A digit that stands above, below or in a circle.
    Digit,
    /// Any other.
    Number,
}

/// Returns what kind of number a character is.
pub(crate) fn numeral(c: char) -> Numeral {
    if decimal(c).is_some() {
        Numeral::Decimal
    } else if is_within(&DIGITS, c) {
        Numeral::Digit
    } else if c.is_numeric() && is_known(c) || IDEOGRAPHS.binary_search(&u32::from(c)).is_ok() {
        Numeral::Number
    } else {
        Numeral::No
    }
}

/// Returns which digit of its script a character is.
pub(crate) fn decimal(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    let code = u32::from(c);
    let after = ZEROS.partition_point(|zero| *zero <= code);
    let zero = ZEROS.get(after.checked_sub(1)?)?;
    Some(code - zero).filter(|it| *it < 10)
}

/// Returns whether a character is a letter; marks are none, though Unicode has them among what is alphabetic.
pub(crate) fn is_letter(c: char) -> bool {
    c.is_alphabetic()
        && (c.is_ascii() || !c.is_numeric() && is_known(c) && !is_within(&NO_LETTERS, c))
}

/// Returns whether an identifier can begin with a character.
pub(crate) fn is_identifier_start(c: char) -> bool {
    c == '_' || is_letter(c) != is_within(&STARTS, c)
}

/// Returns whether a character can stand in an identifier after its first.
pub(crate) fn is_identifier_part(c: char) -> bool {
    is_identifier_start(c) || decimal(c).is_some() || is_printable(c) && is_within(&CONTINUES, c)
}

/// Returns whether a text is an identifier.
pub(crate) fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(is_identifier_start) && characters.all(is_identifier_part)
}

pub(crate) fn is_upper(c: char) -> bool {
    c.is_uppercase() && is_known(c)
}

pub(crate) fn is_lower(c: char) -> bool {
    match c {
        '\u{295}' => true,
        '\u{10fc}' | '\u{a7f2}'..='\u{a7f4}' | '\u{ab69}' => false,
        _ => c.is_lowercase() && is_known(c),
    }
}

/// Returns whether a character is a large letter with a small one in it.
pub(crate) fn is_title(c: char) -> bool {
    matches!(
        c,
        'ǅ' | 'ǈ'
            | 'ǋ'
            | 'ǲ'
            | '\u{1f88}'..='\u{1f8f}'
            | '\u{1f98}'..='\u{1f9f}'
            | '\u{1fa8}'..='\u{1faf}'
            | '\u{1fbc}'
            | '\u{1fcc}'
            | '\u{1ffc}'
    )
}

/// Returns whether a character was one in Unicode 14. Some that were are not known either; they are no letters.
pub(super) fn is_known(c: char) -> bool {
    c.is_ascii() || is_printable(c)
}

fn is_within(turns: &[u32], c: char) -> bool {
    turns.partition_point(|turn| *turn <= u32::from(c)) % 2 == 1
}
