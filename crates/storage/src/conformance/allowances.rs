use std::{path::Path, sync::Arc};

use tokio::task::JoinSet;

use super::root;
use crate::{AllowanceStore, StorageError};

/// Opens the allowances that live below a folder; opening them twice is another process, or a restart.
pub type OpenAllowances = fn(&Path) -> Arc<dyn AllowanceStore>;

/// Generates the suite of [`AllowanceStore`] as tests of the calling module; `$open` is an
/// [`OpenAllowances`](crate::conformance::OpenAllowances).
#[macro_export]
macro_rules! allowance_store_conformance {
    ($open:expr) => {
        $crate::conformance_cases!($open;
            what_is_spent_is_gone_and_what_is_refused_is_not
            an_allowance_is_opened_once
            an_allowance_that_was_never_opened_is_named
            a_hundred_concurrent_spends_take_exactly_what_there_is
            a_restart_keeps_what_is_left
        );
    };
}

async fn left(store: &Arc<dyn AllowanceStore>, id: &str) -> u64 {
    store.left(id).await.expect("it is open")
}

async fn spend(store: &Arc<dyn AllowanceStore>, id: &str, amount: u64) -> Option<u64> {
    store.spend(id, amount).await.expect("it is open")
}

/// All of an amount is taken, or nothing.
pub async fn what_is_spent_is_gone_and_what_is_refused_is_not(open: OpenAllowances) {
    let root = root();
    let store = open(root.path());
    store.open("team", 10).await.expect("free");
    store.open("other", 1).await.expect("free");
    assert_eq!(spend(&store, "team", 7).await, Some(3));
    assert_eq!(spend(&store, "team", 4).await, None);
    assert_eq!(left(&store, "team").await, 3);
    assert_eq!(spend(&store, "team", 0).await, Some(3));
    assert_eq!(spend(&store, "team", 3).await, Some(0));
    assert_eq!(spend(&store, "team", 1).await, None);
    assert_eq!(left(&store, "other").await, 1);
    // A year's budget in picodollars has more digits than an amount of 32 bits.
    store.open("large", 1 << 60).await.expect("free");
    assert_eq!(spend(&store, "large", 1).await, Some((1 << 60) - 1));
}

/// Opening again does not fill it up.
pub async fn an_allowance_is_opened_once(open: OpenAllowances) {
    let root = root();
    let store = open(root.path());
    store.open("team", 10).await.expect("free");
    spend(&store, "team", 10).await;
    let again = store.open("team", 10).await;
    assert!(
        matches!(again, Err(StorageError::RecordExists { .. })),
        "{again:?}"
    );
    assert_eq!(left(&store, "team").await, 0);
}

/// Nothing is spent from nowhere.
pub async fn an_allowance_that_was_never_opened_is_named(open: OpenAllowances) {
    let root = root();
    let store = open(root.path());
    for error in [
        store.spend("absent", 1).await.expect_err("it is not open"),
        store.left("absent").await.expect_err("it is not open"),
    ] {
        assert!(
            matches!(&error, StorageError::NoRecord { id, .. } if id == "absent"),
            "{error:?}"
        );
    }
}

/// Nobody spends what another has.
pub async fn a_hundred_concurrent_spends_take_exactly_what_there_is(open: OpenAllowances) {
    let root = root();
    open(root.path()).open("team", 100).await.expect("free");
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let store = open(root.path());
        tasks.spawn(async move { spend(&store, "team", 3).await });
    }
    let granted = tasks.join_all().await.into_iter().flatten().count();
    assert_eq!(granted, 33);
    assert_eq!(left(&open(root.path()), "team").await, 1);
}

/// What was spent stays spent.
pub async fn a_restart_keeps_what_is_left(open: OpenAllowances) {
    let root = root();
    let store = open(root.path());
    store.open("team", 10).await.expect("free");
    spend(&store, "team", 4).await;
    drop(store);
    assert_eq!(left(&open(root.path()), "team").await, 6);
}
