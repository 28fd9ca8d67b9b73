//! The port on a store in memory: each call is one step.

use std::fmt;

use async_trait::async_trait;
use llmopt_domain::Picodollars;
use llmopt_storage::{
    SpendStore, StorageError,
    spend::{
        Budget, BudgetRow, BudgetScope, Closed, Hold, Lasting, LedgerEntry, Limit, Place,
        RequestId, Reservation, RowKey, Sent, Step, TOLD, Taken, Wanted,
    },
};

use super::memory::{Memory, MemoryStore, Turn};

pub(super) fn unavailable() -> StorageError {
    StorageError::Unavailable {
        operation: "ask",
        subject: "memory".to_owned(),
        source: "the call was lost".into(),
    }
}

fn conflict(what: impl fmt::Display) -> StorageError {
    StorageError::Conflict {
        subject: what.to_string(),
    }
}

#[async_trait]
impl SpendStore for MemoryStore {
    async fn budget(&self, scope: &BudgetScope) -> Result<Option<Budget>, StorageError> {
        let scope = scope.clone();
        self.step(move |memory| Ok(memory.budgets.get(&scope).cloned()))
            .await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, StorageError> {
        self.step(|memory| Ok(memory.budgets.values().cloned().collect()))
            .await
    }

    async fn put_budget(&self, budget: &Budget) -> Result<(), StorageError> {
        let budget = budget.clone();
        self.step(move |memory| {
            let known = memory.budgets.get(&budget.scope);
            let follows = known.map_or(0, |known| known.revision) + 1 == budget.revision;
            if known != Some(&budget) && !follows {
                return Err(conflict(&budget.scope));
            }
            memory.budgets.insert(budget.scope.clone(), budget);
            Ok(())
        })
        .await
    }

    async fn row(&self, key: &RowKey) -> Result<Option<BudgetRow>, StorageError> {
        let key = key.clone();
        self.step(move |memory| Ok(memory.rows.get(&key).cloned()))
            .await
    }

    async fn open_row(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        let (key, limit) = (key.clone(), limit.clone());
        self.step(move |memory| {
            let row = memory.rows.entry(key);
            row.or_insert_with(|| BudgetRow::new(limit));
            Ok(())
        })
        .await
    }

    async fn set_limit(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        let (key, limit) = (key.clone(), limit.clone());
        self.step(move |memory| {
            memory.set_limit(&key, &limit);
            Ok(())
        })
        .await
    }

    async fn take(&self, key: &RowKey, wanted: &Wanted) -> Result<Taken, StorageError> {
        let take = || {
            let (key, wanted) = (key.clone(), wanted.clone());
            move |memory: &mut Memory| Ok(memory.take(&key, &wanted))
        };
        // As an adapter over a network does.
        match self.step(take()).await {
            Err(StorageError::Unavailable { .. }) => self.step(take()).await,
            other => other,
        }
    }

    async fn finish(
        &self,
        key: &RowKey,
        request: &RequestId,
        hold: &Hold,
        spent: Picodollars,
    ) -> Result<Option<BudgetRow>, StorageError> {
        let (key, request, hold) = (key.clone(), request.clone(), *hold);
        self.step(move |memory| Ok(memory.finish(&key, &request, hold, spent)))
            .await
    }

    async fn claim_alert(
        &self,
        key: &RowKey,
        percent: u8,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<bool, StorageError> {
        let key = key.clone();
        self.step(move |memory| {
            let Some(row) = memory.rows.get_mut(&key) else {
                return Ok(false);
            };
            let known = row.alerts.entry(percent).or_default();
            let is_free = *known <= now_ms;
            if is_free {
                *known = until_ms;
            }
            Ok(is_free)
        })
        .await
    }

    async fn confirm_alert(&self, key: &RowKey, percent: u8) -> Result<(), StorageError> {
        let key = key.clone();
        self.step(move |memory| {
            if let Some(row) = memory.rows.get_mut(&key) {
                row.alerts.insert(percent, TOLD);
            }
            Ok(())
        })
        .await
    }

    async fn begin(&self, reservation: &Reservation) -> Result<Option<Reservation>, StorageError> {
        let reservation = reservation.clone();
        self.step(move |memory| {
            let there = memory.reservations.get(&reservation.request).cloned();
            if there.is_none() {
                let request = reservation.request.clone();
                memory.reservations.insert(request, reservation);
            }
            Ok(there)
        })
        .await
    }

    async fn reservation(&self, request: &RequestId) -> Result<Option<Reservation>, StorageError> {
        let request = request.clone();
        self.step(move |memory| Ok(memory.reservations.get(&request).cloned()))
            .await
    }

    async fn change(
        &self,
        known: &Reservation,
        step: &Step,
    ) -> Result<Result<Reservation, Reservation>, StorageError> {
        let (request, step) = (known.request.clone(), step.clone());
        self.step(move |memory| {
            memory
                .change(&request, &step)
                .ok_or_else(|| StorageError::NoRecord {
                    kind: "reservation",
                    id: request.to_string(),
                })
        })
        .await
    }

    async fn begin_sent(
        &self,
        reservation: &Reservation,
        rows: &[(RowKey, Limit)],
    ) -> Result<Option<Sent>, StorageError> {
        let (reservation, rows) = (reservation.clone(), rows.to_vec());
        let sent = self.step(move |memory| Ok(memory.begin_sent(&reservation, &rows)));
        let sent = sent.await?;
        let lasts = self.step(|_| Ok(())).await;
        Ok(sent.map(|reservation| Sent {
            reservation,
            lasting: Lasting::after(async {
                Turn::default().await;
                lasts
            }),
        }))
    }

    async fn settle_closed(
        &self,
        _known: &Reservation,
        entry: &LedgerEntry,
        forget_ms: u64,
    ) -> Result<Option<Closed>, StorageError> {
        let entry = entry.clone();
        self.step(move |memory| Ok(memory.settle_closed(&entry, forget_ms)))
            .await
    }

    async fn unfinished(
        &self,
        until_ms: u64,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StorageError> {
        let after = after.cloned();
        self.step(move |memory| {
            let reservations = memory.reservations.values();
            let mut found: Vec<Reservation> = reservations
                .filter(|it| it.forget_ms.is_none() && it.expires_ms <= until_ms)
                .filter(|it| Some(it.place()) > after)
                .cloned()
                .collect();
            found.sort_by_key(Reservation::place);
            found.truncate(limit as usize);
            Ok(found)
        })
        .await
    }

    async fn append(&self, entry: &LedgerEntry) -> Result<(), StorageError> {
        let entry = entry.clone();
        self.step(move |memory| {
            let request = entry.request.clone();
            let kept = memory
                .ledger
                .entry(request)
                .or_insert_with(|| entry.clone());
            if *kept == entry {
                return Ok(());
            }
            let (kind, id) = ("ledger entry", entry.request.to_string());
            Err(StorageError::RecordExists { kind, id })
        })
        .await
    }

    async fn ledger(
        &self,
        day: &str,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StorageError> {
        let (day, after) = (day.to_owned(), after.cloned());
        self.step(move |memory| {
            let entries = memory.ledger.values();
            let mut found: Vec<LedgerEntry> = entries
                .filter(|it| it.day == day && Some(it.place()) > after)
                .cloned()
                .collect();
            found.sort_by_key(LedgerEntry::place);
            found.truncate(limit as usize);
            Ok(found)
        })
        .await
    }
}
