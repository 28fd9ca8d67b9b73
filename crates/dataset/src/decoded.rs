use std::io::{self, Read};

use crate::compression::Bytes;

/// How many bytes are decoded at once.
const PIECE_BYTES: usize = 1 << 14;

/// Makes bytes of some encoding UTF-8, a piece at a time.
pub(crate) trait Decode {
    /// Appends the text of `bytes` and returns how many of them it took, which is all but a few at the end.
    fn decode(&self, bytes: &[u8], text: &mut Vec<u8>) -> usize;

    /// Appends the text of the bytes that were not taken, at the end.
    ///
    /// # Errors
    /// Damage, where they are no character.
    fn finish(&self, rest: &[u8], text: &mut Vec<u8>) -> io::Result<()>;
}

/// The UTF-8 of `bytes`. Holds one piece of both.
pub(crate) struct Decoded<D> {
    bytes: Bytes,
    decode: D,
    piece: Vec<u8>,
    /// How many bytes of the piece are not decoded yet.
    kept: usize,
    text: Vec<u8>,
    given: usize,
    is_finished: bool,
}

impl<D: Decode> Decoded<D> {
    pub(crate) fn new(bytes: Bytes, decode: D) -> Self {
        Self {
            bytes,
            decode,
            piece: vec![0; PIECE_BYTES],
            kept: 0,
            text: Vec::new(),
            given: 0,
            is_finished: false,
        }
    }

    /// Decodes the next piece.
    fn refill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.given = 0;
        let count = self.bytes.read(&mut self.piece[self.kept..])?;
        let end = self.kept + count;
        if count == 0 {
            self.is_finished = true;
            return self.decode.finish(&self.piece[..end], &mut self.text);
        }
        let taken = self.decode.decode(&self.piece[..end], &mut self.text);
        self.piece.copy_within(taken..end, 0);
        self.kept = end - taken;
        Ok(())
    }
}

impl<D: Decode> Read for Decoded<D> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() && !self.is_finished {
            self.refill()?;
        }
        let mut rest = &self.text[self.given..];
        let count = rest.read(out)?;
        self.given += count;
        Ok(count)
    }
}
