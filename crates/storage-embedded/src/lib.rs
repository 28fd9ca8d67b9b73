//! The storage ports on one machine's file system: the default of the command line.
//!
//! Knows how a folder becomes visible at once and stays: synced, then renamed to its key below the
//! root. Does not know what the folders hold, nor anything of jobs, models or the network.
//!
//! Below the root, a published folder is one with a `.published.json`; `.staging` holds what is
//! being written or deleted, each entry with a lock that its process holds.

mod disk;
mod error;
mod record;
mod staging;
mod store;

pub use store::FileFolderStore;
