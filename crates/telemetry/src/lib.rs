//! What is measured: the names, units and labels of all metrics, the port that takes measurements, and the one
//! adapter that fits into a Lambda function.
//!
//! Knows what a metric is called wherever it is shown; `docs/LOGGING.md` has the table of them, generated from
//! here. Does not know who measures, nor how anything is shown by a process that keeps running.

mod emf;
pub mod labels;
mod meter;
mod metric;
pub mod metrics;
#[cfg(test)]
mod reference;

pub use emf::{EmfDetail, EmfMeter};
pub use meter::{
    AnswerEnd, AnswerUse, Latency, Meter, RefusalScope, RequestEnd, RequestSummary, Unmetered,
};
pub use metric::{Kind, Metric, Unit};

/// The target of every span that may leave the process as a trace. What has it carries no text of users.
pub const TRACES: &str = "llmopt::trace";
/// Who answers with the models that are here, as traces and metrics call it.
pub const PROVIDER: &str = "llmopt";
/// What is done when a model answers.
pub const CHAT: &str = "chat";
