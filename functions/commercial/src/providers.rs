use std::time::Duration;

use axum::{Json, extract::State};
use llmopt_commercial::Probe;
use llmopt_domain::error_chain;
use llmopt_providers::{ModelList, ProviderError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{CommercialState, remedy::Remedy};

/// How long a provider has for its list.
const PATIENCE: Duration = Duration::from_secs(10);
/// What to do where there is nothing to test.
const NONE: &str = "no provider is configured: set OPENAI_API_KEY or ANTHROPIC_API_KEY, or name a server in LLMOPT_PROVIDERS";

/// What became of asking every provider for its models.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ProvidersTest {
    /// Whether there is a provider, and all of them answered.
    ok: bool,
    providers: Vec<ProviderTest>,
    /// What to do where no provider is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

/// What became of asking one provider.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ProviderTest {
    provider: String,
    /// Whether it answered with its list.
    ok: bool,
    /// How long the answer took.
    latency_ms: Option<u64>,
    /// How many models the key may use; where there are more than a thousand, a thousand.
    models: Option<usize>,
    /// What the provider calls the request.
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProviderFailure>,
}

/// Why a provider did not answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ProviderFailure {
    /// The kind, for programs.
    kind: &'static str,
    /// The status of the answer, where there was one.
    status: Option<u16>,
    /// What failed.
    detail: String,
    /// What to do about it.
    remedy: &'static str,
}

/// Asks every provider for its models, which shows whether it can be reached and takes its key, and costs nothing.
#[utoipa::path(
    get,
    path = "/commercial/test",
    tag = "commercial",
    responses((status = 200, description = "What became of each; `ok` tells whether it answered.", body = ProvidersTest))
)]
pub(crate) async fn test_providers(State(state): State<CommercialState>) -> Json<ProvidersTest> {
    let probes = state.commercial.probe(PATIENCE).await;
    let providers: Vec<_> = probes.into_iter().map(ProviderTest::from).collect();
    Json(ProvidersTest {
        ok: !providers.is_empty() && providers.iter().all(|it| it.ok),
        remedy: providers.is_empty().then_some(NONE),
        providers,
    })
}

impl From<Probe> for ProviderTest {
    fn from(probe: Probe) -> Self {
        let failed = Self {
            provider: probe.provider,
            ok: false,
            latency_ms: None,
            models: None,
            request_id: None,
            error: None,
        };
        match probe.outcome {
            Ok(ModelList {
                models,
                latency,
                request_id,
                ..
            }) => Self {
                ok: true,
                latency_ms: Some(latency.as_millis() as u64),
                models: Some(models.len()),
                request_id,
                ..failed
            },
            Err(error) => Self {
                request_id: error.refusal().and_then(|it| it.request_id.clone()),
                error: Some(ProviderFailure::from(&error)),
                ..failed
            },
        }
    }
}

impl From<&ProviderError> for ProviderFailure {
    fn from(error: &ProviderError) -> Self {
        let Remedy { kind, advice } = Remedy::of(error);
        Self {
            kind,
            status: error.refusal().map(|it| it.status),
            detail: error_chain(error),
            remedy: advice,
        }
    }
}
