//! What only a process that keeps running has: metrics as Prometheus reads them, and traces as OpenTelemetry
//! sends them.
//!
//! Knows both formats. Does not know what is measured; no Lambda function links it.

mod models;
mod prometheus;
mod summary;
mod traces;

pub use prometheus::{MetricsError, PrometheusMeter, Reading, TEXT_FORMAT};
pub use traces::{TraceOptions, Traces, TracesError};
