//! Datasets: files of rows, what the rows mean, and what is wrong with them.
//!
//! Knows JSONL, JSON and CSV as streams of rows, the column names that people use, and the rules that
//! rows must keep. Does not know tokens, models or where a dataset is stored.

mod columns;
mod conversations;
mod error;
mod json_array;
mod reader;
mod report;
mod rules;
#[cfg(test)]
mod testing;
mod validate;

pub use columns::Shape;
pub use error::DatasetError;
pub use reader::{Format, Reader, Row, open};
pub use report::{Lengths, Statistics, ValidationReport};
pub use rules::{About, Example, Problem, Rule, rules};
pub use validate::{ValidationOptions, digest, read_conversations, validate};
