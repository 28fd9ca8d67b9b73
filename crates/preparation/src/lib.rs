//! Makes a dataset what a model is trained on: rows as tokens with the mask of what carries loss.
//!
//! Reads and tokenizes on all cores, in constant memory, and hands the rows over in their order; counts them, and
//! finds what only a model's tokenizer tells of them. Does not know what becomes of them: whether they are shown or
//! trained on.

mod encode;
mod error;
mod tokens;

pub use encode::{EncodedRow, encode_rows};
pub use error::PreparationError;
pub use tokens::{
    HistogramBar, ModelLimits, OverlongRows, SuggestedValue, Suggestion, TokenLengths,
    TokenMeasurements, TokenOptions, TokenReference, TokenReport, TokenStatistics,
    TrainingEstimate, VocabularyUse, token_references, token_report,
};
