//! Datasets: reads JSONL, JSON and CSV files as streams of rows, recognises their columns, makes each
//! row a conversation, and finds what would make training on them wrong.
//!
//! Reading takes constant memory whatever the file's size; validation adds some bytes for each row. The
//! crate knows nothing of tokens, models or where files are kept.

mod chat;
mod columns;
mod conversations;
mod csv;
mod error;
mod format;
mod json;
mod jsonl;
mod pair;
mod preference;
mod problem;
mod reader;
mod repair;
mod report;
mod rules;
mod source;
mod statistics;
mod strict;
mod text;
mod tools;
mod validate;

#[cfg(test)]
mod testing;

pub use columns::Columns;
pub use conversations::{read_conversations, read_samples};
pub use error::DatasetError;
pub use format::Format;
pub use reader::{Reader, Row, digest, open};
pub use repair::{Change, Repair, RepairSummary, repair};
pub use report::{Quality, Recommendation, ValidationReport};
pub use rules::{Example, Reference, Rule, Totals, references, rules};
pub use statistics::{Lengths, Statistics};
pub use validate::{ValidationOptions, validate};
