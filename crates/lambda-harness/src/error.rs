use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What a harness or an invocation failed with.
#[derive(Debug, Error)]
pub enum HarnessError {
    /// There is no loopback port, thread or runtime to be had.
    #[error("failed to start a harness")]
    Start(#[source] io::Error),
    /// A function has no program.
    #[error("function `{name}` has no program at `{program}`", program = program.display())]
    NoProgram {
        /// The function.
        name: String,
        /// Where its program was looked for.
        program: PathBuf,
    },
    /// A route or an invocation names a function that was not given.
    #[error("no function is called `{0}`")]
    UnknownFunction(String),
    /// All processes of a function are busy.
    #[error("function `{0}` has as many invocations as it may")]
    Throttled(String),
    /// An event is larger than Lambda takes.
    #[error("an event of {size_bytes} bytes is above the limit of {limit_bytes}")]
    EventTooLarge {
        /// What it has.
        size_bytes: usize,
        /// What it may have.
        limit_bytes: usize,
    },
    /// The function failed.
    #[error("the function failed")]
    Function(#[from] FunctionError),
    /// The function's answer is not JSON.
    #[error("the function's answer is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// The harness was stopped while it worked.
    #[error("the harness was stopped")]
    Stopped,
}

/// An error of a function, as Lambda tells it: the function's own, or that its process ended.
#[derive(Clone, Debug, Error, PartialEq, Eq, Deserialize, Serialize)]
#[error("{error_type}: {error_message}")]
#[serde(rename_all = "camelCase")]
pub struct FunctionError {
    /// What failed, such as `Runtime.ExitError`.
    #[serde(default)]
    pub error_type: String,
    /// How.
    #[serde(default)]
    pub error_message: String,
    /// What else a runtime sends with it.
    #[serde(flatten)]
    pub details: serde_json::Map<String, serde_json::Value>,
}

impl FunctionError {
    pub(crate) fn new(error_type: &str, message: String) -> Self {
        Self {
            error_type: error_type.to_owned(),
            error_message: message,
            details: serde_json::Map::new(),
        }
    }

    /// Reads what a runtime reports; what is no error document becomes a message.
    pub(crate) fn reported(body: &[u8], error_type: Option<&str>) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| {
            let message = String::from_utf8_lossy(body).into_owned();
            Self::new(error_type.unwrap_or("Runtime.Unknown"), message)
        })
    }

    pub(crate) fn exited(request_id: &str, status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let how = match (status.code(), status.signal()) {
            (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
            (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
            (None, Some(signal)) => {
                format!("Runtime exited with error: signal: {}", signal_name(signal))
            }
            (None, None) => "Runtime exited with error: unknown".to_owned(),
        };
        Self::new(
            "Runtime.ExitError",
            format!("RequestId: {request_id} Error: {how}"),
        )
    }

    pub(crate) fn timed_out(request_id: &str, timeout: Duration) -> Self {
        let seconds = timeout.as_secs_f64();
        let message =
            format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
        Self::new("Sandbox.Timedout", message)
    }

    pub(crate) fn not_started(request_id: &str, error: &io::Error) -> Self {
        let message = format!("RequestId: {request_id} Error: {error}");
        Self::new("Runtime.InvalidEntrypoint", message)
    }

    pub(crate) fn truncated(request_id: &str) -> Self {
        let message = format!("RequestId: {request_id} Error: the answer broke off");
        Self::new("Runtime.TruncatedResponse", message)
    }

    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        let message = format!(
            "Response payload size exceeded maximum allowed payload size ({limit_bytes} bytes)."
        );
        Self::new("Function.ResponseSizeTooLarge", message)
    }

    pub(crate) fn document(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// Names the signals that end a function, in the words of Go's runtime, which Lambda is written in.
fn signal_name(signal: i32) -> String {
    match signal {
        6 => "aborted".to_owned(),
        9 => "killed".to_owned(),
        11 => "segmentation fault".to_owned(),
        15 => "terminated".to_owned(),
        other => format!("signal {other}"),
    }
}
