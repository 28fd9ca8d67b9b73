use std::collections::BTreeSet;

use llmopt_domain::Picodollars;
use llmopt_storage::spend::{BudgetRow, Place, Reservation, ReservationState, RowKey, Step};

use crate::{Moment, Spending, SpendingError, ask::assumed};

/// How many reservations are read at once.
const PAGE: u32 = 100;
/// How often one may change between our looks at it.
const TRIES: u32 = 4;
/// How old a hold is, in milliseconds, before its reservation is looked for: no call is on its way so long.
const ORPHAN_MS: u64 = 900_000;

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Requests that cost their bound: they may have been sent, and nobody came back.
    pub settled: u64,
    /// Requests that were never sent, and got their bound back.
    pub released: u64,
    /// Requests whose cost was known, and was not spent everywhere.
    pub finished: u64,
    /// Holds of requests that had ended.
    pub orphans: u64,
    /// Alerts that were told.
    pub alerts: u64,
    /// What could not be done; the log says why, and the next sweep tries again.
    pub failed: u64,
}

impl Swept {
    /// Writes it to the log, where there is anything to say.
    pub fn log(self) {
        if self == Self::default() {
            return;
        }
        let Self {
            settled,
            released,
            finished,
            orphans,
            alerts,
            failed,
        } = self;
        tracing::info!(
            settled,
            released,
            finished,
            orphans,
            alerts,
            failed,
            "what was abandoned of requests to commercial models is settled"
        );
    }
}

impl Spending {
    /// Ends what was abandoned: what expired at `now_ms` or before is settled at its bound if it may have been
    /// sent, and released if not; what was begun is finished, and what was not told is. Any number of processes
    /// may sweep at the same time, beside whoever is slow.
    ///
    /// # Errors
    /// Those of the store, where it cannot list.
    pub async fn sweep(&self, now_ms: u64) -> Result<Swept, SpendingError> {
        let mut swept = Swept::default();
        let mut after: Option<Place> = None;
        loop {
            let page = self.store.unfinished(now_ms, after.as_ref(), PAGE).await?;
            for reservation in &page {
                if let Err(error) = self.end(reservation, now_ms, &mut swept).await {
                    swept.failed += 1;
                    failed(&reservation.request, &error);
                }
            }
            after = page.last().map(Reservation::place);
            if page.len() < PAGE as usize {
                break;
            }
        }
        self.sweep_rows(now_ms, &mut swept).await?;
        Ok(swept)
    }

    async fn end(
        &self,
        reservation: &Reservation,
        now_ms: u64,
        swept: &mut Swept,
    ) -> Result<(), SpendingError> {
        let mut there = reservation.clone();
        for _ in 0..TRIES {
            let (step, count) = match &there.state {
                ReservationState::Pending | ReservationState::Open { sent: false, .. } => {
                    (Step::Release, &mut swept.released)
                }
                ReservationState::Open { sent: true, .. } => {
                    let entry = Box::new(assumed(&there, now_ms));
                    (Step::Settle { entry }, &mut swept.settled)
                }
                ReservationState::Settled { .. } | ReservationState::Released => {
                    self.finish(&there, now_ms).await?;
                    swept.finished += 1;
                    return Ok(());
                }
            };
            match self.store.change(&there, &step).await? {
                Ok(ended) => {
                    *count += 1;
                    return self.finish(&ended, now_ms).await;
                }
                // Whoever has it was slow, and is there.
                Err(changed) => there = changed,
            }
        }
        let request = &there.request;
        tracing::error!(%request, "a sweep left a request for the next one: it changed all the time");
        swept.failed += 1;
        Ok(())
    }

    /// Looks at the rows that every budget may have, and at those of the windows before.
    async fn sweep_rows(&self, now_ms: u64, swept: &mut Swept) -> Result<(), SpendingError> {
        let moment = Moment::new(now_ms);
        let mut keys = BTreeSet::new();
        for budget in self.store.budgets().await? {
            for moment in [&moment, &moment.before()] {
                keys.extend(moment.rows(&budget.scope));
            }
        }
        for key in keys {
            if let Err(error) = self.sweep_row(&key, now_ms, swept).await {
                swept.failed += 1;
                failed(&key, &error);
            }
        }
        Ok(())
    }

    async fn sweep_row(
        &self,
        key: &RowKey,
        now_ms: u64,
        swept: &mut Swept,
    ) -> Result<(), SpendingError> {
        let Some(row) = self.store.row(key).await? else {
            return Ok(());
        };
        swept.alerts += self.tell_due(key, &row, now_ms).await?;
        swept.orphans += self.drop_orphans(key, &row, now_ms).await?;
        Ok(())
    }

    /// Ends holds that a take put which arrived after its request had ended, and returns how many.
    async fn drop_orphans(
        &self,
        key: &RowKey,
        row: &BudgetRow,
        now_ms: u64,
    ) -> Result<u64, SpendingError> {
        let mut dropped = 0;
        for (request, hold) in &row.holds {
            if hold.taken_ms.saturating_add(ORPHAN_MS) > now_ms {
                continue;
            }
            let reservation = self.store.reservation(request).await?;
            if reservation.is_some_and(|it| it.forget_ms.is_none()) {
                continue;
            }
            let finished = self.store.finish(key, request, hold, Picodollars::ZERO);
            dropped += u64::from(finished.await?.is_some());
        }
        Ok(dropped)
    }
}

fn failed(what: &dyn std::fmt::Display, error: &SpendingError) {
    let error: &dyn std::error::Error = error;
    tracing::error!(%what, error, "a sweep left something for the next one");
}
