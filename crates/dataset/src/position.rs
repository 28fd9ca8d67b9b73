use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How far a file has been read, in bytes as they lie there, for whoever shows progress.
///
/// Clones show the same. Of a Parquet file, whose columns are read beside each other, it is the share of its rows.
#[derive(Clone, Debug, Default)]
pub struct ReadPosition(Arc<AtomicU64>);

impl ReadPosition {
    /// Returns the bytes that were read.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// Returns the reader of a file, whose position this is from now on.
    pub(crate) fn of<R>(&self, file: R) -> Positioned<R> {
        let position = self.clone();
        Positioned {
            file,
            bytes: 0,
            position,
        }
    }
}

/// A file with its position.
pub(crate) struct Positioned<R> {
    file: R,
    bytes: u64,
    position: ReadPosition,
}

impl<R: Read> Read for Positioned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes += count as u64;
        self.position.set(self.bytes);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;
    use crate::{ReadOptions, read_samples_at, testing::File};

    /// The positions after each row of a file, and its size.
    fn positions(file: &File) -> (Vec<u64>, u64) {
        let position = ReadPosition::default();
        let rows = read_samples_at(&file.path, &ReadOptions::default(), &position).unwrap();
        let after = rows.map(|row| row.map(|_| position.bytes()).unwrap());
        (after.collect(), fs::metadata(&file.path).unwrap().len())
    }

    fn assert_read_to_the_end(file: &File) {
        let (after, size) = positions(file);
        assert!(after.is_sorted(), "{after:?}");
        assert!(after[0] < size, "{} of {size}", after[0]);
        assert_eq!(after.last(), Some(&size));
    }

    #[test]
    fn a_position_moves_from_row_to_row_to_the_end_of_the_file() {
        assert_read_to_the_end(&File::with_rows(10_000, ""));
    }

    #[test]
    fn a_position_is_in_the_bytes_of_the_packed_file() {
        let text = fs::read(&File::with_rows(100_000, "").path).unwrap();
        let packed = Vec::new();
        let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        packed.write_all(&text).unwrap();
        assert_read_to_the_end(&File::new("rows.jsonl.gz", &packed.finish().unwrap()));
    }

    #[test]
    fn looking_for_the_encoding_of_a_table_is_not_reading_it() {
        let rows: String = (0..9_000)
            .map(|i| format!("count {i},it is {i}\n"))
            .collect();
        let mut bytes = format!("prompt,response\n{rows}").into_bytes();
        bytes.extend(b"caf\xe9,yes\n");
        assert_read_to_the_end(&File::new("rows.csv", &bytes));
    }
}
