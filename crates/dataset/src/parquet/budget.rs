use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use parquet::errors::ParquetError;

use crate::{damage::Damage, problem::Problem};

/// How many bytes of pages all columns of a file may hold at a time. Writers make pages of about 1 MiB unless they
/// are told otherwise, and DuckDB up to 100 MiB.
pub(super) const MOST_BYTES: usize = 256 << 20;

/// What the columns of one file hold together, whatever the file says of their sizes.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget {
    held: Arc<AtomicUsize>,
}

impl Budget {
    /// Returns how many bytes more may be held.
    pub(super) fn left(&self) -> usize {
        MOST_BYTES.saturating_sub(self.held.load(Relaxed))
    }

    /// Takes `size` bytes, until what is returned is dropped.
    pub(super) fn take(&self, size: usize) -> Result<Share, ParquetError> {
        if size > self.left() {
            return Err(too_large());
        }
        self.held.fetch_add(size, Relaxed);
        Ok(Share {
            held: Arc::clone(&self.held),
            size,
        })
    }
}

/// A part of a budget.
#[derive(Debug)]
pub(super) struct Share {
    held: Arc<AtomicUsize>,
    size: usize,
}

impl Share {
    /// Makes `bytes` what this was taken for: it is given back with the last of them.
    pub(super) fn of(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(Held {
            bytes,
            _share: self,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.size, Relaxed);
    }
}

struct Held<B> {
    bytes: B,
    _share: Share,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Held<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// Says that a file's pages are larger than what is held of one.
pub(super) fn too_large() -> ParquetError {
    let size = format!("{} MiB", MOST_BYTES >> 20);
    let problem = Problem::row(
        "broken_parquet",
        format!("columns whose pages take at most {size} together"),
        "larger ones",
        "write the file with smaller pages or row groups, or as JSONL",
    );
    ParquetError::External(Box::new(Damage(problem)))
}
