//! Budgets that hold: what a request may cost at most is taken from every budget before it is sent, and what
//! it cost is settled after, once.
//!
//! **The scheme.** Every step changes one item, so nothing needs a transaction over several. A budget in one
//! window is a row, `limit = available + spent + holds`, in which every open request that it concerns has a
//! *hold*: its amount, and a token that no other hold has. To take is to subtract from `available` and to put
//! the hold, in one write; to finish a hold is to remove it, to count what of it was spent, and to add the rest
//! to `available`, in one write that wants that very token there. What remains of a finished hold is nothing,
//! so a row has as many as requests are open, and [`MOST_HOLDS`] at most: beyond, it is crowded. In DynamoDB a
//! hold is some 90 bytes of its row, and a write costs a unit for each KB of the row: nine requests open at once
//! cost nothing more than none, and some 30 a second of five seconds each are the most that one row takes (a
//! partition has 1,000 units a second). A scope that needs more has to be cut in several.
//!
//! Where a store has transactions over all of it at no price, several steps that follow one another are one
//! ([`SpendStore::begin_sent`], [`SpendStore::settle_closed`]): what is said below of each holds all the more, and the
//! disk is waited for once.
//!
//! **Why each thing happens once.** (1) A row keeps its sum: each write above does, and so does one that moves
//! the limit, which adds the difference to `available` and wants the revision there that it was computed from.
//! `available` is never below nothing by taking, so `spent + holds <= limit` unless the limit is lowered or
//! a cost is above its bound. (2) A take that is repeated finds the hold of its request and takes nothing. (3)
//! A hold is finished once, as its token is there once: the call that put it is executed once, if ever, and a
//! repeated take, or one that arrives late, makes another token. (4) A reservation is settled or released once,
//! by one conditional write, whose content says what to do for the rest: what was spent, from which holds. So
//! anybody may do that rest, any number of times, and in the end each hold is finished with what the
//! reservation says, and the ledger has its one entry. (5) A hold whose reservation is closed, or not
//! there, was put by a take that came late. The reservation's own holds were finished before it was closed, so
//! it is another, and nothing of it was spent.

mod budget;
mod lasting;
mod ledger;
mod name;
mod reservation;

use async_trait::async_trait;
use llmopt_domain::Picodollars;

pub use budget::{Budget, BudgetRow, Hold, Limit, MOST_HOLDS, RowKey, TOLD, Taken, Wanted, signed};
pub use lasting::{Lasting, Sent};
pub use ledger::{Asked, Attempt, Basis, LedgerEntry, Place};
pub use name::{BudgetScope, NameError, RequestId};
pub use reservation::{After, Closed, Reservation, ReservationState, Step};

use crate::StorageError;

/// Keeps budgets, reservations and what was spent.
///
/// **Exactness.** Each call is one step that happens at once and entirely, or not at all, and lasts (but see
/// [`begin_sent`](Self::begin_sent)). After
/// [`StorageError::Unavailable`] it may have happened, or may yet; each may be repeated, and then
/// changes nothing that it has changed before. What a call returned, every later one of every process sees,
/// lists excepted, which may lag by moments.
#[async_trait]
pub trait SpendStore: Send + Sync {
    /// Returns the budget of `scope`; `None` where it never had one.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if what is kept cannot be read as one.
    async fn budget(&self, scope: &BudgetScope) -> Result<Option<Budget>, StorageError>;

    /// Returns the budgets of `scopes`, in their order.
    ///
    /// # Errors
    /// As for [`budget`](Self::budget).
    async fn budgets_of(
        &self,
        scopes: &[BudgetScope],
    ) -> Result<Vec<Option<Budget>>, StorageError> {
        let mut found = Vec::new();
        for scope in scopes {
            found.push(self.budget(scope).await?);
        }
        Ok(found)
    }

    /// Returns all budgets, in the order of their scopes.
    ///
    /// # Errors
    /// As for [`budget`](Self::budget).
    async fn budgets(&self) -> Result<Vec<Budget>, StorageError>;

    /// Keeps `budget` in the place of the one whose revision is one less, or as the first, which is 1. Doing
    /// it again changes nothing.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if another is kept with its revision or one that does not precede it.
    async fn put_budget(&self, budget: &Budget) -> Result<(), StorageError>;

    /// Returns a row with all its holds; `None` where there is none.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if what is kept cannot be read as one.
    async fn row(&self, key: &RowKey) -> Result<Option<BudgetRow>, StorageError>;

    /// Makes a row of which nothing is spent; where there is one, nothing happens.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn open_row(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError>;

    /// Gives a row another limit if its present one is of an older revision, and what is available the
    /// difference; where there is no row, nothing happens.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if others change the limit all the time.
    async fn set_limit(&self, key: &RowKey, limit: &Limit) -> Result<(), StorageError>;

    /// Takes a part of a row for a request, which holds it then, or says why not.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] if others change the row all the time.
    async fn take(&self, key: &RowKey, wanted: &Wanted) -> Result<Taken, StorageError>;

    /// Ends the hold that `request` has on a row, counts `spent` as spent and makes the rest available. Returns
    /// the row as it is after; `None` where `request` does not have this hold.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] as for [`row`](Self::row).
    async fn finish(
        &self,
        key: &RowKey,
        request: &RequestId,
        hold: &Hold,
        spent: Picodollars,
    ) -> Result<Option<BudgetRow>, StorageError>;

    /// Returns whether the caller is to tell the alert of `percent` of a row before `until_ms`: nobody else is
    /// to at `now_ms`, and nobody has. Where there is no row, nobody is.
    ///
    /// # Errors
    /// After [`StorageError::Unavailable`] nobody may be told to until then.
    async fn claim_alert(
        &self,
        key: &RowKey,
        percent: u8,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<bool, StorageError>;

    /// Notes that the alert of `percent` of a row was told: nobody is to tell it again.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`], [`StorageError::NoSpace`], [`StorageError::Internal`].
    async fn confirm_alert(&self, key: &RowKey, percent: u8) -> Result<(), StorageError>;

    /// Keeps a new reservation and returns `None`, or returns the one that the request has. It may also forget
    /// some that may be forgotten at its `created_ms`.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if what is kept cannot be read as one.
    async fn begin(&self, reservation: &Reservation) -> Result<Option<Reservation>, StorageError>;

    /// Returns the reservation of a request; `None` where it has none or it is forgotten.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    async fn reservation(&self, request: &RequestId) -> Result<Option<Reservation>, StorageError>;

    /// Does a step of a reservation that the caller knows as `known`, perhaps not as it is now, by
    /// [`Reservation::after`]. Returns it as it is after the step or, where that was refused, as it is.
    ///
    /// # Errors
    /// [`StorageError::NoRecord`] if there is none; [`StorageError::Conflict`] if others change it all the
    /// time.
    async fn change(
        &self,
        known: &Reservation,
        step: &Step,
    ) -> Result<Result<Reservation, Reservation>, StorageError>;

    /// Does [`begin`](Self::begin), a [`take`](Self::take) from each of `rows`, [`Step::Open`] and [`Step::Send`] as one
    /// step, if each would be done; rows that are absent are opened for it, and limits that are outdated set. Returns the
    /// reservation as it is then; everybody sees it, and it lasts when [`Sent::lasting`] says so. `None` says that nothing
    /// happened: one of them would be refused, or this store does them one by one only.
    ///
    /// # Errors
    /// As for those.
    async fn begin_sent(
        &self,
        _reservation: &Reservation,
        _rows: &[(RowKey, Limit)],
    ) -> Result<Option<Sent>, StorageError> {
        Ok(None)
    }

    /// Does [`Step::Settle`] with `entry`, its [`append`](Self::append), a [`finish`](Self::finish) of each hold and
    /// [`Step::Close`] as one step, if the first would change something. `None` says that nothing happened: it would
    /// not, or this store does them one by one only.
    ///
    /// # Errors
    /// As for those.
    async fn settle_closed(
        &self,
        _known: &Reservation,
        _entry: &LedgerEntry,
        _forget_ms: u64,
    ) -> Result<Option<Closed>, StorageError> {
        Ok(None)
    }

    /// Returns reservations that are not closed and expire at `until_ms` or before, the first that do first,
    /// from right after `after` on.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    async fn unfinished(
        &self,
        until_ms: u64,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<Reservation>, StorageError>;

    /// Keeps an entry. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`StorageError::RecordExists`] if the request has another.
    async fn append(&self, entry: &LedgerEntry) -> Result<(), StorageError>;

    /// Returns entries of a day (`2026-11-26`), the first that were reserved first, from right after `after` on.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if what is kept cannot be read as one.
    async fn ledger(
        &self,
        day: &str,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StorageError>;
}
