use std::{
    num::NonZeroU32,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use llmopt_storage::{Delivery, MessageQueue, QueueDepth, Receipt, StorageError};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::database::{Database, SqlFailure};

/// A [`MessageQueue`] in SQLite.
pub struct SqliteMessageQueue {
    database: Database,
    name: String,
    max_receives: NonZeroU32,
}

impl SqliteMessageQueue {
    /// Keeps the messages of the queue called `name` in `database`; each is handed out at most
    /// `max_receives` times before it goes to the dead letters.
    pub fn new(database: Database, name: &str, max_receives: NonZeroU32) -> Self {
        Self {
            database,
            name: name.to_owned(),
            max_receives,
        }
    }

    /// Returns whether there is anything to take or to bury: most looks at a queue find nothing, and are to write nothing.
    async fn has_visible(&self) -> Result<bool, StorageError> {
        let queue = self.name.clone();
        let work = move |transaction: &Transaction<'_>| {
            let mut select = transaction.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND dead = 0 AND visible_ms <= ?2)",
            )?;
            Ok(select.query_row(params![queue, now_ms()], |row| row.get(0))?)
        };
        self.database.look_up("look at", &self.name, work).await
    }
}

#[async_trait]
impl MessageQueue for SqliteMessageQueue {
    async fn send(&self, body: &str) -> Result<(), StorageError> {
        let (queue, body) = (self.name.clone(), body.to_owned());
        let work = move |transaction: &Transaction<'_>| {
            transaction.execute(
                "INSERT INTO messages (queue, body, visible_ms, receives, dead)
                 VALUES (?1, ?2, ?3, 0, 0)",
                params![queue, body, now_ms()],
            )?;
            Ok(())
        };
        self.database.write("send to", &self.name, work).await
    }

    async fn receive(&self, hidden: Duration) -> Result<Option<Delivery>, StorageError> {
        if !self.has_visible().await? {
            return Ok(None);
        }
        let (queue, max_receives) = (self.name.clone(), self.max_receives);
        let work = move |transaction: &Transaction<'_>| {
            let now = now_ms();
            transaction.execute(
                "UPDATE messages SET dead = 1
                 WHERE queue = ?1 AND dead = 0 AND visible_ms <= ?2 AND receives >= ?3",
                params![queue, now, max_receives.get()],
            )?;
            let taken = transaction.query_row(
                "UPDATE messages SET receives = receives + 1, visible_ms = ?3
                 WHERE id = (SELECT id FROM messages
                             WHERE queue = ?1 AND dead = 0 AND visible_ms <= ?2
                             ORDER BY visible_ms, id LIMIT 1)
                 RETURNING id, body, receives",
                params![queue, now, until(now, hidden)],
                |row| {
                    let (id, receives): (i64, u32) = (row.get(0)?, row.get(2)?);
                    Ok(Delivery {
                        body: row.get(1)?,
                        receipt: Receipt(format!("{id}-{receives}")),
                        receives,
                    })
                },
            );
            Ok(taken.optional()?)
        };
        self.database.write("receive from", &self.name, work).await
    }

    async fn extend(&self, receipt: &Receipt, hidden: Duration) -> Result<(), StorageError> {
        let (queue, receipt) = (self.name.clone(), receipt.clone());
        let work = move |transaction: &Transaction<'_>| {
            let (id, receives) = parts(&receipt);
            let extended = transaction.execute(
                "UPDATE messages SET visible_ms = ?4
                 WHERE id = ?1 AND receives = ?2 AND queue = ?3 AND dead = 0",
                params![id, receives, queue, until(now_ms(), hidden)],
            )?;
            if extended == 0 {
                let subject = format!("{queue}/{}", receipt.0);
                return Err(SqlFailure::Port(StorageError::Conflict { subject }));
            }
            Ok(())
        };
        self.database.write("extend", &self.name, work).await
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), StorageError> {
        let (queue, receipt) = (self.name.clone(), receipt.clone());
        let work = move |transaction: &Transaction<'_>| {
            let (id, receives) = parts(&receipt);
            transaction.execute(
                "DELETE FROM messages WHERE id = ?1 AND receives = ?2 AND queue = ?3 AND dead = 0",
                params![id, receives, queue],
            )?;
            Ok(())
        };
        self.database.write("acknowledge", &self.name, work).await
    }

    async fn bury(&self, delivery: &Delivery) -> Result<(), StorageError> {
        let (queue, receipt) = (self.name.clone(), delivery.receipt.clone());
        let work = move |transaction: &Transaction<'_>| {
            let (id, receives) = parts(&receipt);
            transaction.execute(
                "UPDATE messages SET dead = 1
                 WHERE id = ?1 AND receives = ?2 AND queue = ?3 AND dead = 0",
                params![id, receives, queue],
            )?;
            Ok(())
        };
        self.database.write("bury in", &self.name, work).await
    }

    async fn dead_letters(&self, limit: u32) -> Result<Vec<String>, StorageError> {
        let queue = self.name.clone();
        let work = move |transaction: &Transaction<'_>| {
            let mut select = transaction.prepare_cached(
                "SELECT body FROM messages WHERE queue = ?1 AND dead = 1 ORDER BY id LIMIT ?2",
            )?;
            let bodies = select.query_map(params![queue, limit], |row| row.get(0))?;
            Ok(bodies.collect::<Result<_, _>>()?)
        };
        self.database.read("read", &self.name, work).await
    }

    async fn depth(&self) -> Result<QueueDepth, StorageError> {
        let queue = self.name.clone();
        let work = move |transaction: &Transaction<'_>| {
            Ok(transaction.query_row(
                "SELECT count(*) FILTER (WHERE dead = 0 AND visible_ms <= ?2),
                        count(*) FILTER (WHERE dead = 0 AND visible_ms > ?2),
                        count(*) FILTER (WHERE dead = 1)
                 FROM messages WHERE queue = ?1",
                params![queue, now_ms()],
                |row| {
                    Ok(QueueDepth {
                        waiting: row.get(0)?,
                        taken: row.get(1)?,
                        dead: row.get(2)?,
                    })
                },
            )?)
        };
        self.database.read("count in", &self.name, work).await
    }
}

/// Splits a receipt into the message's id and which delivery it was; a foreign one fits nothing.
fn parts(receipt: &Receipt) -> (Option<i64>, Option<u32>) {
    let parts = receipt.0.split_once('-');
    (
        parts.and_then(|(id, _)| id.parse().ok()),
        parts.and_then(|(_, receives)| receives.parse().ok()),
    )
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

fn until(now: i64, hidden: Duration) -> i64 {
    now.saturating_add(i64::try_from(hidden.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use llmopt_storage::conformance::QueueSubject;

    use super::*;

    fn open(root: &Path, max_receives: NonZeroU32) -> Arc<dyn MessageQueue> {
        let database = Database::open(&root.join("llmopt.db")).unwrap();
        Arc::new(SqliteMessageQueue::new(database, "training", max_receives))
    }

    const SQLITE: QueueSubject = QueueSubject {
        open,
        // Long against the commits of a busy machine, which lie between two looks at the clock.
        shortest: Duration::from_millis(300),
    };

    llmopt_storage::message_queue_conformance!(SQLITE);
}
