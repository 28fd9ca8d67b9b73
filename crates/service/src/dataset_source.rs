use std::path::PathBuf;

use llmopt_dataset::ReadOptions;
use llmopt_domain::ColumnMap;

/// A dataset's file, and what stands in it for the columns that are recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetSource {
    /// The file.
    pub path: PathBuf,
    /// Its columns, where they have other names.
    pub columns: ColumnMap,
}

impl DatasetSource {
    /// Returns how the file is read.
    pub fn options(&self) -> ReadOptions {
        self.columns.clone().into()
    }
}

impl From<PathBuf> for DatasetSource {
    fn from(path: PathBuf) -> Self {
        Self {
            path,
            columns: ColumnMap::default(),
        }
    }
}
