use std::collections::BTreeSet;

use llmopt_storage::spend::{
    Hold, Lasting, Limit, Reservation, ReservationState, RowKey, Sent, Step, Taken, Wanted, signed,
};

use crate::{
    Ask, Moment, OutOfOrder, Outcome, Refusal, Spending, SpendingError, Truth, budgets::limits,
    resets_ms,
};

/// How often a row may change between our looks at it.
const TRIES: u32 = 8;

impl Spending {
    /// Reserves the most that a request may cost from each budget of its scopes, narrowest first, or from none.
    ///
    /// # Errors
    /// After any error nothing may be sent. What was reserved is given back, here or when it is swept.
    pub async fn reserve(&self, ask: &Ask) -> Result<Outcome, SpendingError> {
        let (reservation, rows) = self.planned(ask).await?;
        self.reserve_by_steps(&reservation, &rows).await
    }

    /// As [`Spending::reserve`] and [`Spending::mark_sent`], for who is about to call the provider: at once, where
    /// the store does that. The provider may not have the whole request before the reservation lasts
    /// ([`Sent::lasting`]); where it does not, it is to be settled at nothing.
    ///
    /// # Errors
    /// After any error nothing may be sent. What was reserved is given back here or, where it is not known what the
    /// store did, when it is swept: then it may cost its bound.
    pub async fn reserve_sent(&self, ask: &Ask) -> Result<Outcome<Sent>, SpendingError> {
        let (reservation, rows) = self.planned(ask).await?;
        // As with `begin`, whose reservation it is after an error is not known: another's is not to be given up.
        if let Some(sent) = self.store.begin_sent(&reservation, &rows).await? {
            return Ok(Outcome::Reserved(sent));
        }
        let open = match self.reserve_by_steps(&reservation, &rows).await? {
            Outcome::Reserved(open) => open,
            Outcome::Refused(refusal) => return Ok(Outcome::Refused(refusal)),
            Outcome::Replay(there) => return Ok(Outcome::Replay(there)),
        };
        match self.mark_sent(&open).await {
            Ok(reservation) => Ok(Outcome::Reserved(Sent {
                reservation,
                lasting: Lasting::already(),
            })),
            Err(error) => {
                self.take_back(&open, ask.now_ms).await;
                Err(error)
            }
        }
    }

    /// Returns which budget has less than the bound now, narrowest first, and reserves nothing.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn shortage(&self, ask: &Ask) -> Result<Option<Refusal>, SpendingError> {
        for (key, limit) in self.rows(ask, &Moment::new(ask.now_ms)).await? {
            let row = self.store.row(&key).await?;
            // As taking would find it: a row is brought to its limit first.
            let moved = row.as_ref().map_or(0, |row| signed(row.limit.amount));
            let available = row.map_or(0, |row| row.available) + signed(limit.amount) - moved;
            if available < signed(ask.bound) {
                return Ok(Some(Refusal {
                    available,
                    limit: limit.amount,
                    resets_ms: resets_ms(&key.window),
                    row: key,
                }));
            }
        }
        Ok(None)
    }

    async fn planned(
        &self,
        ask: &Ask,
    ) -> Result<(Reservation, Vec<(RowKey, Limit)>), SpendingError> {
        let moment = Moment::new(ask.now_ms);
        let rows = self.rows(ask, &moment).await?;
        let keys = rows.iter().map(|(key, _)| key.clone()).collect();
        Ok((ask.reservation(&moment, keys), rows))
    }

    async fn reserve_by_steps(
        &self,
        reservation: &Reservation,
        rows: &[(RowKey, Limit)],
    ) -> Result<Outcome, SpendingError> {
        if let Some(there) = self.store.begin(reservation).await? {
            return Ok(Outcome::Replay(there));
        }
        let outcome = self.take_and_open(reservation, rows).await;
        if !matches!(outcome, Ok(Outcome::Reserved(_)))
            && let Err(error) = self.give_up(reservation, reservation.created_ms).await
        {
            // Nobody may send it now: the sweeper gives back what it holds.
            let error: &dyn std::error::Error = &error;
            tracing::warn!(request = %reservation.request, error, "a reservation is left to be swept");
        }
        outcome
    }

    /// Ends a reservation of which it is not known whether it is marked as sent: nothing was. What cannot be ended is
    /// left to be swept.
    async fn take_back(&self, reservation: &Reservation, now_ms: u64) {
        let released = self.release(reservation, now_ms).await;
        let ended = match released {
            Err(SpendingError::OutOfOrder(OutOfOrder::Sent(_))) => {
                let truth = Truth::nothing(reservation, now_ms);
                self.settle(reservation, &truth).await.map(drop)
            }
            other => other,
        };
        if let Err(error) = ended {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(request = %reservation.request, error, "a reservation is left to be swept");
        }
    }

    /// Returns the rows that a request is spent from, with their limits as the budgets have them.
    async fn rows(
        &self,
        ask: &Ask,
        moment: &Moment,
    ) -> Result<Vec<(RowKey, Limit)>, SpendingError> {
        let mut rows: Vec<(RowKey, Limit)> = Vec::new();
        let budgets = self.store.budgets_of(&ask.scopes).await?;
        for budget in budgets.iter().flatten() {
            rows.extend(limits(budget, moment));
        }
        // A scope that is named twice is held once.
        let mut seen = BTreeSet::new();
        rows.retain(|(key, _)| seen.insert(key.clone()));
        Ok(rows)
    }

    async fn take_and_open(
        &self,
        reservation: &Reservation,
        rows: &[(RowKey, Limit)],
    ) -> Result<Outcome, SpendingError> {
        let mut holds = Vec::new();
        for (key, limit) in rows {
            match self.take(reservation, key, limit).await? {
                Ok(hold) => holds.push(hold),
                Err(refusal) => return Ok(Outcome::Refused(refusal)),
            }
        }
        let step = Step::Open { holds };
        match self.store.change(reservation, &step).await? {
            Ok(open) => Ok(Outcome::Reserved(open)),
            Err(there) => Err(SpendingError::Gone {
                request: there.request,
            }),
        }
    }

    async fn take(
        &self,
        reservation: &Reservation,
        key: &RowKey,
        limit: &Limit,
    ) -> Result<Result<Hold, Refusal>, SpendingError> {
        let wanted = Wanted {
            request: reservation.request.clone(),
            amount: reservation.bound,
            revision: limit.revision,
            now_ms: reservation.created_ms,
        };
        for _ in 0..TRIES {
            match self.store.take(key, &wanted).await? {
                Taken::Held(hold) => return Ok(Ok(hold)),
                Taken::Short { available, limit } => {
                    return Ok(Err(Refusal {
                        row: key.clone(),
                        available,
                        limit,
                        resets_ms: resets_ms(&key.window),
                    }));
                }
                Taken::Absent => self.store.open_row(key, limit).await?,
                Taken::Outdated => self.store.set_limit(key, limit).await?,
                Taken::Crowded => return Err(SpendingError::Crowded { row: key.clone() }),
            }
        }
        Err(SpendingError::Unsteady { row: key.clone() })
    }

    /// Gives a reservation up that was not sent, with whatever it holds.
    async fn give_up(&self, reservation: &Reservation, now_ms: u64) -> Result<(), SpendingError> {
        let (Ok(there) | Err(there)) = self.store.change(reservation, &Step::Release).await?;
        // Where it was swept to its end, this process may have taken more since.
        if there.state == ReservationState::Released && there.forget_ms.is_some() {
            return self.give_back(&there).await;
        }
        self.finish(&there, now_ms).await
    }
}
