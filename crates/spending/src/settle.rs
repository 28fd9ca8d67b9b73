use llmopt_storage::spend::{Basis, LedgerEntry, RequestId, Reservation, ReservationState, Step};

use crate::{
    Settlement, Spending, SpendingError, Truth,
    error::OutOfOrder::{NotSent, Sent},
    finish::forget_ms,
};

impl Spending {
    /// Notes that the provider is about to be called. Only when this has returned the reservation may it be: from
    /// then on nothing is given back but what was not used.
    ///
    /// # Errors
    /// [`SpendingError::Gone`] if the reservation expired and was swept; after an error of the store it may be
    /// noted, and can be tried again, or settled at nothing.
    pub async fn mark_sent(&self, known: &Reservation) -> Result<Reservation, SpendingError> {
        match self.store.change(known, &Step::Send).await? {
            Ok(sent) => Ok(sent),
            Err(there) => Err(SpendingError::Gone {
                request: there.request,
            }),
        }
    }

    /// Settles what a request cost: it is spent from its budgets, the rest of the bound is available again, and
    /// the ledger has an entry. Once: doing it again says what was settled.
    ///
    /// # Errors
    /// [`SpendingError::AboveBound`] if the cost is above the bound and the truth has no reason for that;
    /// [`SpendingError::OutOfOrder`] if the request was not marked as sent; [`SpendingError::Gone`] if it was
    /// released. After an error of the store it may be settled: try again, else it is swept at its bound.
    pub async fn settle(
        &self,
        known: &Reservation,
        truth: &Truth,
    ) -> Result<Settlement, SpendingError> {
        let Some(entry) = truth.entry(known) else {
            return Err(SpendingError::AboveBound {
                request: known.request.clone(),
                cost: truth.cost,
                bound: known.bound,
            });
        };
        if !matches!(entry.basis, Basis::Overrun { .. })
            && let Some(settlement) = self.settle_at_once(known, &entry).await?
        {
            return Ok(settlement);
        }
        let entry = Box::new(entry);
        let step = Step::Settle {
            entry: entry.clone(),
        };
        let (there, settlement) = match self.store.change(known, &step).await? {
            Ok(settled) => (settled, Settlement::Settled(*entry)),
            Err(there) => {
                let before = match &there.state {
                    ReservationState::Settled { entry, .. } => entry.as_ref().clone(),
                    ReservationState::Released => {
                        let request = there.request;
                        return Err(SpendingError::Gone { request });
                    }
                    ReservationState::Pending | ReservationState::Open { .. } => {
                        return Err(SpendingError::OutOfOrder(NotSent(there.request)));
                    }
                };
                (there, Settlement::Before(before))
            }
        };
        self.finish_or_leave(&there, truth.now_ms).await;
        Ok(settlement)
    }

    /// Settles and finishes in one step, where the store does that. Alerts are of rows, and a sweep tells those that
    /// nobody told; of a cost above its bound it learns only while the reservation is not closed.
    async fn settle_at_once(
        &self,
        known: &Reservation,
        entry: &LedgerEntry,
    ) -> Result<Option<Settlement>, SpendingError> {
        let now_ms = entry.settled_ms;
        let closed = self
            .store
            .settle_closed(known, entry, forget_ms(now_ms))
            .await?;
        let Some(closed) = closed else {
            return Ok(None);
        };
        for (key, row) in &closed.rows {
            if let Err(error) = self.tell_due(key, row, now_ms).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(%key, error, "an alert is left to be swept");
            }
        }
        Ok(Some(Settlement::Settled(entry.clone())))
    }

    /// Returns what is reserved for a request, or became of that; `None` where nothing was, or it was more than a week ago.
    ///
    /// # Errors
    /// [`SpendingError::Storage`].
    pub async fn reservation(
        &self,
        request: &RequestId,
    ) -> Result<Option<Reservation>, SpendingError> {
        Ok(self.store.reservation(request).await?)
    }

    /// Gives back what was reserved for a request that was not sent.
    ///
    /// # Errors
    /// [`SpendingError::OutOfOrder`] if it was marked as sent or is settled: then settle it. After an error of
    /// the store it may be released; else it is swept.
    pub async fn release(&self, known: &Reservation, now_ms: u64) -> Result<(), SpendingError> {
        match self.store.change(known, &Step::Release).await? {
            Ok(released) => {
                self.finish_or_leave(&released, now_ms).await;
                Ok(())
            }
            Err(there) => Err(SpendingError::OutOfOrder(Sent(there.request))),
        }
    }

    /// Does what is left to do for a reservation, which its state already says, or leaves it to a sweep.
    async fn finish_or_leave(&self, reservation: &Reservation, now_ms: u64) {
        if let Err(error) = self.finish(reservation, now_ms).await {
            let error: &dyn std::error::Error = &error;
            let request = &reservation.request;
            tracing::warn!(%request, error, "the rest of a settlement is left to be swept");
        }
    }
}
