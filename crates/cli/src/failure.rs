use std::{fmt, process::ExitCode};

use llmopt_dataset::ValidationReport;
use llmopt_domain::{Severity, error_chain};
use llmopt_service::ServiceError;

/// Why a command did not succeed, as the user reads it, and the exit code that says so.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something went wrong that the same input might survive: exit code 1.
    Failed(Explanation),
    /// The input must change: exit code 2.
    Input(Explanation),
    /// The user stopped it: exit code 130.
    Interrupted(Explanation),
    /// The output, or another process on standard error, has already said why: only the exit code is
    /// passed on.
    Reported(u8),
}

/// What went wrong, and what to do next.
#[derive(Debug)]
pub(crate) struct Explanation {
    message: String,
    next: Option<String>,
}

const FAILED: u8 = 1;
const INPUT: u8 = 2;
const INTERRUPTED: u8 = 130;

impl Failure {
    /// A failure that the same input might survive.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(Explanation::new(message))
    }

    /// A failure that only other input mends.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::Input(Explanation::new(message))
    }

    /// The end of a command that the user stopped.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::Interrupted(Explanation::new(message))
    }

    /// A failure of input that the command's own output has explained.
    pub(crate) fn reported_input() -> Self {
        Self::Reported(INPUT)
    }

    /// Adds what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        if let Self::Failed(it) | Self::Input(it) | Self::Interrupted(it) = &mut self {
            it.next = Some(next.into());
        }
        self
    }

    /// A failure of input with everything that `error` and its sources say.
    pub(crate) fn input_from(error: &dyn std::error::Error) -> Self {
        Self::input(error_chain(error))
    }

    /// A failure with everything that `error` and its sources say.
    pub(crate) fn failed_from(error: &dyn std::error::Error) -> Self {
        Self::failed(error_chain(error))
    }

    /// Returns the process's exit code.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => FAILED,
            Self::Input(_) => INPUT,
            Self::Interrupted(_) => INTERRUPTED,
            Self::Reported(code) => *code,
        })
    }
}

impl Explanation {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            next: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, explanation) = match self {
            Self::Failed(explanation) | Self::Input(explanation) => ("error", explanation),
            Self::Interrupted(explanation) => ("interrupted", explanation),
            Self::Reported(_) => return Ok(()),
        };
        writeln!(formatter, "{label}: {}", explanation.message)?;
        if let Some(next) = &explanation.next {
            writeln!(formatter, "  next: {next}")?;
        }
        Ok(())
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        if let ServiceError::Findings { report } = &error {
            return findings(report);
        }
        let failure = if error.is_input() {
            Self::input_from(&error)
        } else {
            Self::failed_from(&error)
        };
        match error.next_step() {
            Some(next) => failure.next(next),
            None => failure,
        }
    }
}

/// Says every error of a dataset, so that all can be mended at once.
fn findings(report: &ValidationReport) -> Failure {
    let errors = report
        .findings
        .iter()
        .filter(|it| it.severity == Severity::Error);
    let lines: Vec<String> = errors.map(|finding| format!("\n  {finding}")).collect();
    let message = format!(
        "`{}` is not fit to train on:{}",
        report.file,
        lines.concat()
    );
    let next = format!(
        "mend these rows; `llmopt dataset validate {}` shows everything",
        report.file
    );
    Failure::input(message).next(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_is_followed_by_what_to_do_next() {
        let failure = Failure::input("`x` is no model").next("llmopt models list");
        assert_eq!(
            failure.to_string(),
            "error: `x` is no model\n  next: llmopt models list\n"
        );
    }
}
