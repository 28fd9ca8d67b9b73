use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use llmopt_domain::{KeyLimits, Scope};
use llmopt_http::{Problem, Validation, from_timestamp};
use llmopt_service::NewKey;
use serde::Deserialize;

/// Letters of a name at most.
const LONGEST_NAME: usize = 100;
/// Seconds that a secret which was replaced is taken for, unless the request says otherwise, and at most.
const OVERLAP: u64 = 24 * 3_600;
const LONGEST_OVERLAP: u64 = 30 * 24 * 3_600;

/// A key as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    name: String,
    scopes: BTreeSet<Scope>,
    requests_per_minute: Option<NonZeroU32>,
    burst: Option<NonZeroU32>,
    /// When it ends, as RFC 3339 has it.
    expires_at: Option<String>,
}

/// How a key is to be rotated.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateKey {
    /// Seconds that the secret which is replaced is still taken for.
    overlap_seconds: Option<u64>,
}

impl CreateKey {
    pub(crate) fn validate(self) -> Result<NewKey, Problem> {
        let mut validation = Validation::default();
        let name = self.name.trim();
        let is_name = !name.is_empty()
            && name.chars().count() <= LONGEST_NAME
            && !name.chars().any(char::is_control);
        validation.require(is_name, "/name", || {
            format!("expected 1 to {LONGEST_NAME} characters without control characters")
        });
        validation.require(!self.scopes.is_empty(), "/scopes", || {
            "expected at least one of `generate`, `train` and `admin`, found none".to_owned()
        });
        let is_whole = self.burst.is_none() || self.requests_per_minute.is_some();
        validation.require(is_whole, "/burst", || {
            "expected `requests_per_minute` beside it".to_owned()
        });
        let expires_ms = self.expires_at.as_deref().and_then(|text| {
            let parsed = from_timestamp(text).ok_or_else(|| {
                format!("expected a time such as `2027-01-31T12:00:00Z`, found `{text}`")
            });
            validation.take("/expires_at", parsed)
        });
        validation.finish()?;
        Ok(NewKey {
            name: name.to_owned(),
            scopes: self.scopes,
            limits: KeyLimits {
                requests_per_minute: self.requests_per_minute,
                burst: self.burst,
            },
            expires_ms,
        })
    }
}

impl RotateKey {
    pub(crate) fn overlap(&self) -> Result<Duration, Problem> {
        let seconds = self.overlap_seconds.unwrap_or(OVERLAP);
        let mut validation = Validation::default();
        validation.require(seconds <= LONGEST_OVERLAP, "/overlap_seconds", || {
            format!("expected 0 to {LONGEST_OVERLAP}, found {seconds}")
        });
        validation.finish()?;
        Ok(Duration::from_secs(seconds))
    }
}
