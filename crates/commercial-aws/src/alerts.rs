use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sns::{
    Client,
    config::{Builder, timeout::TimeoutConfig},
};
use llmopt_domain::Picodollars;
use llmopt_spending::{AlertError, AlertSink, BudgetAlert, LogAlerts};
use llmopt_storage_aws::Aws;
use serde_json::{Value, json};

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

/// Returns what tells people: the topic with this ARN, or where there is none the log.
pub fn alerts(aws: &Aws, topic: Option<&str>) -> Arc<dyn AlertSink> {
    match topic {
        Some(topic) => Arc::new(SnsAlerts::new(aws, topic)),
        None => Arc::new(LogAlerts),
    }
}

#[async_trait]
impl AlertSink for SnsAlerts {
    async fn tell(&self, alert: &BudgetAlert) -> Result<(), AlertError> {
        let said = json!({
            "default": fields(alert).to_string(),
            "email": sentence(alert),
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

/// What programs read.
fn fields(alert: &BudgetAlert) -> Value {
    let id = alert.id();
    match alert {
        BudgetAlert::Threshold {
            scope,
            window,
            percent,
            spent,
            limit,
        } => json!({
            "id": id, "kind": "threshold", "scope": scope.as_str(), "window": window, "percent": percent,
            "spent_usd": dollars(*spent), "limit_usd": dollars(*limit),
        }),
        BudgetAlert::Overrun {
            request,
            bound,
            cost,
            reason,
        } => json!({
            "id": id, "kind": "overrun", "request": request.as_str(), "reason": reason,
            "bound_usd": dollars(*bound), "cost_usd": dollars(*cost),
        }),
        BudgetAlert::Limited {
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

fn dollars(amount: Picodollars) -> String {
    amount.to_string().trim_start_matches('$').to_owned()
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

fn sentence(alert: &BudgetAlert) -> String {
    match alert {
        BudgetAlert::Threshold {
            scope,
            window,
            percent,
            spent,
            limit,
        } => format!(
            "{percent} % of budget `{scope}` ({window}) are spent: {spent} of {limit}. What would exceed it is refused."
        ),
        BudgetAlert::Overrun {
            request,
            bound,
            cost,
            reason,
        } => format!(
            "Request {request} cost {cost}, and {bound} were reserved for it: {reason}. All of it is counted."
        ),
        BudgetAlert::Limited {
            provider,
            refused,
            seconds,
            ..
        } => format!(
            "{refused} requests to `{provider}` were sent back within {seconds} s, because its limit had no turn for them."
        ),
    }
}

#[cfg(test)]
mod tests {
    use llmopt_storage::spend::{BudgetScope, RequestId};

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
            fields(&alert),
            json!({
                "id": "key/a1#2026-11#80", "kind": "threshold", "scope": "key/a1", "window": "2026-11",
                "percent": 80, "spent_usd": "8.125", "limit_usd": "10.00",
            })
        );
        assert_eq!(
            sentence(&alert),
            "80 % of budget `key/a1` (2026-11) are spent: $8.125 of $10.00. What would exceed it is refused."
        );
    }

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
