use std::time::Duration;

use llmopt_providers::{ModelList, ProviderError};

use crate::Commercial;

/// What became of asking a provider for its models.
#[derive(Debug)]
pub struct Probe {
    /// The provider.
    pub provider: String,
    /// What it said.
    pub outcome: Result<ModelList, ProviderError>,
}

/// How a provider has done lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitStatus {
    /// The provider.
    pub provider: String,
    /// Whether it is asked.
    pub circuit: Circuit,
}

/// Whether a provider is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// It is.
    Closed,
    /// It failed again and again and is left alone.
    Open {
        /// For how long.
        retry_after: Duration,
    },
    /// It was left alone, and one request goes to see how it is.
    Trying,
}

impl Commercial {
    /// Asks every provider for its models at once, which costs nothing.
    pub async fn probe(&self, timeout: Duration) -> Vec<Probe> {
        todo!()
    }

    /// Returns how the providers have done lately, as this process saw it.
    pub fn circuits(&self) -> Vec<CircuitStatus> {
        todo!()
    }
}
