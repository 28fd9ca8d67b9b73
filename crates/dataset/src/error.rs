use std::{io, path::PathBuf};

use llmopt_domain::{Finding, LessonKind};
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
    /// What a dataset is made into cannot be written.
    #[error("failed to write what was made of the dataset")]
    Write(#[source] io::Error),
    /// There is something else to learn from the rows than responses.
    #[error(
        "`{}` holds {}, which are no conversations to learn from: write prompt and response of each row",
        path.display(),
        kind.as_str()
    )]
    OtherLesson {
        /// The file.
        path: PathBuf,
        /// What its rows are.
        kind: LessonKind,
    },
    /// Something in the file is wrong.
    #[error("{0}")]
    Content(Box<Finding>),
}
