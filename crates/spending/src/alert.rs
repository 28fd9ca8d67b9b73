use std::{error::Error, fmt};

use async_trait::async_trait;
use llmopt_domain::Picodollars;
use llmopt_storage::spend::{BudgetScope, RequestId};
use serde_json::{Value, json};

/// Why an alert was not told.
pub type AlertError = Box<dyn Error + Send + Sync>;

/// What somebody is to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetAlert {
    /// A part of a limit is spent.
    Threshold {
        /// Whose budget it is.
        scope: BudgetScope,
        /// The window: `2026-11-26`, `2026-11` or `total`.
        window: String,
        /// The part, in per cent.
        percent: u8,
        /// What is spent.
        spent: Picodollars,
        /// The limit.
        limit: Picodollars,
    },
    /// A request cost more than was reserved for it.
    Overrun {
        /// The request.
        request: RequestId,
        /// What was reserved.
        bound: Picodollars,
        /// What it cost.
        cost: Picodollars,
        /// How that could be, as the caller said.
        reason: String,
    },
    /// Requests are sent back again and again because a provider's limit has no turn for them.
    Limited {
        /// The provider.
        provider: String,
        /// How many were sent back.
        refused: u32,
        /// In how long a time, in seconds, at most.
        seconds: u64,
        /// When, in milliseconds since 1970.
        at_ms: u64,
    },
}

impl BudgetAlert {
    /// Returns what tells it from every other: an alert that is told again, after a process died over it,
    /// has the same.
    pub fn id(&self) -> String {
        match self {
            Self::Threshold {
                scope,
                window,
                percent,
                ..
            } => format!("{scope}#{window}#{percent}"),
            Self::Overrun { request, .. } => format!("overrun#{request}"),
            Self::Limited {
                provider, at_ms, ..
            } => format!("limited#{provider}#{at_ms}"),
        }
    }
}

impl BudgetAlert {
    /// Returns the alert for programs: an object of JSON, whose amounts are dollars as exact decimals in texts.
    pub fn to_json(&self) -> Value {
        let id = self.id();
        match self {
            Self::Threshold {
                scope,
                window,
                percent,
                spent,
                limit,
            } => json!({
                "id": id, "kind": "threshold", "scope": scope.as_str(), "window": window, "percent": percent,
                "spent_usd": spent.to_decimal(), "limit_usd": limit.to_decimal(),
            }),
            Self::Overrun {
                request,
                bound,
                cost,
                reason,
            } => json!({
                "id": id, "kind": "overrun", "request": request.as_str(), "reason": reason,
                "bound_usd": bound.to_decimal(), "cost_usd": cost.to_decimal(),
            }),
            Self::Limited {
                provider,
                refused,
                seconds,
                at_ms,
            } => json!({
                "id": id, "kind": "limited", "provider": provider, "refused": refused, "seconds": seconds,
                "at_ms": at_ms,
            }),
        }
    }
}

/// Says it in a sentence, for people.
impl fmt::Display for BudgetAlert {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threshold {
                scope,
                window,
                percent,
                spent,
                limit,
            } => write!(
                formatter,
                "budget `{scope}` has spent {spent}, which is {percent} % or more of its {limit} ({window})"
            ),
            Self::Overrun {
                request,
                bound,
                cost,
                reason,
            } => write!(
                formatter,
                "request `{request}` cost {cost}, more than the {bound} that were reserved for it: {reason}"
            ),
            Self::Limited {
                provider,
                refused,
                seconds,
                ..
            } => write!(
                formatter,
                "{refused} requests to {provider} were sent back within {seconds} s because of its limit"
            ),
        }
    }
}

/// Tells people.
#[async_trait]
pub trait AlertSink: Send + Sync {
    /// Tells an alert. It is told once, unless whoever tells it dies before that is noted.
    ///
    /// # Errors
    /// Whatever keeps it from being told: it is tried again later.
    async fn tell(&self, alert: &BudgetAlert) -> Result<(), AlertError>;
}

/// An [`AlertSink`] that writes warnings to the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAlerts;

#[async_trait]
impl AlertSink for LogAlerts {
    async fn tell(&self, alert: &BudgetAlert) -> Result<(), AlertError> {
        let id = alert.id();
        match alert {
            BudgetAlert::Threshold {
                scope,
                window,
                percent,
                spent,
                limit,
            } => tracing::warn!(
                alert = id, %scope, window, percent, %spent, %limit,
                "a part of a budget is spent"
            ),
            BudgetAlert::Overrun {
                request,
                bound,
                cost,
                reason,
            } => tracing::warn!(
                alert = id, %request, %bound, %cost, reason,
                "a request cost more than was reserved for it"
            ),
            BudgetAlert::Limited {
                provider,
                refused,
                seconds,
                ..
            } => tracing::warn!(
                alert = id,
                provider,
                refused,
                seconds,
                "requests are sent back again and again because of a provider's limit"
            ),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_json_for_programs_and_a_sentence_for_people() {
        let scope = BudgetScope::try_from("key/a1".to_owned()).unwrap();
        let alert = BudgetAlert::Threshold {
            scope,
            window: "2026-11".to_owned(),
            percent: 80,
            spent: Picodollars::new(8_125_000_000_000).unwrap(),
            limit: Picodollars::dollars(10).unwrap(),
        };
        assert_eq!(
            alert.to_json(),
            json!({
                "id": "key/a1#2026-11#80", "kind": "threshold", "scope": "key/a1", "window": "2026-11",
                "percent": 80, "spent_usd": "8.125", "limit_usd": "10.00",
            })
        );
        assert_eq!(
            alert.to_string(),
            "budget `key/a1` has spent $8.125, which is 80 % or more of its $10.00 (2026-11)"
        );
    }
}
