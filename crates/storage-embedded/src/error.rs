use std::{
    error::Error,
    io::{self, ErrorKind},
};

use llmopt_domain::ObjectKey;
use llmopt_storage::StorageError;

/// Why a change to the store failed, before it is known to which key it belongs.
#[derive(Debug)]
pub(crate) enum Failure {
    Taken,
    Corrupt(String),
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Failure {
    /// Says what failed, at which key.
    pub(crate) fn at(self, operation: &'static str, key: &ObjectKey) -> StorageError {
        match self {
            Self::Taken => StorageError::AlreadyExists { key: key.clone() },
            Self::Corrupt(reason) => StorageError::Corrupt {
                subject: key.to_string(),
                reason,
            },
            Self::Io(error) => io_error(operation, key.as_str())(error),
        }
    }
}

/// What a technology's error means to a caller, where it is not about what is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    NoSpace,
    Unavailable,
    Internal,
}

impl Trouble {
    /// Returns what an I/O error of this kind means.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoSpace,
            ErrorKind::Interrupted
            | ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::ResourceBusy
            | ErrorKind::StaleNetworkFileHandle => Self::Unavailable,
            _ => Self::Internal,
        }
    }

    /// Says what failed, on what, and why.
    pub(crate) fn during(
        self,
        operation: &'static str,
        subject: &str,
        source: impl Error + Send + Sync + 'static,
    ) -> StorageError {
        let (subject, source) = (subject.to_owned(), source.into());
        match self {
            Self::NoSpace => StorageError::NoSpace {
                operation,
                subject,
                source,
            },
            Self::Unavailable => StorageError::Unavailable {
                operation,
                subject,
                source,
            },
            Self::Internal => StorageError::Internal {
                operation,
                subject,
                source,
            },
        }
    }
}

/// Returns a function that says what an I/O error means to a caller.
pub(crate) fn io_error(
    operation: &'static str,
    subject: &str,
) -> impl FnOnce(io::Error) -> StorageError + use<> {
    let subject = subject.to_owned();
    move |error| Trouble::of(error.kind()).during(operation, &subject, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_busy_one_are_told_from_the_rest() {
        let map = |code| io_error("publish", "models/a/1")(io::Error::from_raw_os_error(code));
        // Linux: ENOSPC, EDQUOT, EBUSY, EACCES.
        assert!(matches!(map(28), StorageError::NoSpace { .. }));
        assert!(matches!(map(122), StorageError::NoSpace { .. }));
        assert!(matches!(map(16), StorageError::Unavailable { .. }));
        assert!(matches!(map(13), StorageError::Internal { .. }));
        assert!(map(28).to_string().contains("`models/a/1`"));
    }
}
