use std::io;

use crate::decoded::Decode;

/// The characters of the bytes from `0x80` to `0x9f`; those that the encoding does not have stand for the control
/// characters of Latin-1. All other bytes are as in Latin-1.
const DIFFERENT: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Tells whether the encoding has a character for `byte`.
pub(crate) fn has(byte: u8) -> bool {
    !matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d)
}

/// Windows-1252, of which Latin-1 is a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows1252;

impl Decode for Windows1252 {
    fn decode(&self, bytes: &[u8], text: &mut Vec<u8>) -> usize {
        for &byte in bytes {
            let character = match byte {
                0x80..0xa0 => DIFFERENT[usize::from(byte - 0x80)],
                _ => char::from(byte),
            };
            let mut buffer = [0; 4];
            text.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        bytes.len()
    }

    fn finish(&self, _rest: &[u8], _text: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}
