use llmopt_domain::Picodollars;
use llmopt_spending::{OutOfOrder, SpendingError};
use llmopt_storage::spend::{RequestId, Reservation, ReservationState};

use crate::{Commercial, CommercialError, tab::part, turn::now_us};

/// What became of a request that somebody asked before and did not come back for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// It is not known: its name is free.
    Unknown,
    /// It cost nothing, and nothing of it will be sent any more.
    Free,
    /// A provider was asked, or may have been: it is billed, or will be by a sweep.
    Billed,
}

impl Commercial {
    /// Says what became of the request called `name`, and ends what of it was reserved and not sent.
    ///
    /// # Errors
    /// [`CommercialError::Spending`] if the budgets could not be asked.
    pub async fn past(&self, name: &RequestId) -> Result<Past, CommercialError> {
        let mut past = Past::Unknown;
        for nth in 0.. {
            let spending = &self.inner.spending;
            let Some(reservation) = spending.reservation(&part(name, nth)?).await? else {
                break;
            };
            if self.is_billed(&reservation).await? {
                return Ok(Past::Billed);
            }
            past = Past::Free;
        }
        Ok(past)
    }

    async fn is_billed(&self, reservation: &Reservation) -> Result<bool, CommercialError> {
        match &reservation.state {
            ReservationState::Released => Ok(false),
            ReservationState::Settled { entry, .. } => Ok(entry.cost > Picodollars::ZERO),
            ReservationState::Pending | ReservationState::Open { .. } => {
                let now_ms = now_us() / 1_000;
                match self.inner.spending.release(reservation, now_ms).await {
                    Ok(()) => Ok(false),
                    Err(SpendingError::OutOfOrder(OutOfOrder::Sent(_))) => Ok(true),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}
