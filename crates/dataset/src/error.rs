use std::{
    io,
    path::{Path, PathBuf},
};

use llmopt_domain::{Finding, Place, Severity};
use thiserror::Error;

/// Why a dataset cannot be read.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// The file cannot be opened or read.
    #[error("failed to read dataset `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file's format is not known.
    #[error(
        "`{}`: expected a file of JSON lines (.jsonl), a JSON array (.json) or CSV (.csv), found {found}; \
         save it as one of these",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What it begins with.
        found: String,
    },
    /// A row, or the file as a whole, is not what it should be.
    #[error("{0}")]
    Finding(Box<Finding>),
}

/// Returns a function that turns an I/O error at `path` into ours.
pub(crate) fn io_at(path: &Path) -> impl Fn(io::Error) -> DatasetError {
    let path = path.to_owned();
    move |source| DatasetError::Io {
        path: path.clone(),
        source,
    }
}

/// Something wrong with a row before any rule sees it.
#[derive(Debug)]
pub(crate) struct Defect {
    pub(crate) code: &'static str,
    pub(crate) field: Option<String>,
    pub(crate) expected: String,
    pub(crate) found: String,
    pub(crate) fix: &'static str,
}

impl Defect {
    /// Places the defect in a file.
    pub(crate) fn at(self, path: &Path, row: Option<u64>, line: Option<u64>) -> DatasetError {
        let file = path.display().to_string();
        DatasetError::Finding(Box::new(Finding {
            code: self.code.to_owned(),
            severity: Severity::Error,
            place: Place {
                file,
                row,
                line,
                field: self.field,
            },
            expected: self.expected,
            found: self.found,
            fix: self.fix.to_owned(),
        }))
    }
}
