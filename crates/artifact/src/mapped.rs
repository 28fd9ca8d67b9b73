//! Files mapped into memory: the only `unsafe` code of this crate.

use std::{
    fs::File,
    ops::{Deref, Range},
    path::Path,
};

use memmap2::{Mmap, UncheckedAdvice};

use crate::ArtifactError;

/// A file whose bytes are read from disk when they are looked at, and only then.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// The file must not be changed while it is mapped: published folders never are.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] if the file cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let file = File::open(path).map_err(ArtifactError::io("open", path))?;
        #[expect(unsafe_code, reason = "mapping a file cannot be expressed safely")]
        // SAFETY: the mapping is read-only, and the files of model folders are immutable: they are
        // written under another name, renamed into place and never opened for writing again.
        let map = unsafe { Mmap::map(&file) }.map_err(ArtifactError::io("map", path))?;
        Ok(Self(map))
    }

    /// Drops the resident pages of `range`, so that they no longer count as this process's memory.
    ///
    /// The bytes stay valid; looking at them again reads them from the page cache or disk. A range
    /// beyond the file's end is cut to it, and a system that refuses the advice is not an error.
    pub fn discard_range(&self, range: Range<usize>) {
        let end = range.end.min(self.0.len());
        if range.start >= end {
            return;
        }
        #[expect(
            unsafe_code,
            reason = "the advice is unsafe for mappings that are written to"
        )]
        // SAFETY: the mapping is read-only and backed by a file, so that a dropped page comes back
        // with the same bytes; nothing that a reference points to changes.
        let advised = unsafe {
            self.0
                .unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, end - range.start)
        };
        // Memory that stays resident costs nothing but memory.
        drop(advised);
    }

    /// Drops all resident pages; see [`discard_range`](Self::discard_range).
    pub fn discard(&self) {
        self.discard_range(0..self.0.len());
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_has_the_files_bytes_before_and_after_a_discard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mapped = MappedFile::open(&path).unwrap();
        assert_eq!(&mapped[..], &bytes[..]);
        mapped.discard_range(5_000..20_000);
        mapped.discard_range(399_999..9_999_999);
        assert_eq!(&mapped[..], &bytes[..]);
        mapped.discard();
        assert_eq!(&mapped[..], &bytes[..]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_discarded_range_is_no_longer_resident() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        std::fs::write(&path, vec![1_u8; 32 << 20]).unwrap();
        let mapped = MappedFile::open(&path).unwrap();
        assert_eq!(mapped.iter().filter(|&&byte| byte == 1).count(), 32 << 20);
        let rss_kib = || -> u64 {
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let mapping = maps.split(path.to_str().unwrap()).nth(1).unwrap();
            let line = mapping.lines().find(|line| line.starts_with("Rss:"));
            line.unwrap()
                .split_whitespace()
                .nth(1)
                .unwrap()
                .parse()
                .unwrap()
        };
        assert!(rss_kib() > 30_000, "{} KiB", rss_kib());
        mapped.discard();
        assert!(rss_kib() < 1_000, "{} KiB", rss_kib());
    }

    #[test]
    fn an_empty_file_maps_to_no_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        let mapped = MappedFile::open(&path).unwrap();
        mapped.discard();
        assert!(mapped.is_empty());
    }
}
