use std::time::Duration;

use async_trait::async_trait;
use llmopt_config::Secret;
use llmopt_domain::Picodollars;
use llmopt_providers::Transport;
use llmopt_spending::{AlertError, AlertSink, BudgetAlert};
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use thiserror::Error;

/// How long an alert may take: the end of an answer may wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends alerts to an address, by `POST` and as JSON. Its address is in no log and in no error.
pub struct WebhookAlerts {
    client: reqwest::Client,
    url: Secret,
}

/// An alert as it is sent. `text` is for people, and what chats show of it.
#[derive(Debug, PartialEq, Serialize)]
struct Message {
    /// The same where an alert is sent again.
    id: String,
    text: String,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    Threshold {
        scope: String,
        window: String,
        percent: u8,
        spent_usd: f64,
        limit_usd: f64,
    },
    Overrun {
        request: String,
        bound_usd: f64,
        cost_usd: f64,
        reason: String,
    },
    Limited {
        provider: String,
        refused: u32,
        seconds: u64,
    },
}

/// Why an alert was not sent.
#[derive(Debug, Error)]
enum WebhookError {
    #[error("the webhook of `LLMOPT_ALERT_WEBHOOK` did not take the alert")]
    Sending(#[source] reqwest::Error),
    #[error("the webhook of `LLMOPT_ALERT_WEBHOOK` answered with {status}: expected 2xx")]
    Refused { status: u16 },
}

impl WebhookAlerts {
    /// Sends alerts to `url`, which may be as good as a password.
    pub fn new(transport: &Transport, url: Secret) -> Self {
        let client = transport.client().clone();
        Self { client, url }
    }
}

#[async_trait]
impl AlertSink for WebhookAlerts {
    async fn tell(&self, alert: &BudgetAlert) -> Result<(), AlertError> {
        let body = serde_json::to_vec(&Message::from(alert))?;
        let request = self.client.post(self.url.expose());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        let sent = request.timeout(PATIENCE).send().await;
        let response = sent.map_err(|error| WebhookError::Sending(error.without_url()))?;
        let status = response.status();
        if !status.is_success() {
            let status = status.as_u16();
            return Err(WebhookError::Refused { status }.into());
        }
        Ok(())
    }
}

impl From<&BudgetAlert> for Message {
    fn from(alert: &BudgetAlert) -> Self {
        Self {
            id: alert.id(),
            text: text(alert),
            kind: kind(alert),
        }
    }
}

fn text(alert: &BudgetAlert) -> String {
    match alert {
        BudgetAlert::Threshold {
            scope,
            window,
            percent,
            spent,
            limit,
        } => format!(
            "llmopt: budget `{scope}` has spent {spent}, which is {percent} % or more of its {limit} ({window})"
        ),
        BudgetAlert::Overrun {
            request,
            bound,
            cost,
            reason,
        } => format!(
            "llmopt: request `{request}` cost {cost}, more than the {bound} that were reserved for it: {reason}"
        ),
        BudgetAlert::Limited {
            provider,
            refused,
            seconds,
            ..
        } => format!(
            "llmopt: {refused} requests to {provider} were sent back within {seconds} s because of its limit"
        ),
    }
}

fn kind(alert: &BudgetAlert) -> Kind {
    let usd = |amount: &Picodollars| amount.as_dollars();
    match alert {
        BudgetAlert::Threshold {
            scope,
            window,
            percent,
            spent,
            limit,
        } => Kind::Threshold {
            scope: scope.to_string(),
            window: window.clone(),
            percent: *percent,
            spent_usd: usd(spent),
            limit_usd: usd(limit),
        },
        BudgetAlert::Overrun {
            request,
            bound,
            cost,
            reason,
        } => Kind::Overrun {
            request: request.to_string(),
            bound_usd: usd(bound),
            cost_usd: usd(cost),
            reason: reason.clone(),
        },
        BudgetAlert::Limited {
            provider,
            refused,
            seconds,
            ..
        } => Kind::Limited {
            provider: provider.clone(),
            refused: *refused,
            seconds: *seconds,
        },
    }
}

#[cfg(test)]
mod tests;
