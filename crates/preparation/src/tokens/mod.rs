//! What a model's tokenizer tells of a dataset: numbers, findings by row, and what to set for training.

mod findings;
mod lengths;
mod report;
mod row;
mod rules;
mod statistics;
mod suggestions;
#[cfg(test)]
mod testing;
mod vocabulary;

pub use lengths::{HistogramBar, TokenLengths};
pub use report::{ModelLimits, TokenOptions, TokenReport, token_report};
pub use rules::{TokenReference, token_references};
pub use statistics::{OverlongRows, TokenMeasurements, TokenStatistics};
pub use suggestions::{SuggestedValue, Suggestion, TrainingEstimate};
pub use vocabulary::VocabularyUse;
