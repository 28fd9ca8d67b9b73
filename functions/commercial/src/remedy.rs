use llmopt_providers::ProviderError;

/// What to do about a provider that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// The kind of failure, for programs.
    pub(crate) kind: &'static str,
    /// What to do.
    pub(crate) advice: &'static str,
}

impl Remedy {
    /// Returns what to do about a list that did not come.
    pub(crate) fn of(error: &ProviderError) -> Self {
        let (kind, advice) = match error {
            ProviderError::Authentication(_) => (
                "key_refused",
                "make a new key with the provider and set it: a file or secret with it is read again without a restart",
            ),
            ProviderError::Permission(_) => (
                "key_not_allowed",
                "let the key list models in the provider's console, or check that its project and region may be used",
            ),
            ProviderError::Key(_) => (
                "no_key",
                "set the provider's key, or correct the file or the name of the secret that it is read from",
            ),
            ProviderError::QuotaExhausted(_) => (
                "quota_exhausted",
                "add credit to the provider's account, or raise its spending limit: waiting does not help",
            ),
            ProviderError::RateLimited { .. } => (
                "rate_limited",
                "wait a minute; where it stays so, lower the requests a minute of this provider here",
            ),
            ProviderError::Overloaded(_) | ProviderError::Server(_) => (
                "provider_failed",
                "try again later; the provider's status page tells whether it is known",
            ),
            ProviderError::NotFound { .. } => (
                "not_found",
                "check the provider's base URL: it has no list of models there (OpenAI's ends with `/v1`, Anthropic's does not)",
            ),
            ProviderError::Invalid(_)
            | ProviderError::TooLarge(_)
            | ProviderError::Unsendable { .. } => (
                "not_taken",
                "check the provider's base URL and the headers that are set for it: it does not take the request for its list",
            ),
            ProviderError::Timeout { .. } => (
                "timeout",
                "check the network and the provider's base URL; behind a firewall, let the provider through",
            ),
            ProviderError::Connection(_) => (
                "not_reachable",
                "check the network, the name and port in the provider's base URL, and that the server runs there",
            ),
            ProviderError::Protocol(_) | ProviderError::Interrupted { .. } => (
                "not_understood",
                "check the provider's base URL and `api`: what answers there does not speak that API",
            ),
        };
        Self { kind, advice }
    }
}
