use std::time::Duration;

use async_trait::async_trait;
use llmopt_config::Secret;
use llmopt_providers::Transport;
use llmopt_spending::{AlertError, AlertSink, BudgetAlert};
use reqwest::header::CONTENT_TYPE;
use thiserror::Error;

/// How long an alert may take: the end of an answer may wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends alerts to an address, by `POST` and as JSON. Its address is in no log and in no error.
pub struct WebhookAlerts {
    client: reqwest::Client,
    url: Secret,
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
        let mut body = alert.to_json();
        // What chats show of it.
        body["text"] = format!("llmopt: {alert}").into();
        let body = serde_json::to_vec(&body)?;
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

#[cfg(test)]
mod tests;
