use std::path::Path;

use crate::{DatasetError, reader::Found};

/// The rows of a Parquet file in a build that reads none.
#[derive(Debug)]
pub(crate) enum Records {}

impl Records {
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
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
