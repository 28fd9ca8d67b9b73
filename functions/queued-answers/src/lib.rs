//! The function that answers questions that were queued: SQS invokes it with their messages, and it has no route.
//!
//! Knows the events of SQS. Does not know how a question is answered, nor where answers are kept.

use llmopt_generate_function::{AnswerWorker, Worked};
use llmopt_storage::{Delivery, Receipt};
use serde::{Deserialize, Serialize};

/// What SQS invokes with.
#[derive(Debug, Deserialize)]
pub struct Messages {
    /// The messages, which are hidden meanwhile.
    #[serde(rename = "Records")]
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    message_id: String,
    receipt_handle: String,
    body: String,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attributes {
    /// A number, as text.
    approximate_receive_count: String,
}

/// Which messages are not done with: SQS takes the others out of the queue.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    batch_item_failures: Vec<Left>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Left {
    item_identifier: String,
}

/// Answers the questions of `messages` with `worker`, one after the other.
pub async fn take_in(worker: &AnswerWorker, messages: Messages) -> Outcome {
    let mut outcome = Outcome::default();
    for message in messages.messages {
        let item_identifier = message.message_id.clone();
        let delivery = message.into_delivery();
        // On the heap: what it is made of is too deep for the compiler to lay out in what holds this.
        match Box::pin(worker.work_on(&delivery)).await {
            Ok(Worked::Done) => continue,
            Ok(Worked::Later) => {}
            Err(error) => tracing::warn!(%error, "a queued question is left for later"),
        }
        outcome.batch_item_failures.push(Left { item_identifier });
    }
    outcome
}

impl Message {
    fn into_delivery(self) -> Delivery {
        let receives = self.attributes.approximate_receive_count.parse();
        Delivery {
            body: self.body,
            receipt: Receipt(self.receipt_handle),
            receives: receives.unwrap_or(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_read_as_sqs_tells_of_it() {
        let event = json!({"Records": [{
            "messageId": "m1", "receiptHandle": "r1", "body": "{}", "md5OfBody": "…",
            "attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1"},
            "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:questions"
        }]});
        let mut read: Messages = serde_json::from_value(event).unwrap();
        let delivery = read.messages.remove(0).into_delivery();
        assert_eq!(delivery.body, "{}");
        assert_eq!(delivery.receipt, Receipt("r1".to_owned()));
        assert_eq!(delivery.receives, 3);
    }

    #[test]
    fn what_is_left_is_told_as_sqs_reads_it() {
        let left = |id: &str| Left {
            item_identifier: id.to_owned(),
        };
        let outcome = Outcome {
            batch_item_failures: vec![left("m1")],
        };
        let told = serde_json::to_value(outcome).unwrap();
        assert_eq!(
            told,
            json!({"batchItemFailures": [{"itemIdentifier": "m1"}]})
        );
        let told = serde_json::to_value(Outcome::default()).unwrap();
        assert_eq!(told, json!({"batchItemFailures": []}));
    }
}
