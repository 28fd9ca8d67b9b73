use std::{
    fmt,
    io::{self, BufRead, Read},
};

use ruzstd::decoding::{
    BlockDecodingStrategy::UptoBlocks,
    FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use crate::{
    compression::{Compression, cut_off, damaged, garbage, mismatch},
    damage::Damage,
    guard::{Broke, guarded},
    problem::{Problem, Scope},
};

const KIND: Compression = Compression::Zstd;

/// The last block of a frame, without content, and a checksum.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// Unpacks zstd frames, one after the other. Holds a frame's window and one block: at most 128 MiB, which is
/// what `zstd` itself reads unless told otherwise, and 8 MiB or less in files that are not made with `--ultra`
/// or `--long`.
pub(crate) struct Zstd<R> {
    packed: Watched<R>,
    decoder: FrameDecoder,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    FirstFrame,
    FrameOrEnd,
    Block,
    /// What the window holds of a frame that is cut off, and what is lost with its end.
    Rest(Scope),
    Nothing,
}

impl<R> fmt::Debug for Zstd<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Zstd");
        shown.field("next", &self.next).finish_non_exhaustive()
    }
}

impl<R: BufRead> Zstd<R> {
    pub(crate) fn new(packed: R) -> Self {
        Self {
            packed: Watched {
                bytes: packed,
                failure: None,
                ended: false,
            },
            decoder: FrameDecoder::new(),
            next: Next::FirstFrame,
        }
    }

    /// Reads a frame's header, skips a frame that has no data, or finds the end.
    fn header(&mut self) -> io::Result<Next> {
        if self.next == Next::FrameOrEnd && self.packed.bytes.fill_buf()?.is_empty() {
            return Ok(Next::Nothing);
        }
        let (decoder, packed) = (&mut self.decoder, &mut self.packed);
        match guarded(|| decoder.reset(packed)) {
            Ok(Ok(())) => Ok(Next::Block),
            Ok(Err(FrameDecoderError::ReadFrameHeaderError(error))) => self.no_header(error),
            Ok(Err(error)) => Err(self.failure(error)),
            Err(Broke) => Err(damaged(KIND, "a broken header")),
        }
    }

    fn no_header(&mut self, error: ReadFrameHeaderError) -> io::Result<Next> {
        let is_first = self.next == Next::FirstFrame;
        match error {
            ReadFrameHeaderError::SkipFrame { length, .. } => {
                let mut skipped = (&mut self.packed).take(length.into());
                if io::copy(&mut skipped, &mut io::sink())? < length.into() {
                    return Err(Damage::of_file(cut_off(KIND)));
                }
                Ok(Next::FrameOrEnd)
            }
            ReadFrameHeaderError::BadMagicNumber(_) => Err(garbage(KIND)),
            ReadFrameHeaderError::MagicNumberReadError(_) if !is_first => Err(garbage(KIND)),
            error => Err(self.failure(FrameDecoderError::ReadFrameHeaderError(error))),
        }
    }

    /// Reads what is unpacked, and unpacks a block where nothing is.
    fn block(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.decoder.can_collect() > 0 {
            return self.decoder.read(out);
        }
        if self.decoder.is_finished() {
            let read = self.decoder.get_checksum_from_data();
            if read.is_some() && read != self.decoder.get_calculated_checksum() {
                return Err(mismatch(KIND));
            }
            self.next = Next::FrameOrEnd;
            return Ok(0);
        }
        let (decoder, packed) = (&mut self.decoder, &mut self.packed);
        match guarded(|| decoder.decode_blocks(packed, UptoBlocks(1))) {
            Ok(Ok(_)) => Ok(0),
            Ok(Err(error)) if self.packed.ended => self.close(&error),
            Ok(Err(error)) => Err(self.failure(error)),
            Err(Broke) => Err(damaged(KIND, "a broken block")),
        }
    }

    /// Ends a frame that is cut off, so that the decoder gives the data that its window holds back.
    fn close(&mut self, error: &FrameDecoderError) -> io::Result<usize> {
        let lost = match error {
            // All rows are there.
            FrameDecoderError::FailedToReadChecksum(_) => Scope::File,
            _ => Scope::Row,
        };
        self.next = Next::Rest(lost);
        let decoder = &mut self.decoder;
        match guarded(|| decoder.decode_blocks(&LAST_BLOCK[..], UptoBlocks(1))) {
            Ok(Ok(_)) => Ok(0),
            _ => Err(Damage::of_row(cut_off(KIND))),
        }
    }

    fn rest(&mut self, out: &mut [u8], lost: Scope) -> io::Result<usize> {
        match (self.decoder.can_collect(), lost) {
            (0, Scope::Row) => Err(Damage::of_row(cut_off(KIND))),
            (0, Scope::File) => Err(Damage::of_file(cut_off(KIND))),
            _ => self.decoder.read(out),
        }
    }

    /// Tells a file that cannot be read, one that is cut off, and one that is damaged from another.
    fn failure(&mut self, error: FrameDecoderError) -> io::Error {
        if let Some(failure) = self.packed.failure.take() {
            return failure;
        }
        match error {
            FrameDecoderError::WindowSizeTooBig { requested, max } => {
                Damage::of_row(too_large_window(requested, max))
            }
            _ if self.packed.ended => Damage::of_row(cut_off(KIND)),
            error => damaged(KIND, error),
        }
    }

    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !out.is_empty() && self.next != Next::Nothing {
            let count = match self.next {
                Next::FirstFrame | Next::FrameOrEnd => {
                    self.next = self.header()?;
                    0
                }
                Next::Block => self.block(out)?,
                Next::Rest(lost) => self.rest(out, lost)?,
                Next::Nothing => 0,
            };
            if count > 0 {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

fn too_large_window(requested: u64, max: u64) -> Problem {
    Problem::row(
        "broken_compression",
        format!("{KIND} data with a window of at most {} MiB", max >> 20),
        format!("a window of {requested} bytes"),
        "compress the file without `--long`",
    )
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.step(out);
        if count.is_err() {
            self.next = Next::Nothing;
        }
        count
    }
}

/// Notes how reading from `bytes` went, which the decoder tells in a dozen ways.
struct Watched<R> {
    bytes: R,
    failure: Option<io::Error>,
    ended: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.bytes.read(out) {
            Ok(count) => {
                self.ended |= count == 0 && !out.is_empty();
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}
