use llmopt_domain::Picodollars;
use llmopt_storage::spend::{
    Basis, BudgetRow, Hold, LedgerEntry, Reservation, ReservationState, RowKey, Step,
};

use crate::{BudgetAlert, Spending, SpendingError};

/// How long a closed reservation is kept, in milliseconds: who asks again within a week is told what came of it.
const KEPT_MS: u64 = 7 * 86_400_000;
/// How long whoever tells an alert has for it, in milliseconds, before another tells it.
const TELLING_MS: u64 = 60_000;

/// Returns from when on a reservation that is closed now may be forgotten.
pub(crate) fn forget_ms(now_ms: u64) -> u64 {
    now_ms.saturating_add(KEPT_MS)
}

impl Spending {
    /// Does what is left to do for a reservation that is settled or released. Anybody may, any number of times.
    pub(crate) async fn finish(
        &self,
        reservation: &Reservation,
        now_ms: u64,
    ) -> Result<(), SpendingError> {
        if reservation.forget_ms.is_some() {
            return Ok(());
        }
        match &reservation.state {
            ReservationState::Settled { holds, entry } => {
                self.spend(reservation, holds, entry, now_ms).await?;
            }
            ReservationState::Released => self.give_back(reservation).await?,
            ReservationState::Pending | ReservationState::Open { .. } => return Ok(()),
        }
        let step = Step::Close {
            forget_ms: forget_ms(now_ms),
        };
        drop(self.store.change(reservation, &step).await?);
        Ok(())
    }

    async fn spend(
        &self,
        reservation: &Reservation,
        holds: &[Hold],
        entry: &LedgerEntry,
        now_ms: u64,
    ) -> Result<(), SpendingError> {
        self.store.append(entry).await?;
        for (key, hold) in reservation.rows.iter().zip(holds) {
            let finished = self
                .store
                .finish(key, &reservation.request, hold, entry.cost);
            if let Some(row) = finished.await? {
                self.tell_due(key, &row, now_ms).await?;
            }
        }
        if let Basis::Overrun { reason } = &entry.basis {
            let alert = BudgetAlert::Overrun {
                request: entry.request.clone(),
                bound: entry.bound,
                cost: entry.cost,
                reason: reason.clone(),
            };
            if !self.tell(&alert).await {
                let request = entry.request.clone();
                return Err(SpendingError::Untold { request });
            }
        }
        Ok(())
    }

    /// Ends whatever holds a released reservation has.
    pub(crate) async fn give_back(&self, reservation: &Reservation) -> Result<(), SpendingError> {
        for key in &reservation.rows {
            let Some(row) = self.store.row(key).await? else {
                continue;
            };
            let request = &reservation.request;
            if let Some(hold) = row.holds.get(request) {
                let finished = self.store.finish(key, request, hold, Picodollars::ZERO);
                finished.await?;
            }
        }
        Ok(())
    }

    /// Tells the alerts of a row that are due; returns how many.
    pub(crate) async fn tell_due(
        &self,
        key: &RowKey,
        row: &BudgetRow,
        now_ms: u64,
    ) -> Result<u64, SpendingError> {
        let mut told = 0;
        for percent in row.due_alerts(now_ms) {
            let until_ms = now_ms.saturating_add(TELLING_MS);
            let claimed = self.store.claim_alert(key, percent, now_ms, until_ms);
            if !claimed.await? {
                continue;
            }
            let alert = BudgetAlert::Threshold {
                scope: key.scope.clone(),
                window: key.window.clone(),
                percent,
                spent: row.spent,
                limit: row.limit.amount,
            };
            if self.tell(&alert).await {
                self.store.confirm_alert(key, percent).await?;
                told += 1;
            }
        }
        Ok(told)
    }

    /// Returns whether an alert was told. One of a threshold that was not is told by a sweep.
    async fn tell(&self, alert: &BudgetAlert) -> bool {
        match self.alerts.tell(alert).await {
            Ok(()) => true,
            Err(error) => {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::error!(alert = alert.id(), error, "an alert could not be told");
                false
            }
        }
    }
}
