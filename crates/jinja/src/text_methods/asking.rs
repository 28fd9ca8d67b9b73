//! Methods that tell what a text consists of.

use crate::{
    printing::is_printable,
    strings::{Numeral, is_identifier, is_letter, is_lower, is_space, is_title, is_upper, numeral},
};

pub(super) fn is(text: &str, name: &str) -> bool {
    let all = |is: fn(char) -> bool| !text.is_empty() && text.chars().all(is);
    let any = |is: fn(char) -> bool| text.chars().any(is);
    match name {
        "isascii" => text.is_ascii(),
        "isprintable" => text.chars().all(is_printable),
        "isidentifier" => is_identifier(text),
        "isspace" => all(is_space),
        "isalpha" => all(is_letter),
        "isdecimal" => all(|c| numeral(c) == Numeral::Decimal),
        "isdigit" => all(|c| matches!(numeral(c), Numeral::Decimal | Numeral::Digit)),
        "isnumeric" => all(|c| numeral(c) != Numeral::No),
        "isalnum" => all(|c| is_letter(c) || numeral(c) != Numeral::No),
        "islower" => any(is_lower) && !any(is_upper) && !any(is_title),
        "isupper" => any(is_upper) && !any(is_lower) && !any(is_title),
        _ => is_titled(text),
    }
}

/// Returns whether each word begins with a large letter and goes on with small ones.
fn is_titled(text: &str) -> bool {
    let (mut in_word, mut has_words) = (false, false);
    for c in text.chars() {
        let is_large = is_upper(c) || is_title(c);
        let is_small = !is_large && is_lower(c);
        if is_large && in_word || is_small && !in_word {
            return false;
        }
        in_word = is_large || is_small;
        has_words |= in_word;
    }
    has_words
}
