//! What the tests of this crate share.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::ProviderError;

/// Makes headers.
pub(crate) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// Returns the name of an error's variant.
pub(crate) fn variant(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::RateLimited { .. } => "RateLimited",
        ProviderError::QuotaExhausted(_) => "QuotaExhausted",
        ProviderError::Overloaded(_) => "Overloaded",
        ProviderError::Authentication(_) => "Authentication",
        ProviderError::Permission(_) => "Permission",
        ProviderError::NotFound { .. } => "NotFound",
        ProviderError::Invalid(_) => "Invalid",
        ProviderError::TooLarge(_) => "TooLarge",
        ProviderError::Server(_) => "Server",
        ProviderError::Unsendable { .. } => "Unsendable",
        ProviderError::Timeout { .. } => "Timeout",
        ProviderError::Connection(_) => "Connection",
        ProviderError::Protocol(_) => "Protocol",
        ProviderError::Interrupted { .. } => "Interrupted",
        ProviderError::Key(_) => "Key",
    }
}
