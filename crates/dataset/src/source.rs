use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::Path,
};

/// The largest row in bytes. Without a limit, one quote that is never closed would load the whole file.
pub(crate) const MAX_ROW_BYTES: usize = 16 << 20;

/// As much as tells what a file is.
const HEAD_BYTES: usize = 1 << 16;

/// A file's bytes after its byte order mark and the blank lines at its beginning, with the number of the line they are on.
#[derive(Debug)]
pub(crate) struct Source {
    reader: BufReader<File>,
    /// Bytes that were looked at and come next, the last first.
    ahead: Vec<u8>,
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
        let mut source = Self {
            reader,
            ahead: Vec::new(),
            line: 1,
        };
        while matches!(source.peek()?, Some(b'\n' | b'\r')) {
            source.bump()?;
        }
        Ok(source)
    }

    /// Returns the line that the next byte is on, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Returns the bytes that come next, as many as tell what the file is, and leaves them there; none at the
    /// end. The same bytes, whatever the system reads at once.
    pub(crate) fn head(&mut self) -> io::Result<Vec<u8>> {
        let (first, mut head) = (self.line, Vec::new());
        while head.len() < HEAD_BYTES
            && let Some(byte) = self.bump()?
        {
            head.push(byte);
        }
        self.line = first;
        self.ahead.extend(head.iter().rev());
        Ok(head)
    }

    /// Returns the next line of a table and leaves it there: up to a line end outside quotes, or as much as a
    /// row may have.
    pub(crate) fn table_line(&mut self) -> io::Result<Vec<u8>> {
        let (first, mut is_quoted, mut line) = (self.line, false, Vec::new());
        while line.len() < MAX_ROW_BYTES
            && let Some(byte) = self.bump()?
        {
            line.push(byte);
            is_quoted ^= byte == b'"';
            if !is_quoted && matches!(byte, b'\n' | b'\r') {
                break;
            }
        }
        self.line = first;
        self.ahead.extend(line.iter().rev());
        Ok(line)
    }

    /// Returns the next byte and leaves it there.
    pub(crate) fn peek(&mut self) -> io::Result<Option<u8>> {
        if let Some(byte) = self.ahead.last() {
            return Ok(Some(*byte));
        }
        Ok(self.reader.fill_buf()?.first().copied())
    }

    /// Takes the next byte.
    pub(crate) fn bump(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        if self.ahead.pop().is_none() && byte.is_some() {
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
        while !buffer.ends_with(b"\n")
            && let Some(byte) = self.ahead.pop()
        {
            buffer.push(byte);
        }
        if !buffer.ends_with(b"\n") {
            let limit = (MAX_ROW_BYTES + 1 - buffer.len()) as u64;
            (&mut self.reader).take(limit).read_until(b'\n', buffer)?;
        }
        self.line += u64::from(buffer.ends_with(b"\n"));
        Ok(match buffer.len() {
            0 => Line::End,
            count if count > MAX_ROW_BYTES => Line::TooLong,
            _ => Line::Read,
        })
    }
}
