//! Makes a dataset what a model is trained on: rows as tokens with the mask of what carries loss, batches of them,
//! and files that other programs train from.
//!
//! Reads and tokenizes on all cores, in constant memory, and hands the rows over in their order; counts them, and
//! finds what only a model's tokenizer tells of them. Does not know models, tensors or what is learnt from a batch.

mod collate;
mod encode;
mod error;
#[cfg(feature = "files")]
mod prepared;
#[cfg(feature = "files")]
mod splits;
mod tokens;

pub use collate::{Batch, BatchError, BatchPlan, BatchSize, Collator, NO_LOSS};
pub use encode::{EncodedRow, encode_rows};
pub use error::PreparationError;
#[cfg(feature = "files")]
pub use prepared::{
    Cached, Difference, Existing, FileRecord, FilesError, Inputs, LongRows, Manifest, Origin,
    Padding, PrepareOptions, Prepared, PreparedFormat, PreparedRow, Preparing, Progress,
    RowDifference, SampleOfRows, Summary, TokenizationReport, prepare_training_data, read_prepared,
    tokenize_dataset, validate_tokenization,
};
#[cfg(feature = "files")]
pub use splits::{
    FoundLeak, LeakReport, SplitFile, SplitReport, SplitShares, Splitting, find_leaks,
    split_dataset,
};
pub use tokens::{
    HistogramBar, ModelLimits, OverlongRows, SuggestedValue, Suggestion, TokenLengths,
    TokenMeasurements, TokenOptions, TokenReference, TokenReport, TokenStatistics,
    TrainingEstimate, VocabularyUse, token_references, token_report,
};
