//! What is read, and what is said of files that are broken, through the public interface.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, and so do their helpers; a skipped one says so"
)]

mod broken;
mod broken_text;
mod cases;
mod encodings;
#[cfg(feature = "parquet")]
mod mapped;
mod packed;
#[cfg(feature = "parquet")]
mod parquet_files;
mod suites;
