use std::error::Error;

use async_trait::async_trait;
use llmopt_domain::Picodollars;
use llmopt_storage::spend::{BudgetScope, RequestId};

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
