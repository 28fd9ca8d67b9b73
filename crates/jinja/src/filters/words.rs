//! What Python's regular expressions take for a part of a word.

use crate::strings::{self, Numeral};

/// Returns whether a character is one of `\w`.
pub(super) fn is_word(c: char) -> bool {
    c == '_' || strings::is_letter(c) || strings::numeral(c) != Numeral::No
}

/// Returns whether a character is one of `\w` and not of `\d`.
pub(super) fn is_letter(c: char) -> bool {
    is_word(c) && strings::decimal(c).is_none()
}
