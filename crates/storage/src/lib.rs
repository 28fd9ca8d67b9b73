//! The storage ports: what llmopt asks of a place that keeps folders.
//!
//! Knows the contract of a [`FolderStore`] and, behind the feature `conformance`, the one suite that
//! every adapter runs. Does not know any technology: no file system layout, no cloud, no database.

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod folder;

pub use error::StorageError;
pub use folder::{FolderStore, StagedFolder};
