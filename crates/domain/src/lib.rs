//! What llmopt talks about: conversations, training configurations, events, findings, identities.
//!
//! Knows the words and their rules. Does not know files, HTTP, tensors or stores: everything here is
//! plain data that every process shares.

mod api_key;
mod column_map;
mod conversation;
mod digest;
mod error_chain;
mod event;
mod finding;
mod format;
mod identity;
mod job;
mod key;
mod money;
mod rate;
mod sample;
mod token_usage;
mod tool_call;
mod training;
mod training_job;
mod uploaded_dataset;

pub use api_key::{ApiKey, KeyLimits, KeyProblem, KeyText, KeyUse, PreviousSecret, Scope};
pub use column_map::{ColumnMap, ColumnMapError};
pub use conversation::{Conversation, Message, Role, Weight};
pub use digest::Digest;
pub use error_chain::error_chain;
pub use event::{EvaluationMetrics, TrainingEvent};
pub use finding::{Finding, Place, Severity};
pub use format::Format;
pub use identity::{IdentityError, ModelId, ModelName};
pub use job::{BaseModel, DatasetFile, EvaluationSpec, JobSpec};
pub use key::ObjectKey;
pub use money::{NoAmount, Picodollars};
pub use rate::{LONGEST_HOLD_US, NoSlot, Rate, Slots};
pub use sample::{Lesson, LessonKind, Sample};
pub use token_usage::TokenUsage;
pub use tool_call::ToolCall;
pub use training::{
    ConfigProblem, LoraConfig, Method, Overlong, Precision, Schedule, TrainingConfig,
};
pub use training_job::{
    BATCH_WORKER, JobClaim, JobEvent, JobEventBody, JobFailure, JobProgress, JobRefusal, JobState,
    StateEvent, TrainingJob,
};
pub use uploaded_dataset::UploadedDataset;
