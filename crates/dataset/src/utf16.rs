use std::io;

use crate::{damage::Damage, decoded::Decode, problem::Problem};

/// UTF-16 in either order of bytes.
///
/// Half of a surrogate pair becomes the three bytes that stand for it in no valid UTF-8, so that the row it is in
/// is refused, and no other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Utf16 {
    unit: fn([u8; 2]) -> u16,
}

impl Utf16 {
    pub(crate) fn new(unit: fn([u8; 2]) -> u16) -> Self {
        Self { unit }
    }

    fn units<'a>(&'a self, bytes: &'a [u8]) -> impl DoubleEndedIterator<Item = u16> + 'a {
        let (pairs, _) = bytes.as_chunks();
        pairs.iter().map(|&pair| (self.unit)(pair))
    }

    fn append(&self, bytes: &[u8], text: &mut Vec<u8>) {
        for character in char::decode_utf16(self.units(bytes)) {
            match character {
                Ok(character) => {
                    let mut buffer = [0; 4];
                    text.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                }
                Err(half) => text.extend_from_slice(&half_bytes(half.unpaired_surrogate())),
            }
        }
    }
}

/// Writes half of a surrogate pair as UTF-8 would, if it could.
fn half_bytes(half: u16) -> [u8; 3] {
    let [low, high] = half.to_le_bytes();
    [
        0xed,
        0x80 | (high << 2 & 0x3f) | low >> 6,
        0x80 | low & 0x3f,
    ]
}

impl Decode for Utf16 {
    fn decode(&self, bytes: &[u8], text: &mut Vec<u8>) -> usize {
        let is_half = |unit| matches!(unit, 0xd800..0xdc00);
        let last = self.units(bytes).next_back();
        let kept = bytes.len() % 2 + if last.is_some_and(is_half) { 2 } else { 0 };
        let taken = bytes.len() - kept;
        self.append(&bytes[..taken], text);
        taken
    }

    fn finish(&self, rest: &[u8], text: &mut Vec<u8>) -> io::Result<()> {
        if rest.len() % 2 == 1 {
            return Err(Damage::of_row(Problem::row(
                "invalid_utf16",
                "two bytes for each character of UTF-16",
                "one byte at the end of the file",
                "the file is cut off: make it or send it again, best as UTF-8",
            )));
        }
        self.append(rest, text);
        Ok(())
    }
}
