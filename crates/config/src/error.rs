use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Where a variable was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The environment of the process.
    Process,
    /// This line of `.env`, counted from 1.
    DotEnv {
        /// The line.
        line: usize,
    },
    /// The table of defaults.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => formatter.write_str("in the environment"),
            Self::DotEnv { line } => write!(formatter, "in `.env`, line {line}"),
            Self::Default => formatter.write_str("by default"),
        }
    }
}

/// Why the settings cannot be used. No message holds the value of a secret.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A variable with our prefix that nothing reads.
    #[error(
        "unknown variable `{name}` {origin}; {}",
        match suggestion {
            Some(known) => format!("did you mean `{known}`?"),
            None => "remove it; docs/CONFIGURATION.md lists all variables".to_owned(),
        }
    )]
    Unknown {
        /// The variable's name.
        name: String,
        /// Where it was set.
        origin: Origin,
        /// The known name nearest to it.
        suggestion: Option<&'static str>,
    },
    /// A value that does not have the variable's type.
    #[error("`{name}` {origin}: expected {expected}, found {found}; {fix}")]
    Invalid {
        /// The variable's name.
        name: &'static str,
        /// Where it was set.
        origin: Origin,
        /// What the variable takes.
        expected: String,
        /// What it was set to.
        found: String,
        /// What to do about it.
        fix: String,
    },
    /// A variable that this process cannot do without.
    #[error(
        "`{name}` is not set: set it to {kind}, such as `{example}`; the outputs of template.yaml say what it is"
    )]
    Missing {
        /// The variable's name.
        name: &'static str,
        /// What it takes.
        kind: &'static str,
        /// A value that it could have.
        example: &'static str,
    },
    /// A line of `.env` that is not an assignment.
    #[error("`.env`, line {line}: expected {expected}, found {found}; {fix}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// What was expected there.
        expected: &'static str,
        /// What was found; never the text of the line, which may hold a secret.
        found: String,
        /// What to do about it.
        fix: &'static str,
    },
    /// A `.env` that exists but cannot be read.
    #[error("failed to read `{}`; make it a readable UTF-8 text file, or remove it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Logs were set up before.
    #[error(
        "failed to set up logs: they were set up before in this process; do it once, in `main`"
    )]
    LogsAlreadySetUp,
}
