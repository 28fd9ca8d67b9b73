use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Put, TransactWriteItem, Update, builders::UpdateBuilder},
};
use llmopt_storage::{EventLog, LogEntry, StorageError};

use crate::{
    Aws,
    error::fault,
    item::{damaged, number, number_of, text, unique},
    table::{Item, Table},
};

/// The number of the item that says where a log ends.
const HEAD: u64 = 0;
/// Bytes of entries in one item: an item has 400 KB at most.
const CHUNK_BYTES: usize = 300_000;
/// Entries' bytes in one append: a transaction has 4 MB at most.
const APPEND_BYTES: usize = 3_500_000;
/// Tries of an append that others' appends to the same log come between.
const TRIES: u32 = 12;

/// An [`EventLog`] in a DynamoDB table with the key `log` (a text) and `sequence` (a number).
///
/// Item 0 of a log says where it ends; every other holds the entries of one append, or a part of them,
/// and is numbered as the last of them. An append is one transaction over both.
pub struct DynamoEventLog {
    table: Table,
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

    /// Writes the items of one append; whether the log ended elsewhere.
    async fn write(&self, append: &Append<'_>) -> Result<bool, StorageError> {
        let mut attempt = 0;
        loop {
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
            let reasons = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                    canceled.cancellation_reasons()
                }
                _ => &[],
            };
            let is = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
            if is("ConditionalCheckFailed") {
                // It may have been our own try that nobody answered.
                return self.is_written(append).await;
            }
            let conflict = is("TransactionConflict")
                || matches!(error.as_service_error(), Some(service) if service.meta().code() == Some("TransactionInProgressException"));
            if !conflict || attempt >= TRIES {
                let failed = fault!(error).during("append to", append.log);
                return match (&failed, self.is_written(append).await) {
                    (StorageError::Unavailable { .. }, Ok(true)) => Ok(true),
                    _ => Err(failed),
                };
            }
            attempt += 1;
            let longest = 20_u64 << attempt.min(6);
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=longest))).await;
        }
    }

    /// Returns whether the append's own last item is there.
    async fn is_written(&self, append: &Append<'_>) -> Result<bool, StorageError> {
        let last = append.last + append.bodies.len() as u64;
        let item = self.table.get(key(append.log, last)).await?;
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
        let append = Append {
            log,
            last,
            bodies,
            token: format!("{:016x}", unique()),
        };
        if self.write(&append).await? {
            Ok(last + bodies.len() as u64)
        } else {
            Err(conflict())
        }
    }

    async fn last(&self, log: &str) -> Result<u64, StorageError> {
        match self.table.get(key(log, HEAD)).await? {
            Some(head) => number_of(&head, "last", log),
            None => Ok(0),
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
        let remove = async |sequence| {
            let deleted = self
                .table
                .client
                .delete_item()
                .table_name(&self.table.name)
                .set_key(Some(key(log, sequence)))
                .send()
                .await;
            match deleted {
                Ok(_) => Ok(()),
                Err(error) => Err(fault!(error).during("delete", log)),
            }
        };
        let mut start = None;
        loop {
            let (items, next) = self.query(log, HEAD, None, start).await?;
            for item in items {
                remove(number_of(&item, "sequence", log)?).await?;
            }
            start = next;
            if start.is_none() {
                // The head goes last: until then the log is one that lost entries, not another.
                return remove(HEAD).await;
            }
        }
    }
}

/// Entries on their way into a log.
struct Append<'a> {
    log: &'a str,
    last: u64,
    bodies: &'a [String],
    token: String,
}

impl Append<'_> {
    fn items(&self, table: &str) -> Result<Vec<TransactWriteItem>, StorageError> {
        let build = |error| StorageError::Internal {
            operation: "append to",
            subject: self.log.to_owned(),
            source: Box::new(error),
        };
        let bytes: usize = self.bodies.iter().map(String::len).sum();
        if bytes > APPEND_BYTES {
            return Err(StorageError::Internal {
                operation: "append to",
                subject: self.log.to_owned(),
                source: format!(
                    "{bytes} bytes at once are too many: append at most {APPEND_BYTES}"
                )
                .into(),
            });
        }
        let head = self.head(table).build().map_err(build)?;
        let mut items = vec![TransactWriteItem::builder().update(head).build()];
        let mut last = self.last;
        for chunk in chunks(self.bodies) {
            last += chunk.len() as u64;
            let put = Put::builder()
                .table_name(table)
                .set_item(Some(self.chunk(last, chunk)))
                .build()
                .map_err(build)?;
            items.push(TransactWriteItem::builder().put(put).build());
        }
        Ok(items)
    }

    fn head(&self, table: &str) -> UpdateBuilder {
        let end = self.last + self.bodies.len() as u64;
        let head = Update::builder()
            .table_name(table)
            .set_key(Some(key(self.log, HEAD)))
            .update_expression("SET #last = :end")
            .expression_attribute_names("#last", "last")
            .expression_attribute_values(":end", number(end));
        if self.last == 0 {
            head.condition_expression("attribute_not_exists(#last)")
        } else {
            head.condition_expression("#last = :last")
                .expression_attribute_values(":last", number(self.last))
        }
    }

    fn chunk(&self, last: u64, bodies: &[String]) -> Item {
        let mut item = key(self.log, last);
        let bodies = bodies.iter().map(text).collect();
        item.insert("bodies".to_owned(), AttributeValue::L(bodies));
        item.insert("token".to_owned(), text(&self.token));
        item
    }
}

/// Cuts entries into parts that fit into one item each.
fn chunks(bodies: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = bodies;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|body| {
            bytes += body.len();
            bytes <= CHUNK_BYTES
        });
        let count = fits.count().max(1).min(rest.len());
        let (chunk, later) = rest.split_at(count);
        rest = later;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn key(log: &str, sequence: u64) -> Item {
    Item::from([
        ("log".to_owned(), text(log)),
        ("sequence".to_owned(), number(sequence)),
    ])
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
