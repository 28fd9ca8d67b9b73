use std::path::Path;

use crate::{DatasetError, ReadPosition, reader::Found};

/// The rows of a Parquet file in a build that reads none.
#[derive(Debug)]
pub(crate) enum Records {}

impl Records {
    pub(crate) fn open(path: &Path, _: &ReadPosition) -> Result<Self, DatasetError> {
        Err(DatasetError::Unsupported {
            path: path.to_owned(),
            found: "a Parquet file, which this build does not read".to_owned(),
            fix: "build with the feature `parquet`, or convert it to JSONL",
        })
    }

    pub(crate) fn next(&mut self) -> Option<Found> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use crate::{open, testing::File};

    #[test]
    fn a_build_that_reads_no_parquet_says_what_to_do() {
        let error = open(&File::new("a", b"PAR1\x15PAR1").path).unwrap_err();
        assert!(
            error.to_string().contains("the feature `parquet`"),
            "{error}"
        );
    }
}
