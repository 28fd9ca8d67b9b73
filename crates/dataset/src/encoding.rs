use std::{fmt, io::Read as _};

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    compression::Bytes,
    decoded::Decoded,
    utf16::Utf16,
    windows1252::{self, Windows1252},
};

/// How many bytes are looked at at once.
const PIECE_BYTES: usize = 1 << 14;

/// How a file's bytes stand for characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub enum Encoding {
    /// UTF-8, with a byte order mark or without.
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16, the lower byte first, behind a byte order mark.
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, the higher byte first, behind a byte order mark.
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Windows-1252, of which Latin-1 is a part. Nothing in a file says so: it is assumed of a table or a text
    /// that is not UTF-8.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

impl fmt::Display for Encoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16 (little-endian)",
            Self::Utf16Be => "UTF-16 (big-endian)",
            Self::Windows1252 => "Windows-1252",
        })
    }
}

impl Encoding {
    /// Tells the encoding by the byte order mark that `head` begins with, and how long that is.
    pub(crate) fn of_mark(head: &[u8]) -> Option<(Self, usize)> {
        match head {
            [0xef, 0xbb, 0xbf, ..] => Some((Self::Utf8, 3)),
            // UTF-32, which is refused.
            [0xff, 0xfe, 0, 0, ..] => None,
            [0xff, 0xfe, ..] => Some((Self::Utf16Le, 2)),
            [0xfe, 0xff, ..] => Some((Self::Utf16Be, 2)),
            _ => None,
        }
    }

    /// Tells the encoding of text that has no byte order mark, of which it reads all: UTF-8, unless what is not
    /// ASCII in it is Windows-1252 throughout.
    ///
    /// One character in UTF-8 makes it UTF-8, of which some rows are broken: a file with both was put together
    /// from two, and all of it cannot be read in either. So does an end within a character.
    pub(crate) fn of_text(mut text: Bytes) -> Self {
        let (mut piece, mut kept, mut has_other) = (vec![0; PIECE_BYTES], 0, false);
        // What cannot be read is found again when rows are read.
        while let Ok(count @ 1..) = text.read(&mut piece[kept..]) {
            let bytes = &piece[..kept + count];
            match others(bytes) {
                Others::Utf8 => return Self::Utf8,
                Others::Windows1252 => has_other = true,
                Others::None => {}
            }
            let rest = unfinished(bytes);
            piece.copy_within(kept + count - rest..kept + count, 0);
            kept = rest;
        }
        if has_other {
            Self::Windows1252
        } else {
            Self::Utf8
        }
    }

    /// Makes `bytes`, which are in this encoding, UTF-8.
    pub(crate) fn decoded(self, bytes: Bytes) -> Bytes {
        match self {
            Self::Utf8 => bytes,
            Self::Utf16Le => Box::new(Decoded::new(bytes, Utf16::new(u16::from_le_bytes))),
            Self::Utf16Be => Box::new(Decoded::new(bytes, Utf16::new(u16::from_be_bytes))),
            Self::Windows1252 => Box::new(Decoded::new(bytes, Windows1252)),
        }
    }
}

/// What a piece of text has besides ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    None,
    Windows1252,
    /// Characters in UTF-8, or bytes that are no characters.
    Utf8,
}

fn others(bytes: &[u8]) -> Others {
    let mut others = Others::None;
    let whole = bytes.len() - unfinished(bytes);
    for chunk in bytes[..whole].utf8_chunks() {
        let is_known = chunk.invalid().iter().copied().all(windows1252::has);
        if !chunk.valid().is_ascii() || !is_known {
            return Others::Utf8;
        }
        if !chunk.invalid().is_empty() {
            others = Others::Windows1252;
        }
    }
    others
}

/// Returns how many bytes at the end begin a character of UTF-8 and do not end it.
fn unfinished(bytes: &[u8]) -> usize {
    let end = &bytes[bytes.len().saturating_sub(3)..];
    let starts = (1..=end.len()).find(|&count| {
        let rest = &end[end.len() - count..];
        str::from_utf8(rest)
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    });
    starts.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use super::*;

    fn of_text(bytes: &[u8]) -> Encoding {
        Encoding::of_text(Box::new(Cursor::new(bytes.to_vec())))
    }

    fn decoded(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut decoded = encoding.decoded(Box::new(Cursor::new(bytes.to_vec())));
        decoded.read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn text_that_is_utf8_is_utf8() {
        for text in ["", "a,b\n1,2\n", "naïve", "日本"] {
            assert_eq!(of_text(text.as_bytes()), Encoding::Utf8, "{text}");
        }
    }

    #[test]
    fn text_whose_other_bytes_are_no_utf8_is_windows_1252() {
        for text in [
            &b"caf\xe9, na\xefve\n"[..],
            b"\x93quoted\x94 \x80 5\n",
            b"na\xefve caf\xe9",
        ] {
            assert_eq!(of_text(text), Encoding::Windows1252);
        }
    }

    #[test]
    fn text_of_both_kinds_is_utf8_that_is_broken() {
        assert_eq!(of_text(b"caf\xc3\xa9, caf\xe9\n"), Encoding::Utf8);
        assert_eq!(of_text(b"caf\xe9, caf\xc3\xa9\n"), Encoding::Utf8);
    }

    #[test]
    fn text_with_bytes_that_are_no_characters_is_utf8_that_is_broken() {
        assert_eq!(of_text(b"caf\xe9 \x81\n"), Encoding::Utf8);
    }

    #[test]
    fn text_that_ends_within_a_character_is_utf8_that_is_cut_off() {
        assert_eq!(of_text(b"caf\xc3"), Encoding::Utf8);
        assert_eq!(of_text(b"x \xe6\x97"), Encoding::Utf8);
    }

    #[test]
    fn where_a_piece_ends_changes_nothing() {
        for shift in 0..4 {
            let start = vec![b'a'; PIECE_BYTES - shift];
            let text = [&start[..], "😀 and more".as_bytes()].concat();
            assert_eq!(of_text(&text), Encoding::Utf8, "{shift}");
            let text = [&start[..], b"\xe9\xe9\xe9\xe9 and more"].concat();
            assert_eq!(of_text(&text), Encoding::Windows1252, "{shift}");
        }
    }

    #[test]
    fn every_encoding_decodes_as_a_browser_does() {
        let all: Vec<u8> = (0..=255).filter(|&byte| windows1252::has(byte)).collect();
        let (expected, _, is_broken) = encoding_rs::WINDOWS_1252.decode(&all);
        assert!(!is_broken);
        assert_eq!(decoded(Encoding::Windows1252, &all), expected.as_bytes());

        let text = "aé日😀\r\n".repeat(PIECE_BYTES / 3);
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert!(decoded(Encoding::Utf16Le, &little) == text.as_bytes());
        assert!(decoded(Encoding::Utf16Be, &big) == text.as_bytes());
    }
}
