use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    operation::{
        change_message_visibility::ChangeMessageVisibilityError, delete_message::DeleteMessageError,
    },
    types::{Message, MessageSystemAttributeName, QueueAttributeName},
};
use llmopt_storage::{Delivery, MessageQueue, QueueDepth, Receipt, StorageError};

use crate::{Aws, error::fault};

/// Messages that SQS gives at once, at most.
const AT_ONCE: u32 = 10;
/// The longest that SQS hides a message.
const LONGEST: Duration = Duration::from_secs(12 * 3600);
/// The longest that SQS waits for a message.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a message is hidden while it is moved to the dead letters.
const MOVING: Duration = Duration::from_secs(60);
/// Looks at the dead letters that bring nothing new before there are no more.
const LOOKS: u32 = 3;

/// A [`MessageQueue`] in SQS, in two standard queues: messages, and dead letters.
///
/// It hides messages for whole seconds, 12 hours at most. How often a message is handed out is the
/// queue's own redrive policy. Dead letters are shown without being hidden, and SQS shows ten at a look:
/// where there are more, some may be missing.
///
/// SQS does not promise that the receipt of an earlier delivery is refused while a later one is under
/// way: a standard queue may take it, and so take a message out, or hide it, under another's hands. Whoever
/// works on a message has to hold what it stands for by other means too, as a job's record is claimed.
pub struct SqsMessageQueue {
    client: Client,
    url: String,
    dead_url: String,
    wait: Duration,
}

impl SqsMessageQueue {
    /// Sends to and receives from the queue at `url`, whose dead letters go to the one at `dead_url`. A
    /// [`receive`](MessageQueue::receive) waits for a message up to `wait`, 20 s at most.
    pub fn new(aws: &Aws, url: &str, dead_url: &str, wait: Duration) -> Self {
        Self {
            client: Client::new(aws.config()),
            url: url.to_owned(),
            dead_url: dead_url.to_owned(),
            wait,
        }
    }

    /// Checks that the queue can be used.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] or [`StorageError::Internal`], naming the queue.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.attributes(&self.url, &[QueueAttributeName::QueueArn])
            .await
            .map(|_| ())
    }

    async fn attributes(
        &self,
        url: &str,
        names: &[QueueAttributeName],
    ) -> Result<HashMap<QueueAttributeName, String>, StorageError> {
        let asked = self.client.get_queue_attributes().queue_url(url);
        let asked = asked.set_attribute_names(Some(names.to_vec()));
        match asked.send().await {
            Ok(output) => Ok(output.attributes.unwrap_or_default()),
            Err(error) => Err(fault!(error).during("reach", url)),
        }
    }

    async fn put(&self, url: &str, body: &str) -> Result<(), StorageError> {
        let sent = self.client.send_message().queue_url(url).message_body(body);
        match sent.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(fault!(error).during("send to", url)),
        }
    }

    async fn take(
        &self,
        url: &str,
        count: u32,
        hidden: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, StorageError> {
        let received = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(i32::try_from(count.min(AT_ONCE)).unwrap_or(1))
            .visibility_timeout(seconds(hidden.min(LONGEST)))
            .wait_time_seconds(seconds(wait.min(PATIENCE)))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await;
        match received {
            Ok(output) => Ok(output.messages.unwrap_or_default()),
            Err(error) => Err(fault!(error).during("receive from", url)),
        }
    }
}

#[async_trait]
impl MessageQueue for SqsMessageQueue {
    async fn send(&self, body: &str) -> Result<(), StorageError> {
        self.put(&self.url, body).await
    }

    async fn receive(&self, hidden: Duration) -> Result<Option<Delivery>, StorageError> {
        let messages = self.take(&self.url, 1, hidden, self.wait).await?;
        Ok(messages.into_iter().next().map(|message| Delivery {
            receives: attribute(
                &message,
                &MessageSystemAttributeName::ApproximateReceiveCount,
            )
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1),
            receipt: Receipt(message.receipt_handle.unwrap_or_default()),
            body: message.body.unwrap_or_default(),
        }))
    }

    async fn extend(&self, receipt: &Receipt, hidden: Duration) -> Result<(), StorageError> {
        let changed = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&receipt.0)
            .visibility_timeout(seconds(hidden.min(LONGEST)))
            .send()
            .await;
        let Err(error) = changed else {
            return Ok(());
        };
        match error.as_service_error() {
            Some(
                ChangeMessageVisibilityError::MessageNotInflight(_)
                | ChangeMessageVisibilityError::ReceiptHandleIsInvalid(_),
            ) => Err(StorageError::Conflict {
                subject: self.url.clone(),
            }),
            Some(service) if is_stale(service.meta().code()) => Err(StorageError::Conflict {
                subject: self.url.clone(),
            }),
            _ => Err(fault!(error).during("extend in", &self.url)),
        }
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), StorageError> {
        let deleted = self
            .client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(&receipt.0)
            .send()
            .await;
        let Err(error) = deleted else {
            return Ok(());
        };
        match error.as_service_error() {
            Some(DeleteMessageError::ReceiptHandleIsInvalid(_)) => Ok(()),
            Some(service) if is_stale(service.meta().code()) => Ok(()),
            _ => Err(fault!(error).during("acknowledge in", &self.url)),
        }
    }

    async fn bury(&self, delivery: &Delivery) -> Result<(), StorageError> {
        // Another may have it by now.
        match self.extend(&delivery.receipt, MOVING).await {
            Err(StorageError::Conflict { .. }) => return Ok(()),
            extended => extended?,
        }
        // In this order it may be there twice, and is never lost.
        self.put(&self.dead_url, &delivery.body).await?;
        self.acknowledge(&delivery.receipt).await
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<String>, StorageError> {
        // Nothing is hidden, so that nobody misses it: SQS gives some of what is there at each look.
        let mut letters = BTreeMap::new();
        let mut looks = 0;
        while looks < LOOKS && letters.len() < limit as usize {
            let found = self
                .take(&self.dead_url, AT_ONCE, Duration::ZERO, Duration::ZERO)
                .await?;
            let before = letters.len();
            letters.extend(found.into_iter().map(|letter| {
                let sent = attribute(&letter, &MessageSystemAttributeName::SentTimestamp);
                let body = letter.body.unwrap_or_default();
                ((sent, letter.message_id.unwrap_or_default()), body)
            }));
            looks = if letters.len() > before { 0 } else { looks + 1 };
        }
        Ok(letters.into_values().take(limit as usize).collect())
    }

    async fn depth(&self) -> Result<QueueDepth, StorageError> {
        const WAITING: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessages;
        const TAKEN: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let (own, dead) = tokio::try_join!(
            self.attributes(&self.url, &[WAITING, TAKEN]),
            self.attributes(&self.dead_url, &[WAITING, TAKEN])
        )?;
        let count = |of: &HashMap<_, String>, name| {
            let count = of.get(&name).and_then(|count| count.parse().ok());
            count.unwrap_or(0)
        };
        Ok(QueueDepth {
            waiting: count(&own, WAITING),
            taken: count(&own, TAKEN),
            dead: count(&dead, WAITING) + count(&dead, TAKEN),
        })
    }
}

/// Whether a receipt is of a delivery that is over: services say so in several ways.
fn is_stale(code: Option<&str>) -> bool {
    matches!(
        code,
        Some("InvalidParameterValue" | "ReceiptHandleIsInvalid" | "MessageNotInflight")
    )
}

fn attribute(message: &Message, name: &MessageSystemAttributeName) -> Option<u64> {
    message.attributes.as_ref()?.get(name)?.parse().ok()
}

/// Returns whole seconds, never less than the time.
fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}
