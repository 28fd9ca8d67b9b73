use std::io::Read;

use bytes::Bytes;
use parquet::{basic::Compression, errors::ParquetError};

use super::budget::{Budget, too_large};
use crate::{gzip::Gzip, zstd::Zstd};

/// How a column's pages are packed.
///
/// They are unpacked here and not by the library, which unpacks whatever comes of a page before it looks at how
/// much that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Snappy,
    Gzip,
    Zstd,
    /// Blocks without a frame; the codec that is called `LZ4` has one, and is deprecated.
    Lz4Raw,
}

impl Packing {
    pub(super) fn of(codec: Compression) -> Option<Self> {
        Some(match codec {
            Compression::UNCOMPRESSED => Self::None,
            Compression::SNAPPY => Self::Snappy,
            Compression::GZIP(_) => Self::Gzip,
            Compression::ZSTD(_) => Self::Zstd,
            Compression::LZ4_RAW => Self::Lz4Raw,
            Compression::LZO | Compression::BROTLI(_) | Compression::LZ4 => return None,
        })
    }

    /// Returns what `packed` stands for, if `budget` has room for it.
    pub(super) fn unpack(self, packed: &Bytes, budget: &Budget) -> Result<Bytes, ParquetError> {
        if packed.is_empty() {
            return Ok(Bytes::new());
        }
        match self {
            Self::None => Ok(packed.clone()),
            Self::Gzip => drained(Gzip::new(&packed[..]), budget),
            Self::Zstd => drained(Zstd::new(&packed[..]), budget),
            Self::Snappy => {
                let size = snap::raw::decompress_len(packed).map_err(broken)?;
                filled(size, budget, |out| {
                    let count = snap::raw::Decoder::new().decompress(packed, out);
                    count.map_err(broken)
                })
            }
            Self::Lz4Raw => {
                let size =
                    lz4_size(packed).ok_or_else(|| broken("an LZ4 block that is cut off"))?;
                filled(size, budget, |out| {
                    lz4_flex::block::decompress_into(packed, out).map_err(broken)
                })
            }
        }
    }
}

/// Reads all that comes, and no more than there is room for.
fn drained(unpacked: impl Read, budget: &Budget) -> Result<Bytes, ParquetError> {
    let most = budget.left();
    let mut bytes = Vec::new();
    let mut unpacked = unpacked.take(most as u64 + 1);
    unpacked.read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() > most {
        return Err(too_large());
    }
    Ok(budget.take(bytes.len())?.of(bytes))
}

/// Has `size` bytes filled.
fn filled(
    size: usize,
    budget: &Budget,
    fill: impl FnOnce(&mut [u8]) -> Result<usize, ParquetError>,
) -> Result<Bytes, ParquetError> {
    let share = budget.take(size)?;
    let mut bytes = vec![0; size];
    if fill(&mut bytes)? != size {
        return Err(broken("a page of another size"));
    }
    Ok(share.of(bytes))
}

fn broken(what: impl ToString) -> ParquetError {
    ParquetError::General(what.to_string())
}

/// Returns how many bytes an LZ4 block unpacks to, which only its lengths tell: a sequence has literals, and but for
/// the last one an offset and the length of a match (LZ4 block format description, "Compressed block format").
fn lz4_size(mut packed: &[u8]) -> Option<usize> {
    const OFFSET_BYTES: usize = 2;
    const SHORTEST_MATCH: usize = 4;
    let mut size = 0_usize;
    loop {
        let token = lz4_byte(&mut packed)?;
        let literals = lz4_length(token >> 4, &mut packed)?;
        packed = packed.get(literals..)?;
        size = size.checked_add(literals)?;
        if packed.is_empty() {
            return Some(size);
        }
        packed = packed.get(OFFSET_BYTES..)?;
        let repeated = lz4_length(token & 0xf, &mut packed)?;
        size = size.checked_add(repeated)?.checked_add(SHORTEST_MATCH)?;
    }
}

/// Reads the rest of a length that does not fit into its half of the token.
fn lz4_length(half: u8, packed: &mut &[u8]) -> Option<usize> {
    let mut length = usize::from(half);
    if half < 0xf {
        return Some(length);
    }
    loop {
        let byte = lz4_byte(packed)?;
        length = length.checked_add(usize::from(byte))?;
        if byte < 0xff {
            return Some(length);
        }
    }
}

fn lz4_byte(packed: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = packed.split_first()?;
    *packed = rest;
    Some(*byte)
}

#[cfg(test)]
mod tests {
    use super::{super::budget::MOST_BYTES, *};

    fn unpacked(packing: Packing, packed: &[u8]) -> Result<Bytes, ParquetError> {
        packing.unpack(&Bytes::copy_from_slice(packed), &Budget::default())
    }

    #[test]
    fn the_size_of_an_lz4_block_is_what_it_unpacks_to() {
        let mut random = fastrand::Rng::with_seed(1);
        for length in [1, 4, 14, 15, 16, 269, 270, 271, 5000, 200_000] {
            // Few different bytes make matches of every length.
            let bytes: Vec<u8> = (0..length)
                .map(|at| random.u8(0..2) * (at % 7) as u8)
                .collect();
            for bytes in [bytes, vec![7; length]] {
                let packed = lz4_flex::block::compress(&bytes);
                assert_eq!(lz4_size(&packed), Some(length));
                assert_eq!(unpacked(Packing::Lz4Raw, &packed).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn a_page_that_is_cut_off_is_not_taken_for_the_whole() {
        let bytes = b"one two one two one two".repeat(20);
        let lz4 = lz4_flex::block::compress(&bytes);
        let snappy = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        for (packing, packed) in [(Packing::Lz4Raw, lz4), (Packing::Snappy, snappy)] {
            for length in 1..packed.len() {
                // A block of LZ4 does not say how long it is; that values are missing is seen later.
                let is_shorter =
                    |page: Bytes| packing == Packing::Lz4Raw && page.len() < bytes.len();
                let cut = unpacked(packing, &packed[..length]);
                assert!(
                    cut.map_or(true, is_shorter),
                    "{packing:?} of {length} bytes"
                );
            }
        }
    }

    #[test]
    fn what_is_held_is_given_back_with_the_last_of_its_bytes() {
        let budget = Budget::default();
        let packed = Bytes::from(lz4_flex::block::compress(&[7; 1000]));
        let page = Packing::Lz4Raw.unpack(&packed, &budget).unwrap();
        let value = page.slice(990..);
        drop(page);
        assert_eq!(budget.left(), MOST_BYTES - 1000);
        drop(value);
        assert_eq!(budget.left(), MOST_BYTES);
    }
}
