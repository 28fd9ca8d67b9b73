use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read as _},
};

use crate::{
    compression::Bytes,
    damage::Damage,
    problem::{Problem, Scope},
};

/// The largest row in bytes. Without a limit, one quote that is never closed would load the whole file.
pub(crate) const MAX_ROW_BYTES: usize = 16 << 20;

/// What is taken from a stream at once.
const BUFFER_BYTES: usize = 1 << 16;

/// As much as tells what a file is.
const HEAD_BYTES: usize = 1 << 16;

/// A file's text after the blank lines at its beginning, with the number of the line that comes next.
pub(crate) struct Source {
    reader: BufReader<Bytes>,
    /// Bytes that were looked at and come next, the last first.
    ahead: Vec<u8>,
    /// What reading what comes behind `ahead` came to.
    failure: Option<io::Error>,
    /// Damage that takes no row away, where the text ends.
    damage: Option<Problem>,
    line: u64,
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Source");
        shown.field("line", &self.line).finish_non_exhaustive()
    }
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
    /// Reads `text`, which has no byte order mark.
    pub(crate) fn new(text: Bytes) -> io::Result<Self> {
        let mut source = Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, text),
            ahead: Vec::new(),
            failure: None,
            damage: None,
            line: 1,
        };
        let skipped = source.skip_blank_lines();
        source.keep_damage(skipped)?;
        Ok(source)
    }

    fn skip_blank_lines(&mut self) -> io::Result<()> {
        while let Some(byte @ (b'\n' | b'\r')) = self.peek()? {
            self.bump()?;
            self.end_line(byte)?;
        }
        Ok(())
    }

    /// Leaves damage for whoever comes to that place.
    fn keep_damage(&mut self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if Damage::is(&error) => {
                self.failure = Some(error);
                Ok(())
            }
            result => result,
        }
    }

    /// Tells whether reading fails where what was looked at ends.
    pub(crate) fn is_damaged(&self) -> bool {
        self.failure.is_some()
    }

    /// Returns the damage at the end of the text that takes no row away.
    pub(crate) fn take_damage(&mut self) -> Option<Problem> {
        self.damage.take()
    }

    /// Returns the line that the next byte is on, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Returns the bytes that come next, as many as tell what the file is, and leaves them there; none at the
    /// end. The same bytes, whatever the system reads at once.
    pub(crate) fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut count = 0;
        self.look(|_| {
            count += 1;
            count < HEAD_BYTES
        })
    }

    /// Returns the next line of a table and leaves it there: up to a line end outside quotes, or as much as a
    /// row may have.
    pub(crate) fn table_line(&mut self) -> io::Result<Vec<u8>> {
        let (mut count, mut is_quoted) = (0, false);
        self.look(|byte| {
            count += 1;
            is_quoted ^= byte == b'"';
            count < MAX_ROW_BYTES && (is_quoted || !matches!(byte, b'\n' | b'\r'))
        })
    }

    /// Returns the bytes that come next, up to the first of which `goes_on` says no, and leaves them there.
    fn look(&mut self, mut goes_on: impl FnMut(u8) -> bool) -> io::Result<Vec<u8>> {
        let (first, mut seen) = (self.line, Vec::new());
        let looked = loop {
            match self.bump() {
                Ok(Some(byte)) => seen.push(byte),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            if !seen.last().is_some_and(|&byte| goes_on(byte)) {
                break Ok(());
            }
        };
        self.line = first;
        self.ahead.extend(seen.iter().rev());
        self.keep_damage(looked)?;
        Ok(seen)
    }

    /// Returns the next byte and leaves it there.
    pub(crate) fn peek(&mut self) -> io::Result<Option<u8>> {
        if let Some(byte) = self.ahead.last() {
            return Ok(Some(*byte));
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        match self.reader.fill_buf() {
            Ok(bytes) => Ok(bytes.first().copied()),
            Err(error) => self.end(error).map(|()| None),
        }
    }

    /// Ends the text at damage that takes no row away.
    fn end(&mut self, error: io::Error) -> io::Result<()> {
        match error.downcast::<Damage>() {
            Ok(Damage(problem)) if problem.scope == Scope::File => {
                self.damage = Some(problem);
                Ok(())
            }
            Ok(damage) => Err(io::Error::other(damage)),
            Err(error) => Err(error),
        }
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

    /// Counts the line that ends with `byte`, which was taken, where that is a carriage return alone. Only tables
    /// and plain text have such lines.
    pub(crate) fn count_line(&mut self, byte: u8) -> io::Result<()> {
        if byte == b'\r' && self.peek()? != Some(b'\n') {
            self.line += 1;
        }
        Ok(())
    }

    /// Ends the line that ends with `byte`, which was taken, and takes the line feed that belongs to it.
    pub(crate) fn end_line(&mut self, byte: u8) -> io::Result<()> {
        self.count_line(byte)?;
        if byte == b'\r' && self.peek()? == Some(b'\n') {
            self.bump()?;
        }
        Ok(())
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
            self.read_rest_of_line(buffer)?;
        }
        self.line += u64::from(buffer.ends_with(b"\n"));
        Ok(match buffer.len() {
            0 => Line::End,
            count if count > MAX_ROW_BYTES => Line::TooLong,
            _ => Line::Read,
        })
    }
    fn read_rest_of_line(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let limit = (MAX_ROW_BYTES + 1 - buffer.len()) as u64;
        let mut reader = (&mut self.reader).take(limit);
        match reader.read_until(b'\n', buffer) {
            Ok(_) => Ok(()),
            Err(error) => self.end(error),
        }
    }
}
