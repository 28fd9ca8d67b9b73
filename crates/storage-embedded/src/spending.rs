use std::path::Path;

use async_trait::async_trait;
use llmopt_domain::Picodollars;
use llmopt_storage::{
    SpendStore, StorageError,
    spend::{
        Budget, BudgetRow, BudgetScope, Closed, Hold, Lasting, LedgerEntry, Limit, Place,
        RequestId, Reservation, RowKey, Sent, Step, Taken, Wanted,
    },
};
use rusqlite::Transaction;

use crate::{
    database::{Database, SPENDING, Synchronous},
    flush::Flusher,
};

mod books;
mod rows;
mod together;

/// A [`SpendStore`] in an SQLite database of its own: what requests cost is much beside records.
pub struct SqliteSpendStore {
    database: Database,
    lasting: Synchronous,
    /// Waits for the disk beside the database; there where anything is to last.
    flusher: Option<Flusher>,
}

impl SqliteSpendStore {
    /// What the file is called in a data directory.
    pub const FILE_NAME: &str = "spending.db";

    /// Keeps budgets in the file `path`, which is made if it is not there. A loss of power takes back no reservation that
    /// was marked as sent; it may take back how the last of them were settled at once, which is as if that had not been
    /// tried.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Self::open_as(path, Synchronous::Full)
    }

    /// As [`SqliteSpendStore::open`]; with [`Synchronous::Normal`] nothing waits for the disk, and a loss of power
    /// may take back any of the last steps: what was sent and is not known any more is not counted.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_as(path: &Path, lasting: Synchronous) -> Result<Self, StorageError> {
        let database = Database::open_as(path, &SPENDING)?;
        let flusher = match lasting {
            Synchronous::Normal => None,
            Synchronous::Full => Some(Flusher::start(&database.written_ahead())?),
        };
        Ok(Self {
            database,
            lasting,
            flusher,
        })
    }
}

#[async_trait]
impl SpendStore for SqliteSpendStore {
    async fn budget(&self, scope: &BudgetScope) -> Result<Option<Budget>, StorageError> {
        let owned = scope.clone();
        let work = move |transaction: &Transaction<'_>| books::budget(transaction, &owned);
        let subject = scope.as_str();
        self.database.look_up("read", subject, work).await
    }

    async fn budgets_of(
        &self,
        scopes: &[BudgetScope],
    ) -> Result<Vec<Option<Budget>>, StorageError> {
        let owned = scopes.to_vec();
        let work = move |transaction: &Transaction<'_>| {
            let found = owned.iter().map(|scope| books::budget(transaction, scope));
            found.collect()
        };
        self.database.look_up("read", "budgets", work).await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, StorageError> {
        self.database.read("list", "budgets", books::budgets).await
    }

    async fn put_budget(&self, budget: &Budget) -> Result<(), StorageError> {
        let owned = budget.clone();
        let work = move |transaction: &Transaction<'_>| books::put_budget(transaction, &owned);
        let subject = budget.scope.as_str();
        let what = ("change", subject);
        self.database.write_as(self.lasting, what, work).await
    }

    async fn row(&self, key: &RowKey) -> Result<Option<BudgetRow>, StorageError> {
        let owned = key.clone();
        let work = move |transaction: &Transaction<'_>| Ok(rows::row(transaction, &owned)?);
        let subject = key.to_string();
        self.database.look_up("read", &subject, work).await
    }

    async fn open_row(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        let (owned, limit) = (key.clone(), limit.clone());
        let work =
            move |transaction: &Transaction<'_>| Ok(rows::open(transaction, &owned, &limit)?);
        self.database.write("open", &key.to_string(), work).await
    }

    async fn set_limit(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        let (owned, limit) = (key.clone(), limit.clone());
        let work =
            move |transaction: &Transaction<'_>| Ok(rows::set_limit(transaction, &owned, &limit)?);
        let subject = key.to_string();
        self.database.write("limit", &subject, work).await
    }

    async fn take(&self, key: &RowKey, wanted: &Wanted) -> Result<Taken, StorageError> {
        let (owned, wanted) = (key.clone(), wanted.clone());
        let work =
            move |transaction: &Transaction<'_>| Ok(rows::take(transaction, &owned, &wanted)?);
        let subject = key.to_string();
        self.database.write("take from", &subject, work).await
    }

    async fn finish(
        &self,
        key: &RowKey,
        request: &RequestId,
        hold: &Hold,
        spent: Picodollars,
    ) -> Result<Option<BudgetRow>, StorageError> {
        let (owned, request, hold) = (key.clone(), request.clone(), *hold);
        let work = move |transaction: &Transaction<'_>| {
            Ok(rows::finish(transaction, &owned, &request, hold, spent)?)
        };
        let subject = key.to_string();
        self.database.write("spend from", &subject, work).await
    }

    async fn claim_alert(
        &self,
        key: &RowKey,
        percent: u8,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<bool, StorageError> {
        let owned = key.clone();
        let work = move |transaction: &Transaction<'_>| {
            Ok(rows::claim_alert(
                transaction,
                &owned,
                percent,
                now_ms,
                until_ms,
            )?)
        };
        let subject = key.to_string();
        self.database
            .write("claim an alert of", &subject, work)
            .await
    }

    async fn confirm_alert(&self, key: &RowKey, percent: u8) -> Result<(), StorageError> {
        let owned = key.clone();
        let work = move |transaction: &Transaction<'_>| {
            Ok(rows::confirm_alert(transaction, &owned, percent)?)
        };
        let subject = key.to_string();
        self.database
            .write("note an alert of", &subject, work)
            .await
    }

    async fn begin(&self, reservation: &Reservation) -> Result<Option<Reservation>, StorageError> {
        let owned = reservation.clone();
        let work = move |transaction: &Transaction<'_>| books::begin(transaction, &owned);
        let subject = reservation.request.as_str();
        self.database.write("reserve for", subject, work).await
    }

    async fn reservation(&self, request: &RequestId) -> Result<Option<Reservation>, StorageError> {
        let owned = request.clone();
        let work = move |transaction: &Transaction<'_>| books::reservation(transaction, &owned);
        let subject = request.as_str();
        self.database.look_up("read", subject, work).await
    }

    async fn change(
        &self,
        known: &Reservation,
        step: &Step,
    ) -> Result<Result<Reservation, Reservation>, StorageError> {
        let synchronous = match step {
            Step::Send | Step::Settle { .. } => self.lasting,
            Step::Open { .. } | Step::Release | Step::Close { .. } => Synchronous::Normal,
        };
        let (request, step) = (known.request.clone(), step.clone());
        let work = move |transaction: &Transaction<'_>| books::change(transaction, &request, &step);
        let what = ("change", known.request.as_str());
        self.database.write_as(synchronous, what, work).await
    }

    async fn begin_sent(
        &self,
        reservation: &Reservation,
        rows: &[(RowKey, Limit)],
    ) -> Result<Option<Sent>, StorageError> {
        let (owned, rows) = (reservation.clone(), rows.to_vec());
        let work =
            move |transaction: &Transaction<'_>| together::begin_sent(transaction, &owned, &rows);
        let what = ("reserve for", reservation.request.as_str());
        // Whoever has to wait for the disk anyway shares a transaction with others who do.
        let beside = self.flusher.as_ref().filter(|it| it.is_idle());
        let synchronous = beside.map_or(self.lasting, |_| Synchronous::Normal);
        let sent = self.database.write_or_undo(synchronous, what, work).await?;
        Ok(sent.map(|reservation| Sent {
            reservation,
            lasting: beside.map_or_else(Lasting::already, |it| Lasting::after(it.flush())),
        }))
    }

    async fn settle_closed(
        &self,
        known: &Reservation,
        entry: &LedgerEntry,
        forget_ms: u64,
    ) -> Result<Option<Closed>, StorageError> {
        let entry = Box::new(entry.clone());
        let work = move |transaction: &Transaction<'_>| {
            together::settle_closed(transaction, entry, forget_ms)
        };
        // Whom a loss of power takes it from has the reservation still, which is swept at its bound: no less than this.
        let synchronous = Synchronous::Normal;
        let what = ("settle", known.request.as_str());
        self.database.write_or_undo(synchronous, what, work).await
    }

    async fn unfinished(
        &self,
        until_ms: u64,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StorageError> {
        let after = after.cloned();
        let work = move |transaction: &Transaction<'_>| {
            books::unfinished(transaction, until_ms, after.as_ref(), limit)
        };
        self.database.read("list", "reservations", work).await
    }

    async fn append(&self, entry: &LedgerEntry) -> Result<(), StorageError> {
        let owned = entry.clone();
        let work = move |transaction: &Transaction<'_>| books::append(transaction, &owned);
        let subject = entry.request.as_str();
        self.database.write("enter", subject, work).await
    }

    async fn ledger(
        &self,
        day: &str,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StorageError> {
        let (owned, after) = (day.to_owned(), after.cloned());
        let work = move |transaction: &Transaction<'_>| {
            books::ledger(transaction, &owned, after.as_ref(), limit)
        };
        self.database.read("list", day, work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const RESERVATION: &str = r#"{"format":1,"request":"r1","version":1,"created_ms":1,"expires_ms":9,"day":"1970-01-01",
        "bound":10,"rows":[],"asked":{"key":"k","model":"gpt","provider":"openai","price_version":"7"},"state":"pending","forget_ms":null}"#;
    const ENTRY: &str = r#"{"format":1,"request":"r1","day":"1970-01-01","reserved_ms":1,"settled_ms":2,"asked":{"key":"k",
        "model":"gpt","provider":"openai","price_version":"7"},"bound":10,"cost":3,"usage":{},"basis":"measured","attempts":[],"rows":[]}"#;

    fn open(root: &Path) -> Arc<dyn SpendStore> {
        let path = root.join(SqliteSpendStore::FILE_NAME);
        Arc::new(SqliteSpendStore::open(&path).unwrap())
    }

    llmopt_storage::spend_store_conformance!(open);

    #[tokio::test]
    async fn several_steps_are_done_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let reservation = reservation("r1");
        let sent = store.begin_sent(&reservation, &[]).await.unwrap().unwrap();
        sent.lasting.await.unwrap();
        let sent = sent.reservation;
        let entry = entry("r1");
        let closed = store.settle_closed(&sent, &entry, 99).await.unwrap();
        assert_eq!(closed.unwrap().reservation.forget_ms, Some(99));
    }

    /// What SQLite has `synchronous` at since the last write: 1 is `NORMAL`, 2 is `FULL`.
    async fn mode(store: &SqliteSpendStore) -> u8 {
        let work = |transaction: &Transaction<'_>| {
            Ok(transaction.pragma_query_value(None, "synchronous", |row| row.get(0))?)
        };
        store.database.read("read", "the mode", work).await.unwrap()
    }

    fn reservation(request: &str) -> Reservation {
        let json = RESERVATION.replace("r1", request);
        serde_json::from_str(&json).unwrap()
    }

    fn entry(request: &str) -> LedgerEntry {
        serde_json::from_str(&ENTRY.replace("r1", request)).unwrap()
    }

    /// Writes in each way; returns how each reached the disk.
    async fn modes(lasting: Synchronous) -> Vec<(&'static str, u8)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SqliteSpendStore::FILE_NAME);
        let store = SqliteSpendStore::open_as(&path, lasting).unwrap();
        let mut modes = Vec::new();
        let sent = store.begin_sent(&reservation("r1"), &[]).await;
        let sent = sent.unwrap().unwrap();
        modes.push(("reserve at once", mode(&store).await));
        let closed = store
            .settle_closed(&sent.reservation, &entry("r1"), 99)
            .await;
        assert!(closed.unwrap().is_some());
        modes.push(("settle at once", mode(&store).await));
        let pending = reservation("r2");
        assert_eq!(store.begin(&pending).await.unwrap(), None);
        modes.push(("begin", mode(&store).await));
        let entry = Box::new(entry("r2"));
        for (name, step) in [
            ("open", Step::Open { holds: Vec::new() }),
            ("send", Step::Send),
            ("settle", Step::Settle { entry }),
            ("close", Step::Close { forget_ms: 99 }),
        ] {
            store.change(&pending, &step).await.unwrap().unwrap();
            modes.push((name, mode(&store).await));
        }
        modes
    }

    #[tokio::test]
    async fn what_is_about_to_be_sent_is_on_the_disk_and_its_settlement_follows() {
        let expected = [
            // It is waited for beside this.
            ("reserve at once", 1),
            ("settle at once", 1),
            ("begin", 1),
            ("open", 1),
            ("send", 2),
            // What is above its bound is settled so, which no sweep would find again.
            ("settle", 2),
            ("close", 1),
        ];
        assert_eq!(modes(Synchronous::Full).await, expected);
        let all_normal = modes(Synchronous::Normal).await;
        assert!(
            all_normal.iter().all(|(_, mode)| *mode == 1),
            "{all_normal:?}"
        );
    }

    #[tokio::test]
    async fn what_the_disk_is_waited_for_is_beside_what_a_link_leads_to() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = folder.path().join(SqliteSpendStore::FILE_NAME);
        let real = elsewhere.path().join("real.db");
        std::os::unix::fs::symlink(&real, &path).unwrap();
        let store = SqliteSpendStore::open(&path).unwrap();
        let expected = elsewhere.path().canonicalize().unwrap().join("real.db-wal");
        assert_eq!(store.database.written_ahead(), expected);
        let sent = store.begin_sent(&reservation("r1"), &[]).await;
        sent.unwrap().unwrap().lasting.await.unwrap();
    }

    /// The file would be another if it were removed and made anew, and the disk would be waited for in vain.
    #[tokio::test]
    async fn what_the_disk_is_waited_for_is_what_is_written_whoever_else_has_the_database() {
        use std::os::unix::fs::MetadataExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SqliteSpendStore::FILE_NAME);
        let store = SqliteSpendStore::open(&path).unwrap();
        let file = || std::fs::metadata(store.database.written_ahead()).unwrap();
        let (before, mut most) = (file().ino(), 0);
        for number in 0..3 {
            let another = SqliteSpendStore::open(&path).unwrap();
            let wanted = reservation(&format!("r{number}"));
            let sent = another.begin_sent(&wanted, &[]).await;
            sent.unwrap().unwrap().lasting.await.unwrap();
            most = most.max(file().len());
            let truncate = |transaction: &Transaction<'_>| {
                let path = transaction.path().unwrap_or_default();
                let connection = rusqlite::Connection::open(path)?;
                let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
                Ok(connection.query_row(checkpoint, [], |row| row.get::<_, i64>(0))?)
            };
            drop(another);
            let read = store.database.read("read", "the file", truncate);
            read.await.unwrap();
            assert_eq!(file().ino(), before);
        }
        assert!(most > 0);
    }
}
