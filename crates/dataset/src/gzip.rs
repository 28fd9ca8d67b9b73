use std::{
    fmt,
    io::{self, BufRead, Read},
};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::{
    compression::{Compression, cut_off, damaged, garbage, mismatch},
    damage::Damage,
};

const KIND: Compression = Compression::Gzip;
const DEFLATE: u8 = 8;

/// Flags of a member's header (RFC 1952, section 2.3.1).
const HAS_CHECKSUM: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// Unpacks gzip members, one after the other. Holds a window of 32 KiB, whatever the file says.
///
/// The members' frame is followed here and not by the library, which does not tell a member that is cut off
/// from one whose checksum is missing, nor what comes behind the last.
pub(crate) struct Gzip<R> {
    packed: R,
    inflate: Decompress,
    checksum: Crc,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    FirstMember,
    MemberOrEnd,
    Body,
    Trailer,
    Nothing,
}

impl<R> fmt::Debug for Gzip<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Gzip");
        shown.field("next", &self.next).finish_non_exhaustive()
    }
}

impl<R: BufRead> Gzip<R> {
    pub(crate) fn new(packed: R) -> Self {
        Self {
            packed,
            inflate: Decompress::new(false),
            checksum: Crc::new(),
            next: Next::FirstMember,
        }
    }

    /// Reads a member's header, or finds the end.
    fn header(&mut self) -> io::Result<Next> {
        if self.next == Next::MemberOrEnd {
            match self.byte()? {
                None => return Ok(Next::Nothing),
                Some(0x1f) if self.byte()? == Some(0x8b) => {}
                Some(_) => return Err(garbage(KIND)),
            }
        } else {
            self.skip(2)?;
        }
        if self.some_byte()? != DEFLATE {
            return Err(damaged(KIND, "a method other than deflate"));
        }
        let flags = self.some_byte()?;
        if flags & RESERVED != 0 {
            return Err(damaged(KIND, "a reserved flag"));
        }
        self.skip(6)?;
        self.skip_optional(flags)?;
        self.inflate.reset(false);
        self.checksum.reset();
        Ok(Next::Body)
    }

    fn skip_optional(&mut self, flags: u8) -> io::Result<()> {
        if flags & HAS_EXTRA != 0 {
            let length = u16::from_le_bytes([self.some_byte()?, self.some_byte()?]);
            self.skip(length)?;
        }
        for text in [HAS_NAME, HAS_COMMENT] {
            while flags & text != 0 && self.some_byte()? != 0 {}
        }
        self.skip(if flags & HAS_CHECKSUM != 0 { 2 } else { 0 })
    }

    /// Inflates into `out`; nothing where the body ends.
    fn body(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let packed = self.packed.fill_buf()?;
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(packed, out, FlushDecompress::None)
                .map_err(|error| damaged(KIND, error))?;
            let is_end = packed.is_empty();
            let used = (self.inflate.total_in() - before_in) as usize;
            let count = (self.inflate.total_out() - before_out) as usize;
            self.packed.consume(used);
            self.checksum.update(&out[..count]);
            if status == Status::StreamEnd {
                self.next = Next::Trailer;
            }
            match (count, used) {
                _ if count > 0 || status == Status::StreamEnd => return Ok(count),
                (0, 0) if is_end => return Err(Damage::of_row(cut_off(KIND))),
                (0, 0) => return Err(damaged(KIND, "deflate stream that goes nowhere")),
                _ => {}
            }
        }
    }

    /// Compares a member's checksum and length with what was read.
    fn trailer(&mut self) -> io::Result<Next> {
        let mut numbers = [0; 8];
        for place in &mut numbers {
            // All rows were read, so that the last one is not to blame.
            let byte = self.byte()?;
            *place = byte.ok_or_else(|| Damage::of_file(cut_off(KIND)))?;
        }
        let [sum, length] = [self.checksum.sum(), self.checksum.amount()].map(u32::to_le_bytes);
        if numbers == [sum, length].concat()[..] {
            Ok(Next::MemberOrEnd)
        } else {
            Err(mismatch(KIND))
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.packed.fill_buf()?.first().copied();
        self.packed.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    fn some_byte(&mut self) -> io::Result<u8> {
        let byte = self.byte()?;
        byte.ok_or_else(|| Damage::of_row(cut_off(KIND)))
    }

    fn skip(&mut self, count: u16) -> io::Result<()> {
        (0..count).try_for_each(|_| self.some_byte().map(drop))
    }

    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !out.is_empty() && self.next != Next::Nothing {
            match self.next {
                Next::FirstMember | Next::MemberOrEnd => self.next = self.header()?,
                Next::Trailer => self.next = self.trailer()?,
                Next::Body => match self.body(out)? {
                    0 => {}
                    count => return Ok(count),
                },
                Next::Nothing => {}
            }
        }
        Ok(0)
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.step(out);
        if count.is_err() {
            self.next = Next::Nothing;
        }
        count
    }
}
