use async_trait::async_trait;
use llmopt_storage::{EventLog, LogEntry, StorageError};
use rusqlite::{Transaction, params};

use crate::database::{Database, SqlFailure};

/// An [`EventLog`] in SQLite.
pub struct SqliteEventLog {
    database: Database,
}

impl SqliteEventLog {
    /// Keeps logs in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl EventLog for SqliteEventLog {
    async fn append(&self, log: &str, last: u64, bodies: &[String]) -> Result<u64, StorageError> {
        let (owned, bodies) = (log.to_owned(), bodies.to_vec());
        let work = move |transaction: &Transaction<'_>| {
            if last_of(transaction, &owned)? != last {
                return Err(SqlFailure::Port(StorageError::Conflict { subject: owned }));
            }
            let mut insert = transaction
                .prepare_cached("INSERT INTO events (log, sequence, body) VALUES (?1, ?2, ?3)")?;
            let mut sequence = last;
            for body in bodies {
                sequence += 1;
                insert.execute(params![owned, sequence, body])?;
            }
            Ok(sequence)
        };
        self.database.write("append to", log, work).await
    }

    async fn last(&self, log: &str) -> Result<u64, StorageError> {
        let owned = log.to_owned();
        let work = move |transaction: &Transaction<'_>| Ok(last_of(transaction, &owned)?);
        self.database.read("read", log, work).await
    }

    async fn read(&self, log: &str, after: u64, limit: u32) -> Result<Vec<LogEntry>, StorageError> {
        let owned = log.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            let mut select = transaction.prepare_cached(
                "SELECT sequence, body FROM events WHERE log = ?1 AND sequence > ?2
                 ORDER BY sequence LIMIT ?3",
            )?;
            let entries = select.query_map(params![owned, after, limit], |row| {
                Ok(LogEntry {
                    sequence: row.get(0)?,
                    body: row.get(1)?,
                })
            })?;
            Ok(entries.collect::<Result<_, _>>()?)
        };
        self.database.read("read", log, work).await
    }

    async fn delete(&self, log: &str) -> Result<(), StorageError> {
        let owned = log.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            transaction.execute("DELETE FROM events WHERE log = ?1", [owned])?;
            Ok(())
        };
        self.database.write("delete", log, work).await
    }
}

fn last_of(transaction: &Transaction<'_>, log: &str) -> rusqlite::Result<u64> {
    let query = "SELECT coalesce(max(sequence), 0) FROM events WHERE log = ?1";
    transaction.query_row(query, [log], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;

    fn open(root: &Path) -> Arc<dyn EventLog> {
        let database = Database::open(&root.join("llmopt.db")).unwrap();
        Arc::new(SqliteEventLog::new(database))
    }

    llmopt_storage::event_log_conformance!(open);
}
