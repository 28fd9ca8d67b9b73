use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::Path,
};

use crate::{
    Compression, Encoding, ReadPosition,
    compression::{Bytes, unpacked},
    source::Source,
};

/// The longest byte order mark, with what tells it from a longer one.
const MARK_BYTES: u64 = 4;

/// A file that was opened, and what lies around its text.
pub(crate) struct Layers {
    pub(crate) compression: Option<Compression>,
    /// The encoding, where a byte order mark tells it.
    pub(crate) encoding: Option<Encoding>,
    /// The unpacked bytes behind the mark.
    pub(crate) bytes: Bytes,
}

impl Layers {
    /// Opens the file at `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::open_at(path, &ReadPosition::default())
    }

    /// As [`Self::open`], and `position` tells how far it is read.
    pub(crate) fn open_at(path: &Path, position: &ReadPosition) -> io::Result<Self> {
        let (compression, bytes) = unpacked(position.of(File::open(path)?))?;
        let (mut head, failure, rest) = beginning(bytes);
        let mark = Encoding::of_mark(&head);
        head.drain(..mark.map_or(0, |(_, length)| length));
        Ok(Self {
            compression,
            encoding: mark.map(|(encoding, _)| encoding),
            bytes: Box::new(Cursor::new(head).chain(failure).chain(rest)),
        })
    }

    /// Reads the text in `encoding`.
    pub(crate) fn text(self, encoding: Encoding) -> io::Result<Source> {
        Source::new(encoding.decoded(self.bytes))
    }
}

/// Takes as many bytes as a byte order mark may have, as far as there are any.
fn beginning(mut bytes: Bytes) -> (Vec<u8>, Failure, Bytes) {
    let mut head = Vec::new();
    let read = (&mut bytes).take(MARK_BYTES).read_to_end(&mut head);
    (head, Failure(read.err()), bytes)
}

/// Fails once, or never.
struct Failure(Option<io::Error>);

impl Read for Failure {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
