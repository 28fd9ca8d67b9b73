//! Budgets that hold: the most that a request may cost is reserved from every budget before it is sent, and
//! what it did cost is settled after, once, whatever dies in between.
//!
//! Knows the order of the steps, and what is made of a request that nobody came back for. Does not know any
//! technology, nor what a token costs: steps are those of [`SpendStore`], which says
//! why each happens once, and amounts come from the caller.
//!
//! A request goes through [`Spending::reserve`], [`Spending::mark_sent`] (or both at once, [`Spending::reserve_sent`])
//! and [`Spending::settle`], or
//! [`Spending::release`] where nothing was sent. [`Spending::sweep`] is to run every minute or so, by
//! any number of processes: what was abandoned and may have been sent costs its bound; nothing else does. A step
//! whose outcome is not known counts as done where that is the dearer thing, until it has been swept.

mod alert;
mod all_alerts;
mod ask;
mod budgets;
mod error;
mod finish;
mod reserve;
mod settle;
mod sweep;
mod usage;
mod window;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use alert::{AlertError, AlertSink, BudgetAlert, LogAlerts};
pub use all_alerts::AllAlerts;
pub use ask::{Ask, Outcome, Refusal, Settlement, Truth};
pub use budgets::{BudgetLimits, Standing};
pub use error::{OutOfOrder, SpendingError};
use llmopt_storage::SpendStore;
pub use sweep::Swept;
pub use usage::{GroupBy, UsageQuery, UsageReport, UsageTotal};
pub use window::{Moment, resets_ms};

/// Spends from budgets, over a store that any number of processes share.
#[derive(Clone)]
pub struct Spending {
    store: Arc<dyn SpendStore>,
    alerts: Arc<dyn AlertSink>,
}

impl Spending {
    /// Keeps everything in `store`, and tells `alerts` what is to be told.
    pub fn new(store: Arc<dyn SpendStore>, alerts: Arc<dyn AlertSink>) -> Self {
        Self { store, alerts }
    }
}
