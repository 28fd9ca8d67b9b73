use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{
        delete_item::DeleteItemError, transact_write_items::TransactWriteItemsError,
        update_item::UpdateItemError,
    },
    types::ReturnValue,
};
use llmopt_storage::{EventLog, LogEntry, StorageError};

use crate::{
    Aws,
    append::{Append, HEAD, key},
    error::fault,
    item::{damaged, number, number_of, text, text_of, unique},
    table::{Item, Table},
};

/// Reasons for which a transaction is tried again.
const BUSY: [&str; 3] = [
    "ProvisionedThroughputExceeded",
    "ThrottlingError",
    "TransactionConflict",
];
/// Tries of an append that others' appends to the same log come between.
const TRIES: u32 = 12;

/// An [`EventLog`] in a DynamoDB table with the key `log` (a text) and `sequence` (a number).
///
/// Item 0 of a log says where it ends; every other holds the entries of one append, or a part of them,
/// and is numbered as the last of them. An append is one transaction over both. An entry has at most
/// 390 KB, an append 3.5 MB.
///
/// A deletion marks item 0 first and removes it last. From the mark on the log is at its end for those
/// who append; where the process that deletes dies in between, the next that deletes it, or begins it
/// anew, goes on.
pub struct DynamoEventLog {
    table: Table,
}

/// Why a transaction was refused.
enum Refusal {
    /// The log ends elsewhere.
    Condition,
    /// Another transaction came between, or there were too many.
    Busy,
    /// For none of these reasons.
    Else,
}

impl DynamoEventLog {
    /// Keeps logs in the table called `table`.
    pub fn new(aws: &Aws, table: &str) -> Self {
        Self {
            table: Table::new(aws, table),
        }
    }

    /// Checks that the table can be read.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] or [`StorageError::Internal`], naming the table.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.table.get(key("-", HEAD)).await.map(drop)
    }

    /// Writes the items of one append; whether the log ended where the append says.
    async fn write(&self, append: &Append<'_>) -> Result<bool, StorageError> {
        for attempt in 0..=TRIES {
            let written = self
                .table
                .client
                .transact_write_items()
                .client_request_token(format!("{}-{attempt}", append.token))
                .set_transact_items(Some(append.items(&self.table.name)?))
                .send()
                .await;
            let Err(error) = written else {
                return Ok(true);
            };
            match refusal(&error) {
                // It may have been our own try that nobody answered.
                Refusal::Condition => return self.is_written(append).await,
                Refusal::Busy => {
                    let longest = 20_u64 << attempt.min(6);
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=longest))).await;
                }
                Refusal::Else => {
                    let failed = fault!(error).during("append to", append.log);
                    return match (&failed, self.is_written(append).await) {
                        (StorageError::Unavailable { .. }, Ok(true)) => Ok(true),
                        _ => Err(failed),
                    };
                }
            }
        }
        Err(StorageError::Unavailable {
            operation: "append to",
            subject: append.log.to_owned(),
            source: "others write to it all the time".into(),
        })
    }

    /// Returns whether the append's own last item is there.
    async fn is_written(&self, append: &Append<'_>) -> Result<bool, StorageError> {
        let item = self.table.get(key(append.log, append.end())).await?;
        let token = item.as_ref().and_then(|item| item.get("token"));
        Ok(token == Some(&text(&append.token)))
    }

    async fn query(
        &self,
        log: &str,
        after: u64,
        limit: Option<u32>,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), StorageError> {
        let queried = self
            .table
            .client
            .query()
            .table_name(&self.table.name)
            .consistent_read(true)
            .key_condition_expression("#log = :log AND #sequence > :after")
            .expression_attribute_names("#log", "log")
            .expression_attribute_names("#sequence", "sequence")
            .expression_attribute_values(":log", text(log))
            .expression_attribute_values(":after", number(after))
            .set_limit(limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)))
            .set_exclusive_start_key(start)
            .send()
            .await;
        let queried = queried.map_err(|error| fault!(error).during("read", log))?;
        Ok((
            queried.items.unwrap_or_default(),
            queried.last_evaluated_key,
        ))
    }

    /// Marks the log as one that is being deleted and returns the mark, its own or that of a deletion
    /// that was cut off; `None` where there is no log.
    async fn mark(&self, log: &str) -> Result<Option<String>, StorageError> {
        let marked = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .set_key(Some(key(log, HEAD)))
            .update_expression("SET deletion = if_not_exists(deletion, :deletion)")
            .condition_expression("attribute_exists(#last)")
            .expression_attribute_names("#last", "last")
            .expression_attribute_values(":deletion", text(format!("{:016x}", unique()?)))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match marked {
            Ok(output) => {
                let head = output.attributes.unwrap_or_default();
                text_of(&head, "deletion", log).map(|mark| Some(mark.to_owned()))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(fault!(error).during("delete", log)),
            },
        }
    }

    /// Returns the log's mark, if it has one.
    async fn marked(&self, log: &str) -> Result<Option<String>, StorageError> {
        match self.table.get(key(log, HEAD)).await? {
            Some(head) if head.contains_key("deletion") => {
                text_of(&head, "deletion", log).map(|mark| Some(mark.to_owned()))
            }
            _ => Ok(None),
        }
    }

    /// Removes an item if its attribute `name` is `value`; where it is another by now, that stays.
    async fn remove(
        &self,
        log: &str,
        sequence: u64,
        name: &str,
        value: &str,
    ) -> Result<(), StorageError> {
        let removed = self
            .table
            .client
            .delete_item()
            .table_name(&self.table.name)
            .set_key(Some(key(log, sequence)))
            .condition_expression("#name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", text(value))
            .send()
            .await;
        let Err(error) = removed else {
            return Ok(());
        };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(fault!(error).during("delete", log)),
        }
    }
}

#[async_trait]
impl EventLog for DynamoEventLog {
    async fn append(&self, log: &str, last: u64, bodies: &[String]) -> Result<u64, StorageError> {
        let conflict = || StorageError::Conflict {
            subject: log.to_owned(),
        };
        if bodies.is_empty() {
            return if self.last(log).await? == last {
                Ok(last)
            } else {
                Err(conflict())
            };
        }
        let append = Append::new(log, last, bodies)?;
        if self.write(&append).await? {
            return Ok(append.end());
        }
        if last == 0 && self.marked(log).await?.is_some() {
            self.delete(log).await?;
            let again = Append::new(log, last, bodies)?;
            if self.write(&again).await? {
                return Ok(again.end());
            }
        }
        Err(conflict())
    }

    async fn last(&self, log: &str) -> Result<u64, StorageError> {
        match self.table.get(key(log, HEAD)).await? {
            Some(head) if !head.contains_key("deletion") => number_of(&head, "last", log),
            _ => Ok(0),
        }
    }

    async fn read(&self, log: &str, after: u64, limit: u32) -> Result<Vec<LogEntry>, StorageError> {
        let mut entries = Vec::new();
        let mut start = None;
        while entries.len() < limit as usize {
            let (items, next) = self.query(log, after, Some(limit), start).await?;
            for item in items {
                entries.extend(unpack(&item, log)?);
            }
            entries.retain(|entry: &LogEntry| entry.sequence > after);
            start = next;
            if start.is_none() {
                break;
            }
        }
        entries.truncate(limit as usize);
        Ok(entries)
    }

    async fn delete(&self, log: &str) -> Result<(), StorageError> {
        let Some(mark) = self.mark(log).await? else {
            return Ok(());
        };
        let mut start = None;
        loop {
            let (items, next) = self.query(log, HEAD, None, start).await?;
            // Another may have completed it, and what is there now be a log that was begun since.
            if self.marked(log).await?.as_deref() != Some(&mark) {
                return Ok(());
            }
            for item in items {
                let sequence = number_of(&item, "sequence", log)?;
                let token = text_of(&item, "token", log)?;
                self.remove(log, sequence, "token", token).await?;
            }
            start = next;
            if start.is_none() {
                return self.remove(log, HEAD, "deletion", &mark).await;
            }
        }
    }
}

fn refusal<R>(error: &SdkError<TransactWriteItemsError, R>) -> Refusal {
    let Some(error) = error.as_service_error() else {
        return Refusal::Else;
    };
    let reasons = match error {
        TransactWriteItemsError::TransactionCanceledException(canceled) => {
            canceled.cancellation_reasons()
        }
        TransactWriteItemsError::TransactionInProgressException(_) => return Refusal::Busy,
        _ => &[],
    };
    let is = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
    if is("ConditionalCheckFailed") {
        Refusal::Condition
    } else if BUSY.into_iter().any(is) {
        Refusal::Busy
    } else {
        Refusal::Else
    }
}

fn unpack(item: &Item, log: &str) -> Result<Vec<LogEntry>, StorageError> {
    let last = number_of(item, "sequence", log)?;
    let bodies = item.get("bodies").and_then(|bodies| bodies.as_l().ok());
    let bodies = bodies.ok_or_else(|| damaged("bodies", log))?;
    let first = last.saturating_sub(bodies.len() as u64) + 1;
    let entries = bodies.iter().zip(first..).map(|(body, sequence)| {
        let body = body.as_s().map_err(|_| damaged("bodies", log))?;
        Ok(LogEntry {
            sequence,
            body: body.clone(),
        })
    });
    entries.collect()
}
