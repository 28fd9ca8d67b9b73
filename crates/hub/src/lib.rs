//! Fetches base models from a Hub into a folder.
//!
//! Knows which of a repository's files llmopt reads, how to resume what was cut off, and what a
//! Hub's refusals mean. Does not know what is in the files, nor the store that models are published
//! to, nor any environment variable.

mod cache;
mod download;
mod error;
mod fetch;
mod progress;
mod selection;

pub use error::HubError;
pub use fetch::{FetchRequest, fetch};
pub use progress::{FetchEvent, Progress};
pub use selection::shard_names;
