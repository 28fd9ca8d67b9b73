use std::{path::Path, sync::Arc};

use llmopt_domain::{Format, Picodollars, TokenUsage};

use super::{only_winner, root};
use crate::{
    SpendStore, StorageError,
    spend::{
        Asked, Basis, Budget, BudgetRow, BudgetScope, Hold, LedgerEntry, Limit, MOST_HOLDS, Place,
        RequestId, Reservation, ReservationState, RowKey, Step, Taken, Wanted,
    },
};

mod books;
mod rows;
mod together;

pub use books::*;
pub use rows::*;
pub use together::*;

/// Opens the budgets that live below a folder; opening them twice is another process, or a restart.
pub type OpenSpending = fn(&Path) -> Arc<dyn SpendStore>;

type Store = Arc<dyn SpendStore>;

/// Generates the suite of [`SpendStore`] as tests of the calling module; `$open` is an
/// [`OpenSpending`](crate::conformance::OpenSpending).
#[macro_export]
macro_rules! spend_store_conformance {
    ($open:expr) => {
        $crate::conformance_cases!($open;
            changes_of_a_budget_follow_one_another
            a_row_is_opened_once
            what_is_taken_is_held_and_taken_once
            a_take_that_cannot_be_says_why
            a_row_has_so_many_holds_and_no_more
            a_hold_is_finished_once_and_no_other_is
            a_limit_moves_what_is_available_once
            a_hundred_concurrent_requests_hold_exactly_what_there_is
            a_hundred_takes_of_one_request_are_one
            an_alert_is_told_by_one_until_it_was_told
            a_request_has_one_reservation
            steps_are_done_once_from_whatever_was_known
            of_steps_that_exclude_each_other_one_is_done
            what_is_not_closed_is_listed_by_when_it_expires
            what_is_reserved_at_once_is_reserved_as_its_steps_would_or_not_at_all
            what_is_settled_at_once_is_closed_in_the_ledger_and_spent_or_as_it_was
            an_entry_is_appended_once_and_listed_in_its_day
            a_restart_keeps_budgets_rows_reservations_and_the_ledger
        );
    };
}

fn scope(name: &str) -> BudgetScope {
    BudgetScope::try_from(name.to_owned()).expect("a name")
}

fn id(name: &str) -> RequestId {
    RequestId::try_from(name.to_owned()).expect("a name")
}

fn amount(picodollars: u64) -> Picodollars {
    Picodollars::new(picodollars).expect("not too much")
}

fn key() -> RowKey {
    RowKey {
        scope: scope("team/search"),
        window: "2026-11".to_owned(),
    }
}

fn limit(picodollars: u64, revision: u64) -> Limit {
    Limit {
        amount: amount(picodollars),
        revision,
        alert_percent: vec![50, 100],
    }
}

fn wanted(request: &str, picodollars: u64) -> Wanted {
    Wanted {
        request: id(request),
        amount: amount(picodollars),
        revision: 1,
        now_ms: 5,
    }
}

async fn opened(root: &Path, open: OpenSpending, picodollars: u64) -> Store {
    let store = open(root);
    let made = store.open_row(&key(), &limit(picodollars, 1)).await;
    made.expect("the store is there");
    store
}

async fn row(store: &Store) -> BudgetRow {
    let row = store.row(&key()).await.expect("the store is there");
    let row = row.expect("there is a row");
    let parts = row.available + i64::try_from(row.spent.get() + row.reserved().get()).expect("few");
    assert_eq!(
        parts,
        i64::try_from(row.limit.amount.get()).expect("few"),
        "{row:?}"
    );
    row
}

async fn take(store: &Store, request: &str, picodollars: u64) -> Taken {
    let taken = store.take(&key(), &wanted(request, picodollars)).await;
    taken.expect("the store is there")
}

async fn held(store: &Store, request: &str, picodollars: u64) -> Hold {
    match take(store, request, picodollars).await {
        Taken::Held(hold) => hold,
        other => panic!("`{request}` got {other:?}"),
    }
}

fn reservation(request: &str, created_ms: u64, expires_ms: u64) -> Reservation {
    Reservation {
        format: Format,
        request: id(request),
        version: 1,
        created_ms,
        expires_ms,
        day: "2026-11-26".to_owned(),
        bound: amount(10),
        rows: vec![key()],
        asked: asked(),
        state: ReservationState::Pending,
        forget_ms: None,
    }
}

fn asked() -> Asked {
    Asked {
        key: "key".to_owned(),
        model: "gpt".to_owned(),
        provider: "openai".to_owned(),
        price_version: "7".to_owned(),
    }
}

fn entry(request: &str, day: &str, reserved_ms: u64) -> LedgerEntry {
    LedgerEntry {
        format: Format,
        request: id(request),
        day: day.to_owned(),
        reserved_ms,
        settled_ms: 9,
        asked: asked(),
        bound: amount(10),
        cost: amount(7),
        usage: TokenUsage {
            input_tokens: 3,
            ..TokenUsage::default()
        },
        basis: Basis::Measured,
        attempts: Vec::new(),
        rows: vec![key()],
    }
}

async fn begun(store: &Store, reservation: &Reservation) {
    let there = store.begin(reservation).await.expect("the store is there");
    assert_eq!(there, None);
}

async fn done(store: &Store, known: &Reservation, step: &Step) -> Reservation {
    let changed = store.change(known, step).await;
    changed
        .expect("the store is there")
        .expect("the step follows")
}

fn opening(token: u64) -> Step {
    let hold = Hold {
        amount: amount(10),
        token,
        taken_ms: 5,
    };
    Step::Open { holds: vec![hold] }
}

fn settling(request: &str) -> Step {
    Step::Settle {
        entry: Box::new(entry(request, "2026-11-26", 1)),
    }
}
