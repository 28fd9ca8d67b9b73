use std::{num::NonZeroU32, path::Path, sync::Arc};

use async_trait::async_trait;
use llmopt_domain::{NoSlot, Rate, Slots};
use llmopt_storage::{RateStore, StorageError};
use parking_lot::Mutex;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::database::{Database, RATES, Synchronous};

/// What has been free for so long may be forgotten, in microseconds.
const FORGOTTEN_US: u64 = 3_600_000_000;

/// With each rate that comes so many others are looked at, and those of them forgotten that may be: where more than one
/// in so many may, more go than come.
const LOOKED_AT: usize = 8;

/// A [`RateStore`] in an SQLite database of its own, which a loss of power may take back by some moments:
/// nobody waits for the disk to be asked for a slot.
pub struct SqliteRateStore {
    database: Database,
    /// The last rate that was looked at, by name, whether it may be forgotten. It is not looked for by time: with an index
    /// for that, each slot that is taken would change two pages and not one.
    looked_at: Arc<Mutex<String>>,
}

impl SqliteRateStore {
    /// What the file is called in a data directory.
    pub const FILE_NAME: &str = "rates.db";

    /// Keeps rates in the file `path`, which is made if it is not there.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Ok(Self {
            database: Database::open_as(path, &RATES)?,
            looked_at: Arc::default(),
        })
    }
}

#[async_trait]
impl RateStore for SqliteRateStore {
    async fn take(
        &self,
        id: &str,
        rate: Rate,
        now_us: u64,
        count: NonZeroU32,
    ) -> Result<Result<Slots, NoSlot>, StorageError> {
        let (owned, looked_at) = (id.to_owned(), Arc::clone(&self.looked_at));
        let work = move |transaction: &Transaction<'_>| {
            let known = free(transaction, &owned)?;
            let taken = rate.take(known.unwrap_or_default(), now_us, count);
            if let Ok(slots) = taken {
                put(transaction, &owned, slots.end_us)?;
            }
            if known.is_none() {
                forget(
                    transaction,
                    &mut looked_at.lock(),
                    now_us.saturating_sub(FORGOTTEN_US),
                )?;
            }
            Ok(taken)
        };
        let what = ("take a slot of", id);
        self.database
            .write_as(Synchronous::Normal, what, work)
            .await
    }

    async fn hold(&self, id: &str, until_us: u64) -> Result<(), StorageError> {
        let owned = id.to_owned();
        let work = move |transaction: &Transaction<'_>| {
            let known = free(transaction, &owned)?.unwrap_or_default();
            Ok(put(transaction, &owned, known.max(until_us))?)
        };
        let what = ("hold", id);
        self.database
            .write_as(Synchronous::Normal, what, work)
            .await
    }
}

fn free(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<u64>> {
    let mut select = transaction.prepare_cached("SELECT free_us FROM rates WHERE id = ?1")?;
    select.query_row(params![id], |row| row.get(0)).optional()
}

fn put(transaction: &Transaction<'_>, id: &str, free_us: u64) -> rusqlite::Result<()> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO rates (id, free_us) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET free_us = excluded.free_us",
    )?;
    upsert.execute(params![id, free_us]).map(drop)
}

/// Looks at the rates that come after `last` by name, and forgets those that have been free since before `long_free`.
fn forget(
    transaction: &Transaction<'_>,
    last: &mut String,
    long_free: u64,
) -> rusqlite::Result<()> {
    let mut select = transaction
        .prepare_cached("SELECT id, free_us FROM rates WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut delete = transaction.prepare_cached("DELETE FROM rates WHERE id = ?1")?;
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found = select.query_map(params![&*last, LOOKED_AT], read)?;
    let found: Vec<(String, u64)> = found.collect::<Result<_, _>>()?;
    let is_end = found.len() < LOOKED_AT;
    for (id, free_us) in found {
        if free_us < long_free {
            delete.execute(params![id])?;
        }
        *last = id;
    }
    if is_end {
        last.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU64, sync::Arc};

    use super::*;

    fn open(root: &Path) -> Arc<dyn RateStore> {
        let path = root.join(SqliteRateStore::FILE_NAME);
        Arc::new(SqliteRateStore::open(&path).unwrap())
    }

    llmopt_storage::rate_store_conformance!(open);

    #[tokio::test]
    async fn what_nobody_asks_for_is_forgotten_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteRateStore::open(&folder.path().join("rates.db")).unwrap();
        let rate = Rate {
            period_us: NonZeroU64::new(1_000_000).unwrap(),
            burst: NonZeroU32::new(2).unwrap(),
        };
        let take = |id: String, now_us| {
            let store = &store;
            async move {
                store
                    .take(&id, rate, now_us, NonZeroU32::MIN)
                    .await
                    .unwrap()
            }
        };
        let hour = FORGOTTEN_US;
        for address in 0..50 {
            take(format!("old{address}"), hour).await.unwrap();
        }
        take("busy".to_owned(), 2 * hour + 5_000_000).await.unwrap();
        for address in 0..50 {
            take(format!("new{address}"), 2 * hour + 5_000_000)
                .await
                .unwrap();
        }
        let work = |transaction: &Transaction<'_>| {
            let count = "SELECT count(*) FROM rates";
            Ok(transaction.query_row(count, [], |row| row.get::<_, u64>(0))?)
        };
        assert_eq!(
            store.database.read("count", "rates", work).await.unwrap(),
            51
        );
        take("busy".to_owned(), 2 * hour + 5_000_000).await.unwrap();
        assert!(take("busy".to_owned(), 2 * hour + 5_000_000).await.is_err());
    }
}
