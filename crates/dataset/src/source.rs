use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

/// The largest row in bytes. Without a limit, one quote that is never closed would load the whole file.
pub(crate) const MAX_ROW_BYTES: usize = 16 << 20;

/// A file's bytes after its byte order mark, with the number of the line they are on.
#[derive(Debug)]
pub(crate) struct Source {
    reader: BufReader<File>,
    line: u64,
}

/// What [`Source::read_line`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line was read.
    Read,
    /// The line is longer than [`MAX_ROW_BYTES`]; reading cannot go on.
    TooLong,
    /// There are no more lines.
    End,
}

impl Source {
    /// Opens the file at `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
        if reader.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            reader.consume(3);
        }
        Ok(Self { reader, line: 1 })
    }

    /// Returns the line that the next byte is on, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Returns the bytes that come next, as many as are at hand; none at the end.
    pub(crate) fn head(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    /// Returns the next byte and leaves it there.
    pub(crate) fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.reader.fill_buf()?.first().copied())
    }

    /// Takes the next byte.
    pub(crate) fn bump(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.reader.consume(1);
        }
        if byte == Some(b'\n') {
            self.line += 1;
        }
        Ok(byte)
    }

    /// Takes what JSON calls white space.
    pub(crate) fn skip_whitespace(&mut self) -> io::Result<()> {
        while matches!(self.peek()?, Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.bump()?;
        }
        Ok(())
    }

    /// Replaces what is in `buffer` with the next line and its line feed.
    pub(crate) fn read_line(&mut self, buffer: &mut Vec<u8>) -> io::Result<Line> {
        buffer.clear();
        let limit = MAX_ROW_BYTES as u64 + 1;
        let count = (&mut self.reader).take(limit).read_until(b'\n', buffer)?;
        self.line += u64::from(buffer.ends_with(b"\n"));
        Ok(match count {
            0 => Line::End,
            count if count > MAX_ROW_BYTES => Line::TooLong,
            _ => Line::Read,
        })
    }
}
