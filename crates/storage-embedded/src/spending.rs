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
    /// was marked as sent and lasts ([`Sent::lasting`]); it may take back how the last of them were settled at once, which
    /// is as if that had not been tried.
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

    /// Whether what is about to be sent can be kept, as far as that is known.
    fn trust_disk(&self) -> Result<(), StorageError> {
        self.flusher.as_ref().map_or(Ok(()), Flusher::trust)
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
        if matches!(step, Step::Send) {
            self.trust_disk()?;
        }
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
        self.trust_disk()?;
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
mod tests;
