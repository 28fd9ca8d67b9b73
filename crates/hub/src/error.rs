use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use hf_hub::HFError;
use thiserror::Error;

/// What the Hub's client said.
type Cause = Box<dyn Error + Send + Sync>;

/// Why a base model was not fetched. What was downloaded so far is kept and resumed.
#[derive(Debug, Error)]
pub enum HubError {
    /// The name cannot be a repository's.
    #[error("`{0}` is no repository: expected `NAME` or `OWNER/NAME`")]
    Repository(String),
    /// The repository or the revision does not exist, or the Hub hides it.
    #[error(
        "`{repository}` at revision `{revision}` was not found on `{endpoint}`: check both names; if the repository is private, set `HF_TOKEN` to a token that may read it"
    )]
    NotFound {
        /// The repository.
        repository: String,
        /// The revision.
        revision: String,
        /// The Hub.
        endpoint: String,
    },
    /// The Hub does not let the caller read the repository.
    #[error(
        "`{endpoint}` does not give access to `{repository}`, which is private or gated: accept its terms on its page and set `HF_TOKEN` to a token that may read it"
    )]
    Gated {
        /// The repository.
        repository: String,
        /// The Hub.
        endpoint: String,
    },
    /// The Hub cannot be reached, or the connection broke again and again.
    #[error(
        "`{endpoint}` cannot be reached: check the network or the Hub's address (`HF_ENDPOINT`), or give the folder of a model that is on this machine; the next try goes on where this one ended"
    )]
    NoNetwork {
        /// The Hub.
        endpoint: String,
        /// What went wrong.
        source: Cause,
    },
    /// The Hub answers, but not with what was asked for.
    #[error(
        "`{endpoint}` gave an unexpected answer: try again later, or check that the address is a Hub's"
    )]
    Answer {
        /// The Hub.
        endpoint: String,
        /// What was unexpected.
        source: Cause,
    },
    /// The disk is full.
    #[error(
        "no space is left to write `{}`: free some, then try again; it goes on where this ended", path.display()
    )]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The cache cannot be read or written.
    #[error("failed to write `{}`: check that the folder is writable", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The weights exist only as pickles, which can run code when they are read.
    #[error(
        "`{repository}` has its weights only as `{file}`, which is never read because such a file can run code: choose a repository or revision with `model.safetensors`"
    )]
    PicklesOnly {
        /// The repository.
        repository: String,
        /// One of the files.
        file: String,
    },
    /// A file that every model needs is not there.
    #[error("`{repository}` has no `{file}`: choose a repository that holds a whole model")]
    Missing {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
    },
    /// A file says what cannot be.
    #[error("`{file}` of `{repository}` is damaged: {reason}")]
    Damaged {
        /// The repository.
        repository: String,
        /// The file.
        file: String,
        /// What is wrong and what to do about it.
        reason: String,
    },
}

impl HubError {
    /// Returns a function that wraps an I/O error on `path`.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path, source }
            }
            _ => Self::File { path, source },
        }
    }
}

/// What is being asked for, to say it in an error.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) repository: String,
    pub(crate) revision: String,
    pub(crate) endpoint: String,
}

impl Subject {
    /// Says what an error of the Hub's client means to a user.
    pub(crate) fn error(&self, error: HFError) -> HubError {
        let endpoint = self.endpoint.clone();
        match &error {
            HFError::RepoNotFound { .. }
            | HFError::RevisionNotFound { .. }
            | HFError::EntryNotFound { .. } => self.not_found(),
            // A Hub answers 401, not 404, for what does not exist where no token is given.
            HFError::AuthRequired { context } | HFError::Forbidden { context }
                if context.error_code.as_deref() == Some("RepoNotFound") =>
            {
                self.not_found()
            }
            HFError::AuthRequired { .. } | HFError::Forbidden { .. } => self.gated(),
            HFError::Http { context } => match context.status.as_u16() {
                401 | 403 => self.gated(),
                404 => self.not_found(),
                _ => self.answer(error),
            },
            HFError::Request { source, .. } if source.is_decode() && !is_broken(source) => {
                self.answer(error)
            }
            HFError::Request { .. } | HFError::Xet { .. } => HubError::NoNetwork {
                endpoint,
                source: error.into(),
            },
            _ => self.answer(error),
        }
    }

    pub(crate) fn silent(&self) -> HubError {
        HubError::NoNetwork {
            endpoint: self.endpoint.clone(),
            source: io::Error::from(io::ErrorKind::TimedOut).into(),
        }
    }

    pub(crate) fn damaged(&self, file: &str, reason: impl Into<String>) -> HubError {
        HubError::Damaged {
            repository: self.repository.clone(),
            file: file.to_owned(),
            reason: reason.into(),
        }
    }

    fn not_found(&self) -> HubError {
        HubError::NotFound {
            repository: self.repository.clone(),
            revision: self.revision.clone(),
            endpoint: self.endpoint.clone(),
        }
    }

    fn gated(&self) -> HubError {
        HubError::Gated {
            repository: self.repository.clone(),
            endpoint: self.endpoint.clone(),
        }
    }

    fn answer(&self, error: HFError) -> HubError {
        HubError::Answer {
            endpoint: self.endpoint.clone(),
            source: error.into(),
        }
    }
}

/// Returns whether a body could not be read because the connection broke, not because of its content.
fn is_broken(error: &dyn Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<io::Error>() || error.to_string().contains("connection") {
            return true;
        }
        source = error.source();
    }
    false
}
