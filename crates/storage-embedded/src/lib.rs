//! The storage ports on one machine, in files and SQLite: the default of the command line.
//!
//! Knows how a folder becomes visible at once and stays (synced, then renamed to its key below the
//! root), and how records, logs and messages lie in one database. Does not know what any of them hold,
//! nor anything of jobs, models or the network.
//!
//! Below the root, a published folder is one with a `.published.json`; `.staging` holds what is
//! being written or deleted, each entry with a lock that its process holds; `.uploads` holds the parts of
//! files that have not all come.

mod answers;
mod database;
mod desk;
mod disk;
mod error;
mod flush;
mod log;
mod parts;
mod queue;
mod rates;
mod record;
mod records;
mod spending;
mod staging;
mod store;
mod worker;

pub use answers::SqliteAnswerStore;
pub use database::{Database, Synchronous};
pub use log::SqliteEventLog;
pub use parts::FilePartStore;
pub use queue::SqliteMessageQueue;
pub use rates::SqliteRateStore;
pub use records::SqliteRecordStore;
pub use spending::SqliteSpendStore;
pub use store::FileFolderStore;
