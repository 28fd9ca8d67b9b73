use std::time::{Duration, Instant};

use futures::future::join_all;
use llmopt_providers::{Circuit, ModelList, ProviderError};

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

impl Commercial {
    /// Asks every provider for its models at once, which costs nothing.
    pub async fn probe(&self, timeout: Duration) -> Vec<Probe> {
        let probes = self.inner.providers.iter().map(|it| async move {
            Probe {
                provider: it.setup.name.clone(),
                outcome: it.setup.client.list_models(timeout).await,
            }
        });
        join_all(probes).await
    }

    /// Returns how the providers have done lately, as this process saw it.
    pub fn circuits(&self) -> Vec<CircuitStatus> {
        let now = Instant::now();
        let providers = self.inner.providers.iter();
        let status = providers.map(|it| CircuitStatus {
            provider: it.setup.name.clone(),
            circuit: it.breaker.circuit(now),
        });
        status.collect()
    }
}
