//! Prepared datasets as files: the rows of a dataset as tokens and labels, in Parquet or as a folder of Arrow that
//! `datasets` opens, and a cache of them by what they were made from.
//!
//! Every row is `input_ids`, `labels` (-100 where a token carries no loss), `attention_mask` (0 for padding) and
//! `row`, its number in the dataset. Messages of weight 0 have no labels, so weights need no column of their own.
//! Files are written in row groups of bounded size under a temporary name, and renamed when they are whole.

mod cache;
mod check;
mod columns;
mod error;
mod manifest;
mod options;
mod output;
mod read;
mod shape;
mod sink;
#[cfg(test)]
mod testing;
mod write;

pub use cache::{Cached, Origin, prepare_training_data};
pub use check::{
    Difference, RowDifference, SampleOfRows, TokenizationReport, validate_tokenization,
};
pub use error::FilesError;
pub use manifest::{FileRecord, Inputs, Manifest, Summary};
pub use options::{LongRows, Padding, PrepareOptions, PreparedFormat};
pub use output::Existing;
pub use read::{Prepared, read_prepared};
pub use shape::PreparedRow;
pub use write::{Preparing, Progress, tokenize_dataset};

pub(crate) use manifest::{records, write_json};
pub(crate) use output::{Staged, check_free};
pub(crate) use write::{Stamp, Watcher};
