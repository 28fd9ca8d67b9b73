//! A store in memory that says when it breaks the promises of the port, and can be made to break them.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use async_trait::async_trait;
use llmopt_domain::Picodollars;
use llmopt_storage::{
    SpendStore, StorageError,
    spend::{
        After, Budget, BudgetRow, BudgetScope, Hold, LedgerEntry, Limit, Place, RequestId,
        Reservation, RowKey, Step, TOLD, Taken, Wanted, signed,
    },
};

/// What a store may do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// A take that is repeated takes again.
    TakesTwice,
    /// A hold that is not there any more is spent all the same.
    FinishesTwice,
    /// All holds of a request have one token.
    OneToken,
    /// That a request was sent is not kept.
    ForgetsSent,
    /// A limit that is set twice counts twice.
    LimitsTwice,
    /// What is settled can be settled again.
    SettlesTwice,
    /// More can be taken than is available.
    Lends,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done and answered.
    Answered,
    /// It never arrives.
    Lost,
    /// It is done, and its answer is lost.
    Unanswered,
    /// It arrives when its caller has long given up.
    Late,
}

type Op = Box<dyn FnOnce(&mut Memory) + Send>;

/// Decides the fate of each call.
pub(super) type Fates = Box<dyn FnMut() -> Fate + Send>;

#[derive(Default)]
pub(super) struct Memory {
    pub(super) budgets: BTreeMap<BudgetScope, Budget>,
    pub(super) rows: BTreeMap<RowKey, BudgetRow>,
    pub(super) reservations: BTreeMap<RequestId, Reservation>,
    pub(super) ledger: BTreeMap<RequestId, LedgerEntry>,
    /// What each row had taken of it, but for what was above its bound.
    taken: BTreeMap<RowKey, i64>,
    excess: BTreeMap<RowKey, i64>,
    late: Vec<Op>,
    tokens: u64,
    bug: Option<Bug>,
    /// The first promise that was broken.
    pub(super) broken: Option<String>,
}

/// A [`SpendStore`] whose every call is one step that others come before or after.
pub(super) struct MemoryStore {
    memory: Mutex<Memory>,
    fates: Mutex<Fates>,
}

/// Gives way once.
#[derive(Default)]
pub(super) struct Turn(bool);

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl MemoryStore {
    pub(super) fn new(fates: Fates, bug: Option<Bug>) -> Self {
        let memory = Memory {
            bug,
            ..Memory::default()
        };
        Self {
            memory: Mutex::new(memory),
            fates: Mutex::new(fates),
        }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one of the calls arrive that are late, if there is one.
    pub(super) fn arrive(&self, choice: u8) -> bool {
        let mut memory = self.memory();
        if memory.late.is_empty() {
            return false;
        }
        let at = usize::from(choice) % memory.late.len();
        let op = memory.late.swap_remove(at);
        op(&mut memory);
        memory.check();
        true
    }

    async fn step<T: Send + 'static>(
        &self,
        op: impl FnOnce(&mut Memory) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        Turn::default().await;
        let fate = (self.fates.lock().unwrap())();
        let mut memory = self.memory();
        let done = match fate {
            Fate::Answered => op(&mut memory),
            Fate::Lost => Err(unavailable()),
            Fate::Unanswered => op(&mut memory).and(Err(unavailable())),
            Fate::Late => {
                memory.late.push(Box::new(move |memory| drop(op(memory))));
                Err(unavailable())
            }
        };
        memory.check();
        done
    }
}

impl Memory {
    fn check(&mut self) {
        for (key, row) in &self.rows {
            let reserved = signed(row.reserved());
            let taken = signed(row.spent) + reserved - self.excess.get(key).unwrap_or(&0);
            let limit = signed(row.limit.amount);
            if row.available + signed(row.spent) + reserved != limit {
                self.broken.get_or_insert(format!("`{key}` does not add up: {row:?}"));
            }
            let before = self.taken.insert(key.clone(), taken).unwrap_or_default();
            if taken > limit && taken > before {
                self.broken.get_or_insert(format!("`{key}` is overdrawn: {row:?}"));
            }
        }
    }

    fn take(&mut self, key: &RowKey, wanted: &Wanted) -> Taken {
        self.tokens += 1;
        let (bug, tokens) = (self.bug, self.tokens);
        let Some(row) = self.rows.get_mut(key) else {
            return Taken::Absent;
        };
        match row.refusal(wanted) {
            Some(Taken::Held(_)) if bug == Some(Bug::TakesTwice) => {}
            Some(Taken::Short { .. }) if bug == Some(Bug::Lends) => {}
            Some(refusal) => return refusal,
            None => {}
        }
        let hold = Hold {
            amount: wanted.amount,
            token: if bug == Some(Bug::OneToken) { 1 } else { tokens },
            taken_ms: wanted.now_ms,
        };
        row.available -= signed(hold.amount);
        row.holds.insert(wanted.request.clone(), hold);
        Taken::Held(hold)
    }

    fn finish(
        &mut self,
        key: &RowKey,
        request: &RequestId,
        hold: Hold,
        spent: Picodollars,
    ) -> Option<BudgetRow> {
        let row = self.rows.get_mut(key)?;
        let is_there = row.holds.get(request) == Some(&hold);
        if !is_there && self.bug != Some(Bug::FinishesTwice) {
            return None;
        }
        if is_there {
            row.holds.remove(request);
            row.available += signed(hold.amount);
        }
        row.available -= signed(spent);
        row.spent = row.spent.checked_add(spent)?;
        let excess = signed(spent) - signed(hold.amount);
        *self.excess.entry(key.clone()).or_default() += excess.max(0);
        Some(row.clone())
    }

    fn change(&mut self, request: &RequestId, step: &Step) -> Option<Result<Reservation, Reservation>> {
        let there = self.reservations.get(request)?.clone();
        let after = match (self.bug, &there.state, step) {
            (Some(Bug::SettlesTwice), llmopt_storage::spend::ReservationState::Settled { holds, .. }, Step::Settle { entry }) => {
                let mut again = there.clone();
                again.state = llmopt_storage::spend::ReservationState::Settled {
                    holds: holds.clone(),
                    entry: entry.clone(),
                };
                After::Changed(Box::new(again))
            }
            _ => there.after(step),
        };
        Some(match after {
            After::Changed(after) => {
                let is_forgotten = self.bug == Some(Bug::ForgetsSent) && *step == Step::Send;
                if !is_forgotten {
                    self.reservations.insert(request.clone(), (*after).clone());
                }
                Ok(*after)
            }
            After::Same => Ok(there),
            After::Refused => Err(there),
        })
    }
}

fn unavailable() -> StorageError {
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
            let is_wrong = memory.bug == Some(Bug::LimitsTwice);
            let Some(row) = memory.rows.get_mut(&key) else {
                return Ok(());
            };
            if row.limit.revision < limit.revision {
                row.available += signed(limit.amount) - signed(row.limit.amount);
                row.limit = limit;
            } else if is_wrong && row.limit == limit {
                row.available += 1;
            }
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
            let kept = memory.ledger.entry(request).or_insert_with(|| entry.clone());
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

/// Opens the same store for the same folder.
fn open(root: &Path) -> Arc<dyn SpendStore> {
    static STORES: LazyLock<Mutex<HashMap<PathBuf, Arc<MemoryStore>>>> =
        LazyLock::new(Mutex::default);
    let mut stores = STORES.lock().unwrap();
    let store = stores.entry(root.to_owned()).or_insert_with(|| {
        let fates = Box::new(|| Fate::Answered);
        Arc::new(MemoryStore::new(fates, None))
    });
    Arc::clone(store) as Arc<dyn SpendStore>
}

mod conformance {
    use super::open;
    llmopt_storage::spend_store_conformance!(open);
}
