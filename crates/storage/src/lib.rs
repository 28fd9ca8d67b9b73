//! The storage ports: what llmopt asks of a place that keeps folders, records, logs, messages,
//! rates, answers and budgets.
//!
//! Knows the contract of each port and, behind the feature `conformance`, the one suite of each that
//! every adapter runs. Does not know any technology: no file system layout, no cloud, no database.

mod answer;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod folder;
mod kinds;
mod log;
mod parts;
mod queue;
mod rate;
mod record;
pub mod spend;
mod upload;

pub use answer::{AnswerClaim, AnswerStore, Claimed, KeptAnswer};
pub use error::StorageError;
pub use folder::{FolderStore, StagedFolder, Wanted};
pub use log::{EventLog, LogEntry};
pub use parts::{PART_BYTES, Part, PartPlace, PartPlan, PartRecord, PartStore, PartUpload};
pub use queue::{Delivery, MessageQueue, QueueDepth, Receipt};
pub use rate::RateStore;
pub use record::{Cursor, Listing, Page, Record, RecordStore, Revision, Stored};
pub use spend::SpendStore;
pub use upload::{UploadStore, UploadTarget};
