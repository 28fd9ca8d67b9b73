//! A store whose calls are watched, and may be lost, unanswered or late.

use std::{future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
use llmopt_domain::Picodollars;
use llmopt_storage::{
    SpendStore, StorageError,
    spend::{
        Budget, BudgetRow, BudgetScope, Closed, Hold, Lasting, LedgerEntry, Limit, Place,
        RequestId, Reservation, RowKey, Sent, Step, Taken, Wanted,
    },
};
use tokio::time::sleep;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done and answered.
    Answered,
    /// It never arrives.
    Lost,
    /// It is done, and its answer is lost.
    Unanswered,
    /// It arrives when its caller has given up.
    Late,
    /// It never ends.
    Never,
}

/// Decides what happens to a call of this name.
pub(crate) type Fates = Arc<dyn Fn(&'static str) -> Fate + Send + Sync>;

/// How late a late call is.
pub(crate) const LATE: Duration = Duration::from_millis(15);

/// How a store does the steps of a request that follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// As DynamoDB does.
    OneByOne,
    /// As SQLite does.
    Together,
}

/// Stands between who spends and the store.
pub(crate) struct Between {
    store: Arc<dyn SpendStore>,
    steps: Steps,
    fates: Fates,
}

fn lost() -> StorageError {
    StorageError::Unavailable {
        operation: "ask",
        subject: "the store".to_owned(),
        source: "the call was lost".into(),
    }
}

impl Between {
    pub(crate) fn new(store: Arc<dyn SpendStore>, steps: Steps, fates: Fates) -> Self {
        Self {
            store,
            steps,
            fates,
        }
    }

    async fn call<T, F, C>(&self, name: &'static str, call: C) -> Result<T, StorageError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StorageError>> + Send + 'static,
        C: FnOnce(Arc<dyn SpendStore>) -> F + Send,
    {
        let fate = (self.fates)(name);
        let called = call(Arc::clone(&self.store));
        match fate {
            Fate::Answered => called.await,
            Fate::Lost => Err(lost()),
            Fate::Unanswered => called.await.and(Err(lost())),
            Fate::Late => {
                tokio::spawn(async move {
                    sleep(LATE).await;
                    // Nobody waits for it.
                    drop(called.await);
                });
                Err(lost())
            }
            Fate::Never => pending().await,
        }
    }
}

#[async_trait]
impl SpendStore for Between {
    async fn budget(&self, scope: &BudgetScope) -> Result<Option<Budget>, StorageError> {
        let scope = scope.clone();
        self.call("budget", |it| async move { it.budget(&scope).await })
            .await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, StorageError> {
        self.call("budgets", |it| async move { it.budgets().await })
            .await
    }

    async fn put_budget(&self, budget: &Budget) -> Result<(), StorageError> {
        let budget = budget.clone();
        self.call(
            "put_budget",
            |it| async move { it.put_budget(&budget).await },
        )
        .await
    }

    async fn row(&self, key: &RowKey) -> Result<Option<BudgetRow>, StorageError> {
        let key = key.clone();
        self.call("row", |it| async move { it.row(&key).await })
            .await
    }

    async fn open_row(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        let (key, limit) = (key.clone(), limit.clone());
        self.call(
            "open_row",
            |it| async move { it.open_row(&key, &limit).await },
        )
        .await
    }

    async fn set_limit(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError> {
        let (key, limit) = (key.clone(), limit.clone());
        self.call(
            "set_limit",
            |it| async move { it.set_limit(&key, &limit).await },
        )
        .await
    }

    async fn take(&self, key: &RowKey, wanted: &Wanted) -> Result<Taken, StorageError> {
        let (key, wanted) = (key.clone(), wanted.clone());
        self.call("take", |it| async move { it.take(&key, &wanted).await })
            .await
    }

    async fn finish(
        &self,
        key: &RowKey,
        request: &RequestId,
        hold: &Hold,
        spent: Picodollars,
    ) -> Result<Option<BudgetRow>, StorageError> {
        let (key, request, hold) = (key.clone(), request.clone(), *hold);
        self.call("finish", |it| async move {
            it.finish(&key, &request, &hold, spent).await
        })
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
        self.call("claim_alert", |it| async move {
            it.claim_alert(&key, percent, now_ms, until_ms).await
        })
        .await
    }

    async fn confirm_alert(&self, key: &RowKey, percent: u8) -> Result<(), StorageError> {
        let key = key.clone();
        self.call("confirm_alert", |it| async move {
            it.confirm_alert(&key, percent).await
        })
        .await
    }

    async fn begin(&self, reservation: &Reservation) -> Result<Option<Reservation>, StorageError> {
        let reservation = reservation.clone();
        self.call("begin", |it| async move { it.begin(&reservation).await })
            .await
    }

    async fn reservation(&self, request: &RequestId) -> Result<Option<Reservation>, StorageError> {
        let request = request.clone();
        self.call(
            "reservation",
            |it| async move { it.reservation(&request).await },
        )
        .await
    }

    async fn change(
        &self,
        known: &Reservation,
        step: &Step,
    ) -> Result<Result<Reservation, Reservation>, StorageError> {
        let (known, step) = (known.clone(), step.clone());
        self.call(name_of(&step), |it| async move {
            it.change(&known, &step).await
        })
        .await
    }

    async fn begin_sent(
        &self,
        reservation: &Reservation,
        rows: &[(RowKey, Limit)],
    ) -> Result<Option<Sent>, StorageError> {
        if self.steps == Steps::OneByOne {
            return Ok(None);
        }
        let (reservation, rows) = (reservation.clone(), rows.to_vec());
        let sent = self.call("begin_sent", |it| async move {
            it.begin_sent(&reservation, &rows).await
        });
        let Some(sent) = sent.await? else {
            return Ok(None);
        };
        let lasting = match (self.fates)("lasts") {
            Fate::Answered => sent.lasting,
            // When the question is on its way.
            Fate::Lost | Fate::Unanswered | Fate::Late => Lasting::after(async {
                sleep(LATE).await;
                Err(lost())
            }),
            Fate::Never => Lasting::after(pending()),
        };
        Ok(Some(Sent { lasting, ..sent }))
    }

    async fn settle_closed(
        &self,
        known: &Reservation,
        entry: &LedgerEntry,
        forget_ms: u64,
    ) -> Result<Option<Closed>, StorageError> {
        if self.steps == Steps::OneByOne {
            return Ok(None);
        }
        let (known, entry) = (known.clone(), entry.clone());
        self.call("settle_closed", |it| async move {
            it.settle_closed(&known, &entry, forget_ms).await
        })
        .await
    }

    async fn unfinished(
        &self,
        until_ms: u64,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StorageError> {
        let after = after.cloned();
        self.call("unfinished", |it| async move {
            it.unfinished(until_ms, after.as_ref(), limit).await
        })
        .await
    }

    async fn append(&self, entry: &LedgerEntry) -> Result<(), StorageError> {
        let entry = entry.clone();
        self.call("append", |it| async move { it.append(&entry).await })
            .await
    }

    async fn ledger(
        &self,
        day: &str,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StorageError> {
        let (day, after) = (day.to_owned(), after.cloned());
        self.call("ledger", |it| async move {
            it.ledger(&day, after.as_ref(), limit).await
        })
        .await
    }
}

fn name_of(step: &Step) -> &'static str {
    match step {
        Step::Open { .. } => "open",
        Step::Send => "send",
        Step::Settle { .. } => "settle",
        Step::Release => "release",
        Step::Close { .. } => "close",
    }
}
