use llmopt_domain::{Format, Picodollars, TokenUsage};
use llmopt_storage::spend::{
    Asked, Attempt, Basis, BudgetScope, LedgerEntry, RequestId, Reservation, ReservationState,
    RowKey,
};

use crate::Moment;

/// What is to be reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The request of the client, whatever attempts it takes.
    pub request: RequestId,
    /// The most that it may cost.
    pub bound: Picodollars,
    /// Whose budgets it is spent from, narrowest first. Those that have no limit are left out.
    pub scopes: Vec<BudgetScope>,
    /// Who asks for what.
    pub asked: Asked,
    /// The time now, in milliseconds since 1970: it says in which windows the request is counted.
    pub now_ms: u64,
    /// From when on it is taken for abandoned, in milliseconds since 1970: later than any answer can come.
    pub expires_ms: u64,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R = Reservation> {
    /// The bound is reserved, and the request is the caller's to send.
    Reserved(R),
    /// A budget has less than the bound. Nothing is reserved, and under this id nothing will be.
    Refused(Refusal),
    /// The request has this reservation already: another has it, or had.
    Replay(Reservation),
}

/// Which budget has less than the bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose budget, and in which window.
    pub row: RowKey,
    /// What is available, in picodollars; below nothing where the limit was lowered or overrun.
    pub available: i64,
    /// The limit.
    pub limit: Picodollars,
    /// When the next window begins, in milliseconds since 1970; `None` where there is none.
    pub resets_ms: Option<u64>,
}

/// What a request used and cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// What it used, all attempts together.
    pub usage: TokenUsage,
    /// What that cost.
    pub cost: Picodollars,
    /// Who answered, by which prices.
    pub asked: Asked,
    /// The calls that it took.
    pub attempts: Vec<Attempt>,
    /// Whether a part of that is the most that it can have been, because nobody told what it was.
    pub is_assumed: bool,
    /// How it could cost more than its bound, where it does.
    pub overrun: Option<String>,
    /// The time now, in milliseconds since 1970.
    pub now_ms: u64,
}

/// What came of settling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The request costs this.
    Settled(LedgerEntry),
    /// It was settled before, at this: by the same caller, or by a sweep at the bound.
    Before(LedgerEntry),
}

impl Ask {
    pub(crate) fn reservation(&self, moment: &Moment, rows: Vec<RowKey>) -> Reservation {
        Reservation {
            format: Format,
            request: self.request.clone(),
            version: 1,
            created_ms: self.now_ms,
            expires_ms: self.expires_ms,
            day: moment.day.clone(),
            bound: self.bound,
            rows,
            asked: self.asked.clone(),
            state: ReservationState::Pending,
            forget_ms: None,
        }
    }
}

impl Truth {
    /// What a reservation cost that nothing was sent for.
    pub(crate) fn nothing(reservation: &Reservation, now_ms: u64) -> Self {
        Self {
            usage: TokenUsage::default(),
            cost: Picodollars::ZERO,
            asked: reservation.asked.clone(),
            attempts: Vec::new(),
            is_assumed: false,
            overrun: None,
            now_ms,
        }
    }

    /// Returns the entry of a request's cost; `None` where it is above the bound for no reason.
    pub(crate) fn entry(&self, reservation: &Reservation) -> Option<LedgerEntry> {
        let basis = match self.cost <= reservation.bound {
            true if self.is_assumed => Basis::Assumed,
            true => Basis::Measured,
            false => Basis::Overrun {
                reason: self.overrun.clone()?,
            },
        };
        Some(LedgerEntry {
            cost: self.cost,
            usage: self.usage,
            asked: self.asked.clone(),
            attempts: self.attempts.clone(),
            basis,
            ..assumed(reservation, self.now_ms)
        })
    }
}

/// Returns the entry of a request that nobody came back for: it costs its bound.
pub(crate) fn assumed(reservation: &Reservation, settled_ms: u64) -> LedgerEntry {
    LedgerEntry {
        format: Format,
        request: reservation.request.clone(),
        day: reservation.day.clone(),
        reserved_ms: reservation.created_ms,
        settled_ms,
        asked: reservation.asked.clone(),
        bound: reservation.bound,
        cost: reservation.bound,
        usage: TokenUsage::default(),
        basis: Basis::Assumed,
        attempts: Vec::new(),
        rows: reservation.rows.clone(),
    }
}
