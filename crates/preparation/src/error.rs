use std::path::PathBuf;

use llmopt_dataset::DatasetError;
use llmopt_tokenization::TokenizationError;
use thiserror::Error;

/// Why a dataset could not be made what a model is trained on.
#[derive(Debug, Error)]
pub enum PreparationError {
    /// The dataset cannot be read, or a row is broken.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A row cannot be rendered or tokenized.
    #[error("`{}`, row {row}: failed to tokenize it", path.display())]
    Row {
        /// The dataset.
        path: PathBuf,
        /// The row, counted from 1.
        row: u64,
        /// What is wrong with it.
        source: TokenizationError,
    },
}
