use std::{io, path::PathBuf};

use llmopt_domain::Finding;
use thiserror::Error;

/// Why a dataset could not be read.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// The file cannot be opened, or reading from it failed.
    #[error("failed to read dataset `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is of a kind that is not read.
    #[error("`{}` is {found}: expected JSONL, JSON, CSV, Parquet or text; {fix}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What the user can do about it.
        fix: &'static str,
    },
    /// Something in the file is wrong.
    #[error("{0}")]
    Content(Box<Finding>),
}
