use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read},
};

use crate::{damage::Damage, gzip::Gzip, problem::Problem, zstd::Zstd};

/// A stream of bytes, whatever it comes through.
pub(crate) type Bytes = Box<dyn Read + Send>;

/// What a decoder reads at once.
const BUFFER_BYTES: usize = 1 << 16;

/// What a file's bytes are packed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Gzip (RFC 1952), in one member or several.
    Gzip,
    /// Zstandard (RFC 8878), in one frame or several.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl Compression {
    /// Tells what packed the bytes that begin with `head`; the name of a file tells nothing.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        const SKIPPABLE: std::ops::RangeInclusive<u8> = 0x50..=0x5f;
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [first, 0x2a, 0x4d, 0x18, ..] if SKIPPABLE.contains(first) => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Unpacks `file` where it is packed.
pub(crate) fn unpacked(
    file: impl Read + Send + 'static,
) -> io::Result<(Option<Compression>, Bytes)> {
    let mut packed = BufReader::with_capacity(BUFFER_BYTES, file);
    let compression = Compression::of(packed.fill_buf()?);
    let bytes: Bytes = match compression {
        None => Box::new(packed),
        Some(Compression::Gzip) => Box::new(Gzip::new(packed)),
        Some(Compression::Zstd) => Box::new(Zstd::new(packed)),
    };
    Ok((compression, bytes))
}

/// The file ends within the data.
pub(crate) fn cut_off(kind: Compression) -> Problem {
    Problem::row(
        "broken_compression",
        format!("the rest of the {kind} data"),
        "the end of the file",
        "the file is cut off: make it or send it again",
    )
}

/// The data says something that it cannot say.
pub(crate) fn damaged(kind: Compression, what: impl fmt::Display) -> io::Error {
    Damage::of_row(Problem::row(
        "broken_compression",
        format!("sound {kind} data"),
        format!("damaged data (`{what}`)"),
        "make the file or send it again; nothing after that place was read",
    ))
}

/// The data is whole, and not what was packed.
pub(crate) fn mismatch(kind: Compression) -> io::Error {
    Damage::of_file(Problem::file(
        "broken_compression",
        format!("{kind} data that matches its checksum"),
        "other data (rows of it may be wrong)",
        "make the file or send it again",
    ))
}

/// Something stands behind the data.
pub(crate) fn garbage(kind: Compression) -> io::Error {
    Damage::of_file(Problem::file(
        "broken_compression",
        format!("the end of the file or more {kind} data"),
        format!("bytes that are no {kind} data"),
        "cut the file off there, or compress all of it",
    ))
}
