//! Datasets: reads JSONL, JSON, CSV, Parquet and text files, packed or not, as streams of rows, recognises
//! their columns, makes each row a conversation, and finds what would make training on them wrong.
//!
//! Reading takes constant memory whatever the file's size and whatever it unpacks to; validation adds some hundred
//! bytes for each row. The crate knows nothing of tokens, models or where files are kept.

mod chat;
mod columns;
mod compression;
mod conversations;
mod csv;
mod damage;
mod decoded;
mod encoding;
mod error;
mod foreign;
mod format;
mod guard;
mod gzip;
mod json;
mod jsonl;
mod layers;
mod mapping;
mod near;
mod pair;
#[cfg_attr(not(feature = "parquet"), path = "parquet_absent.rs")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_value;
mod plain_text;
mod position;
mod preference;
mod problem;
mod reader;
mod recognition;
mod repair;
mod report;
mod rules;
mod source;
mod spelling;
mod splits;
mod statistics;
mod strict;
mod text;
mod tools;
mod utf16;
mod validate;
mod windows1252;
mod zstd;

#[cfg(test)]
mod testing;

pub use columns::Columns;
pub use compression::Compression;
pub use conversations::{read_conversations, read_samples, read_samples_at};
pub use encoding::Encoding;
pub use error::DatasetError;
pub use format::Format;
pub use llmopt_domain::{ColumnMap, ColumnMapError};
pub use mapping::FileColumns;
pub use near::{Cluster, Leak, NearDuplicates, NearPair, Similarity, Sketches, leaks};
pub use plain_text::TextRows;
pub use position::ReadPosition;
pub use reader::{ReadOptions, Reader, Row, digest, open, open_with};
pub use repair::{Change, Repair, RepairSummary, repair};
pub use report::{Quality, Recommendation, ValidationReport, suggested_epochs, suggested_held_out};
pub use rules::{Example, Reference, Rule, Totals, references, rules};
pub use splits::{RowKey, Shares, Split, split};
pub use statistics::{Lengths, Statistics};
pub use validate::{Comparison, ValidationOptions, validate};
