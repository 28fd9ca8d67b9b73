use std::{io, num::NonZeroUsize, path::PathBuf};

use llmopt_tokenization::TokenizationError;
use thiserror::Error;

use crate::PreparationError;

/// Why a prepared dataset could not be written or read.
#[derive(Debug, Error)]
pub enum FilesError {
    /// The dataset cannot be read, or a row cannot be tokenized.
    #[error(transparent)]
    Preparation(#[from] PreparationError),
    /// The tokenizer cannot be saved, which its digests are taken of.
    #[error("failed to take the digests of the tokenizer")]
    Tokenizer(#[source] TokenizationError),
    /// Rows are to be filled up to a length that is not given.
    #[error(
        "rows are to be padded to the longest that is allowed: expected a length, found none; name a longest row"
    )]
    NoMaxLength,
    /// The longest row would be filled up to more than is allowed.
    #[error(
        "the longest row is `{max_length}` tokens: expected a multiple of {multiple}, to which rows are padded"
    )]
    NotAMultiple {
        /// Longest row in tokens.
        max_length: NonZeroUsize,
        /// What rows are padded to a multiple of.
        multiple: NonZeroUsize,
    },
    /// Rows are longer than allowed.
    #[error(
        "`{}`, {}: expected at most {limit} tokens, found up to {longest}; shorten them, allow more, or have them dropped or truncated",
        path.display(), rows_text(.rows)
    )]
    Overlong {
        /// The dataset.
        path: PathBuf,
        /// The rows, counted from 1.
        rows: Vec<u64>,
        /// The limit in tokens.
        limit: usize,
        /// The longest row in tokens.
        longest: usize,
    },
    /// Rows have no token with loss, or there are none.
    #[error(
        "`{}`, {}: expected something to learn from, found no token with loss; leave these rows out, or give a response a weight of 1",
        path.display(), rows_text(.rows)
    )]
    NothingToLearn {
        /// The dataset.
        path: PathBuf,
        /// The rows, counted from 1; all of them where empty.
        rows: Vec<u64>,
    },
    /// The dataset became another while it was read.
    #[error("`{}` was changed while it was read: prepare it again", path.display())]
    DatasetChanged {
        /// The dataset.
        path: PathBuf,
    },
    /// Something is where the files should be.
    #[error("`{}` exists: name another place", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// What is to be replaced is something else.
    #[error("`{}` is no prepared dataset, and is not replaced: name another place", path.display())]
    NotPrepared {
        /// The place.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system or the library said.
        source: io::Error,
    },
    /// Files are not as they were written.
    #[error("`{}` is damaged: {what}; prepare the dataset again", path.display())]
    Damaged {
        /// The prepared dataset.
        path: PathBuf,
        /// What is not as it was.
        what: String,
    },
    /// There are too few rows for a split that has a share.
    #[error("`{}` leaves no row of {rows} for `{split}`: add rows, or give it a larger share", path.display())]
    EmptySplit {
        /// The dataset.
        path: PathBuf,
        /// The split.
        split: &'static str,
        /// The rows of the dataset.
        rows: u64,
    },
    /// Whoever watches the progress wanted no more.
    #[error("the preparation was stopped; nothing was kept")]
    Stopped,
}

impl FilesError {
    pub(crate) fn write(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        Self::Write { path, source }
    }

    pub(crate) fn read(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        Self::Read { path, source }
    }
}

fn rows_text(rows: &[u64]) -> String {
    const NAMED: usize = 10;
    let named: Vec<String> = rows.iter().take(NAMED).map(u64::to_string).collect();
    let named = named.join(", ");
    match rows.len() {
        0 => "all rows".to_owned(),
        1 => format!("row {named}"),
        count if count > NAMED => format!("rows {named} and {} more", count - NAMED),
        _ => format!("rows {named}"),
    }
}
