//! Datasets: reads JSONL, JSON and CSV files as streams of rows, recognises their columns, makes each
//! row a conversation, and finds what would make training on them wrong.
//!
//! Reading takes constant memory whatever the file's size; validation adds some hundred bytes for each row. The
//! crate knows nothing of tokens, models or where files are kept.

mod chat;
mod columns;
mod conversations;
mod csv;
mod error;
mod format;
mod json;
mod jsonl;
mod near;
mod pair;
mod problem;
mod reader;
mod report;
mod rules;
mod source;
mod splits;
mod statistics;
mod strict;
mod validate;

#[cfg(test)]
mod testing;

pub use columns::Columns;
pub use conversations::read_conversations;
pub use error::DatasetError;
pub use format::Format;
pub use near::{Cluster, Leak, NearDuplicates, NearPair, Similarity, Sketches, leaks};
pub use reader::{Reader, Row, digest, open};
pub use report::ValidationReport;
pub use rules::{Example, Rule, Totals, rules};
pub use splits::{RowKey, Shares, Split, split};
pub use statistics::{Lengths, Statistics};
pub use validate::{ValidationOptions, validate};
