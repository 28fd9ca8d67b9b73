use async_trait::async_trait;
use llmopt_storage::{AllowanceStore, StorageError};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::database::Database;

const KIND: &str = "allowance";

/// An [`AllowanceStore`] in SQLite. Amounts have 63 bits.
pub struct SqliteAllowanceStore {
    database: Database,
}

impl SqliteAllowanceStore {
    /// Keeps allowances in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl AllowanceStore for SqliteAllowanceStore {
    async fn open(&self, id: &str, amount: u64) -> Result<(), StorageError> {
        let owned = id.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            let made = transaction.execute(
                "INSERT INTO allowances (id, available) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![owned, amount],
            )?;
            if made == 0 {
                let (kind, id) = (KIND, owned);
                return Err(StorageError::RecordExists { kind, id }.into());
            }
            Ok(())
        };
        self.database.write("open", id, work).await
    }

    async fn spend(&self, id: &str, amount: u64) -> Result<Option<u64>, StorageError> {
        let owned = id.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            let left = transaction.query_row(
                "UPDATE allowances SET available = available - ?2
                 WHERE id = ?1 AND available >= ?2 RETURNING available",
                params![owned, amount],
                |row| row.get(0),
            );
            match left.optional()? {
                Some(left) => Ok(Some(left)),
                None => available(transaction, &owned)?
                    .map(|_| None)
                    .ok_or_else(|| unknown(owned).into()),
            }
        };
        self.database.write("spend from", id, work).await
    }

    async fn left(&self, id: &str) -> Result<u64, StorageError> {
        let owned = id.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            available(transaction, &owned)?.ok_or_else(|| unknown(owned).into())
        };
        self.database.read("read", id, work).await
    }
}

fn available(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<u64>> {
    let select = "SELECT available FROM allowances WHERE id = ?1";
    let left = transaction.query_row(select, params![id], |row| row.get(0));
    left.optional()
}

fn unknown(id: String) -> StorageError {
    StorageError::NoRecord { kind: KIND, id }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;

    fn open(root: &Path) -> Arc<dyn AllowanceStore> {
        let database = Database::open(&root.join(Database::FILE_NAME)).unwrap();
        Arc::new(SqliteAllowanceStore::new(database))
    }

    llmopt_storage::allowance_store_conformance!(open);
}
