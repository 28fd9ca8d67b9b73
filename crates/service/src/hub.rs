use std::{error::Error, path::PathBuf};

use async_trait::async_trait;
use thiserror::Error;

use crate::HubRepository;

/// Where base models are published by others.
#[async_trait]
pub trait ModelHub: Send + Sync {
    /// Returns a local folder with the files of `repository`, fetched where they are not here yet.
    ///
    /// # Errors
    /// [`HubFailure::Refused`] where asking for the same again is of no use.
    async fn fetch(&self, repository: &HubRepository) -> Result<PathBuf, HubFailure>;
}

/// Why a Hub gave no model.
#[derive(Debug, Error)]
pub enum HubFailure {
    /// There is no such model, it may not be read, or it has no files that we read.
    #[error(transparent)]
    Refused(Box<dyn Error + Send + Sync>),
    /// The same request may succeed another time.
    #[error(transparent)]
    Failed(Box<dyn Error + Send + Sync>),
}

/// A Hub that has nothing, for those who look only at what is here.
pub struct NoHub;

#[async_trait]
impl ModelHub for NoHub {
    async fn fetch(&self, repository: &HubRepository) -> Result<PathBuf, HubFailure> {
        Err(HubFailure::Refused(
            format!("`{repository}` is not here: import it first").into(),
        ))
    }
}

/// Repositories that everybody knows by one word, and where they lie today.
const WELL_KNOWN: [(&str, &str); 5] = [
    ("gpt2", "openai-community/gpt2"),
    ("gpt2-medium", "openai-community/gpt2-medium"),
    ("gpt2-large", "openai-community/gpt2-large"),
    ("gpt2-xl", "openai-community/gpt2-xl"),
    ("distilgpt2", "distilbert/distilgpt2"),
];

/// Returns the repository that is known as `name`.
pub(crate) fn well_known(name: &str) -> Option<&'static str> {
    let found = WELL_KNOWN.iter().find(|(short, _)| *short == name);
    found.map(|(_, repository)| *repository)
}
