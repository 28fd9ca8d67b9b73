use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use llmopt_domain::{KeyLimits, Scope};
use llmopt_http::{Problem, Validation, from_timestamp};
use llmopt_service::NewKey;
use serde::Deserialize;
use utoipa::ToSchema;

/// Letters of a name at most.
const LONGEST_NAME: usize = 100;
/// Seconds that a secret which was replaced is taken for, unless the request says otherwise, and at most.
const OVERLAP: u64 = 24 * 3_600;
const LONGEST_OVERLAP: u64 = 30 * 24 * 3_600;

/// A key as it is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    /// What it is for, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it may be used for.
    #[schema(value_type = Vec<Scope>, min_items = 1)]
    scopes: BTreeSet<Scope>,
    /// Its own limit; absent, everybody's holds.
    #[schema(value_type = Option<u32>, minimum = 1)]
    requests_per_minute: Option<NonZeroU32>,
    /// How many of them may come at once.
    #[schema(value_type = Option<u32>, minimum = 1)]
    burst: Option<NonZeroU32>,
    /// Tokens of commercial models that it may use in a minute: of the prompt, as estimated, and of the answer at most.
    #[schema(value_type = Option<u32>, minimum = 1)]
    tokens_per_minute: Option<NonZeroU32>,
    /// When it ends, as RFC 3339 has it.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// How a key is to be rotated.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateKey {
    /// Seconds that the secret which is replaced is still taken for.
    #[schema(maximum = 2_592_000, default = 86_400)]
    overlap_seconds: Option<u64>,
}

impl CreateKey {
    /// Checks everything; `now_ms` is the time, in milliseconds since 1970.
    pub(crate) fn validate(self, now_ms: u64) -> Result<NewKey, Problem> {
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
        validation.require(
            expires_ms.is_none_or(|it| it > now_ms),
            "/expires_at",
            || "expected a time to come, found one that is past".to_owned(),
        );
        validation.finish()?;
        Ok(NewKey {
            name: name.to_owned(),
            scopes: self.scopes,
            limits: KeyLimits {
                requests_per_minute: self.requests_per_minute,
                burst: self.burst,
                tokens_per_minute: self.tokens_per_minute,
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
