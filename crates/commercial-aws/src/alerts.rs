use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sns::{
    Client,
    config::{Builder, timeout::TimeoutConfig},
};
use llmopt_spending::{AlertError, AlertSink, AllAlerts, BudgetAlert, LogAlerts};
use llmopt_storage_aws::Aws;
use serde_json::json;

/// How long a topic may take: a request may wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// An [`AlertSink`] that is a topic of SNS: mail gets a sentence, everybody else JSON.
pub struct SnsAlerts {
    client: Client,
    topic: String,
}

impl SnsAlerts {
    /// Tells the topic with the ARN `topic`.
    pub fn new(aws: &Aws, topic: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(PATIENCE)
            .operation_timeout(PATIENCE);
        let config = Builder::from(aws.config());
        let config = config.timeout_config(timeouts.build());
        Self {
            client: Client::from_conf(config.build()),
            topic: topic.to_owned(),
        }
    }
}

/// Returns what tells people besides the log: the topic with this ARN, if there is one.
pub(crate) fn topics(aws: &Aws, topic: Option<&str>) -> Vec<Arc<dyn AlertSink>> {
    let topic = topic.map(|topic| Arc::new(SnsAlerts::new(aws, topic)) as Arc<dyn AlertSink>);
    topic.into_iter().collect()
}

/// Returns who is told of alerts by a process that asks no provider: the log, and the topic with this ARN.
pub fn alerts(aws: &Aws, topic: Option<&str>) -> Arc<dyn AlertSink> {
    let log: Arc<dyn AlertSink> = Arc::new(LogAlerts);
    Arc::new(AllAlerts::new(
        [log].into_iter().chain(topics(aws, topic)).collect(),
    ))
}

#[async_trait]
impl AlertSink for SnsAlerts {
    async fn tell(&self, alert: &BudgetAlert) -> Result<(), AlertError> {
        let said = json!({
            "default": alert.to_json().to_string(),
            "email": alert.to_string(),
        });
        self.client
            .publish()
            .topic_arn(&self.topic)
            .subject(subject(alert))
            .message_structure("json")
            .message(said.to_string())
            .send()
            .await?;
        Ok(())
    }
}

/// A line of ASCII of fewer than 100 characters, which is what a subject may be; a scope may be longer than that.
fn subject(alert: &BudgetAlert) -> String {
    match alert {
        BudgetAlert::Threshold { percent, .. } => {
            format!("llmopt: {percent} % of a budget are spent")
        }
        BudgetAlert::Overrun { .. } => {
            "llmopt: a request cost more than was reserved for it".to_owned()
        }
        BudgetAlert::Limited { .. } => "llmopt: a provider's limit sends requests back".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use llmopt_domain::Picodollars;
    use llmopt_storage::spend::{BudgetScope, RequestId};

    use super::*;

    #[test]
    fn a_subject_is_what_sns_takes_whatever_the_scope_is_called() {
        let overrun = BudgetAlert::Overrun {
            request: RequestId::try_from("r1".to_owned()).unwrap(),
            bound: Picodollars::ZERO,
            cost: Picodollars::MAX,
            reason: "ü\n".to_owned(),
        };
        let threshold = BudgetAlert::Threshold {
            scope: BudgetScope::try_from("k".repeat(128)).unwrap(),
            window: "total".to_owned(),
            percent: 100,
            spent: Picodollars::MAX,
            limit: Picodollars::MAX,
        };
        let limited = BudgetAlert::Limited {
            provider: "p".repeat(32),
            refused: u32::MAX,
            seconds: u64::MAX,
            at_ms: u64::MAX,
        };
        for alert in [overrun, threshold, limited] {
            let subject = subject(&alert);
            assert!(subject.len() < 100, "{subject}");
            let is_plain = |c: char| c.is_ascii_graphic() || c == ' ';
            assert!(subject.chars().all(is_plain), "{subject}");
        }
    }
}
