use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::text::meant;

/// Takes out control characters other than tabs and ends of lines.
pub(super) fn without_control_characters(text: &str) -> String {
    let is_kept = |it: &char| !it.is_control() || matches!(it, '\t' | '\n' | '\r');
    text.chars().filter(is_kept).collect()
}

/// Writes accented letters as one character each.
pub(super) fn composed(text: &str) -> String {
    match is_nfc(text) {
        true => text.to_owned(),
        false => text.nfc().collect(),
    }
}

/// Writes characters as they were meant that are the bytes of others, as often as they were read so.
pub(super) fn without_mojibake(text: &str) -> String {
    /// Text that was damaged oftener is rare, and chance would be mended.
    const MOST: usize = 3;
    let mut text = text.to_owned();
    for _ in 0..MOST {
        match meant(&text) {
            Some(mended) => text = mended,
            None => break,
        }
    }
    text
}
