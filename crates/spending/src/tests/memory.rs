//! A store in memory that says when it breaks the promises of the port, and can be made to break them.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use llmopt_domain::Picodollars;
use llmopt_storage::{
    SpendStore, StorageError,
    spend::{
        After, Budget, BudgetRow, BudgetScope, Closed, Hold, LedgerEntry, Limit, RequestId,
        Reservation, ReservationState, RowKey, Step, Taken, Wanted, signed,
    },
};

use super::port::unavailable;

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
    /// Somebody else changes each reservation just before it ends.
    Contends,
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
    pub(super) bug: Option<Bug>,
    /// Whether several steps are done at once.
    pub(super) is_quick: bool,
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

    pub(super) async fn step<T: Send + 'static>(
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
                self.broken
                    .get_or_insert(format!("`{key}` does not add up: {row:?}"));
            }
            let before = self.taken.insert(key.clone(), taken).unwrap_or_default();
            if taken > limit && taken > before {
                self.broken
                    .get_or_insert(format!("`{key}` is overdrawn: {row:?}"));
            }
        }
    }

    pub(super) fn take(&mut self, key: &RowKey, wanted: &Wanted) -> Taken {
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
            token: if bug == Some(Bug::OneToken) {
                1
            } else {
                tokens
            },
            taken_ms: wanted.now_ms,
        };
        row.available -= signed(hold.amount);
        row.holds.insert(wanted.request.clone(), hold);
        Taken::Held(hold)
    }

    pub(super) fn finish(
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

    pub(super) fn begin_sent(
        &mut self,
        reservation: &Reservation,
        rows: &[(RowKey, Limit)],
    ) -> Option<Reservation> {
        let before = (self.rows.clone(), self.reservations.clone());
        let opened = self.try_begin_sent(reservation, rows);
        if opened.is_none() {
            (self.rows, self.reservations) = before;
        }
        opened
    }

    fn try_begin_sent(
        &mut self,
        reservation: &Reservation,
        rows: &[(RowKey, Limit)],
    ) -> Option<Reservation> {
        let request = &reservation.request;
        if !self.is_quick || self.reservations.contains_key(request) {
            return None;
        }
        self.reservations
            .insert(request.clone(), reservation.clone());
        let mut holds = Vec::new();
        for (key, limit) in rows {
            self.rows
                .entry(key.clone())
                .or_insert_with(|| BudgetRow::new(limit.clone()));
            self.set_limit(key, limit);
            let wanted = Wanted {
                request: request.clone(),
                amount: reservation.bound,
                revision: limit.revision,
                now_ms: reservation.created_ms,
            };
            match self.take(key, &wanted) {
                Taken::Held(hold) => holds.push(hold),
                _ => return None,
            }
        }
        self.change(request, &Step::Open { holds })?.ok()?;
        self.change(request, &Step::Send)?.ok()
    }

    pub(super) fn settle_closed(&mut self, entry: &LedgerEntry, forget_ms: u64) -> Option<Closed> {
        let request = &entry.request;
        let settle = Step::Settle {
            entry: Box::new(entry.clone()),
        };
        let there = self.reservations.get(request)?;
        if !self.is_quick || !matches!(there.after(&settle), After::Changed(_)) {
            return None;
        }
        let settled = self.change(request, &settle)?.ok()?;
        let ReservationState::Settled { holds, .. } = &settled.state else {
            return None;
        };
        self.ledger.insert(request.clone(), entry.clone());
        let finished = settled.rows.iter().zip(holds).filter_map(|(key, hold)| {
            Some((key.clone(), self.finish(key, request, *hold, entry.cost)?))
        });
        let rows = finished.collect();
        let reservation = self.change(request, &Step::Close { forget_ms })?.ok()?;
        Some(Closed { reservation, rows })
    }

    pub(super) fn set_limit(&mut self, key: &RowKey, limit: &Limit) {
        let is_wrong = self.bug == Some(Bug::LimitsTwice);
        let Some(row) = self.rows.get_mut(key) else {
            return;
        };
        if row.limit.revision < limit.revision {
            row.available += signed(limit.amount) - signed(row.limit.amount);
            row.limit = limit.clone();
        } else if is_wrong && row.limit == *limit {
            row.available += 1;
        }
    }

    pub(super) fn change(
        &mut self,
        request: &RequestId,
        step: &Step,
    ) -> Option<Result<Reservation, Reservation>> {
        let there = self.reservations.get(request)?.clone();
        let after = match (self.bug, &there.state, step) {
            (Some(Bug::Contends), _, Step::Settle { .. } | Step::Release) => After::Refused,
            (
                Some(Bug::SettlesTwice),
                ReservationState::Settled { holds, .. },
                Step::Settle { entry },
            ) => {
                let mut again = there.clone();
                again.state = ReservationState::Settled {
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

/// Opens the same store for the same folder.
fn open(root: &Path) -> Arc<dyn SpendStore> {
    static STORES: LazyLock<Mutex<HashMap<PathBuf, Arc<MemoryStore>>>> =
        LazyLock::new(Mutex::default);
    let mut stores = STORES.lock().unwrap();
    let store = stores.entry(root.to_owned()).or_insert_with(|| {
        let store = MemoryStore::new(Box::new(|| Fate::Answered), None);
        store.memory().is_quick = true;
        Arc::new(store)
    });
    Arc::clone(store) as Arc<dyn SpendStore>
}

mod conformance {
    use super::open;
    llmopt_storage::spend_store_conformance!(open);
}
