use std::{collections::BTreeSet, num::NonZeroU32};

use llmopt_domain::{ApiKey, Scope};
use llmopt_http::timestamp;
use llmopt_service::IssuedKey;
use serde::Serialize;
use utoipa::ToSchema;

/// A key as it is shown: never its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    id: String,
    name: String,
    scopes: BTreeSet<Scope>,
    #[schema(value_type = Option<u32>, minimum = 1)]
    requests_per_minute: Option<NonZeroU32>,
    #[schema(value_type = Option<u32>, minimum = 1)]
    burst: Option<NonZeroU32>,
    #[schema(value_type = Option<u32>, minimum = 1)]
    tokens_per_minute: Option<NonZeroU32>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    /// To the minute.
    last_used_at: Option<String>,
    /// Until when the secret before the present one is taken, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_until: Option<String>,
}

/// A key with its text, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IssuedKeyView {
    key: String,
    #[serde(flatten)]
    view: KeyView,
}

impl KeyView {
    /// Shows a key that was used last at `used_ms`.
    pub(crate) fn of(key: ApiKey, used_ms: Option<u64>) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            requests_per_minute: key.limits.requests_per_minute,
            burst: key.limits.burst,
            tokens_per_minute: key.limits.tokens_per_minute,
            created_at: timestamp(key.created_ms),
            expires_at: key.expires_ms.map(timestamp),
            revoked_at: key.revoked_ms.map(timestamp),
            last_used_at: used_ms.map(timestamp),
            previous_until: key
                .previous
                .first()
                .map(|previous| timestamp(previous.until_ms)),
        }
    }
}

impl IssuedKeyView {
    /// Shows a key that was just issued and was used last at `used_ms`.
    pub(crate) fn of(issued: IssuedKey, used_ms: Option<u64>) -> Self {
        Self {
            key: issued.text.expose(),
            view: KeyView::of(issued.key, used_ms),
        }
    }
}
