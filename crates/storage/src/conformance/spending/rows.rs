//! The rows of budgets.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;

/// Opening again does not fill it up, nor change its limit.
pub async fn a_row_is_opened_once(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    assert_eq!(store.row(&key()).await.expect("there"), None);
    store
        .open_row(&key(), &limit(10, 1))
        .await
        .expect("it is free");
    assert_eq!(row(&store).await, BudgetRow::new(limit(10, 1)));
    held(&store, "r1", 4).await;
    store
        .open_row(&key(), &limit(99, 2))
        .await
        .expect("nothing happens");
    let row = row(&store).await;
    assert_eq!((row.limit, row.available), (limit(10, 1), 6));
}

/// A request that asks again is told what it has.
pub async fn what_is_taken_is_held_and_taken_once(open: OpenSpending) {
    let root = root();
    let store = opened(root.path(), open, 10).await;
    let first = held(&store, "r1", 4).await;
    assert_eq!((first.amount, first.taken_ms), (amount(4), 5));
    assert_eq!(held(&store, "r1", 4).await, first);
    let second = held(&store, "r2", 6).await;
    assert_ne!(first.token, second.token);
    assert_eq!(held(&store, "r1", 4).await, first);
    let row = row(&store).await;
    assert_eq!((row.available, row.reserved()), (0, amount(10)));
    assert_eq!(row.holds[&id("r1")], first);
    assert_eq!(row.holds[&id("r2")], second);
    let other = RowKey {
        window: "2026-12".to_owned(),
        ..key()
    };
    assert_eq!(store.row(&other).await.expect("there"), None);
}

/// Nothing is taken where less is left, and limits are those that the caller knows, or later ones.
pub async fn a_take_that_cannot_be_says_why(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    assert_eq!(take(&store, "r1", 1).await, Taken::Absent);
    let store = opened(root.path(), open, 10).await;
    held(&store, "r1", 7).await;
    let short = |available| Taken::Short {
        available,
        limit: amount(10),
    };
    assert_eq!(take(&store, "r2", 4).await, short(3));
    held(&store, "r2", 3).await;
    assert_eq!(take(&store, "r3", 1).await, short(0));
    held(&store, "r3", 0).await;
    let newer = Wanted {
        revision: 2,
        ..wanted("r4", 0)
    };
    let taken = store.take(&key(), &newer).await.expect("there");
    assert_eq!(taken, Taken::Outdated);
    assert_eq!(row(&store).await.available, 0);
}

/// A row has a size that it can be kept in.
pub async fn a_row_has_so_many_holds_and_no_more(open: OpenSpending) {
    let root = root();
    let store = opened(root.path(), open, 1_000_000).await;
    let mut tasks = JoinSet::new();
    for worker in 0..10 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for number in (worker..MOST_HOLDS).step_by(10) {
                // As long as names may be.
                held(&store, &format!("{number:0>128}"), 1).await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(take(&store, "late", 1).await, Taken::Crowded);
    let first = held(&store, &format!("{:0>128}", 0), 1).await;
    let ended = store
        .finish(&key(), &id(&format!("{:0>128}", 0)), &first, amount(0))
        .await;
    assert!(ended.expect("there").is_some());
    held(&store, "late", 1).await;
}

/// A hold that was finished is not finished again, even where the request has another.
pub async fn a_hold_is_finished_once_and_no_other_is(open: OpenSpending) {
    let root = root();
    let store = opened(root.path(), open, 10).await;
    let finish = |request: &str, hold: Hold, spent| {
        let (store, request) = (Arc::clone(&store), id(request));
        async move {
            let ended = store.finish(&key(), &request, &hold, amount(spent)).await;
            ended.expect("the store is there")
        }
    };
    let first = held(&store, "r1", 4).await;
    let other = Hold {
        token: first.token ^ 1,
        ..first
    };
    assert_eq!(finish("r1", other, 4).await, None);
    assert_eq!(finish("r2", first, 4).await, None);
    let after = finish("r1", first, 3).await.expect("it is held");
    assert_eq!((after.available, after.spent), (7, amount(3)));
    assert_eq!(after, row(&store).await);
    assert_eq!(finish("r1", first, 3).await, None);
    let second = held(&store, "r1", 5).await;
    assert_ne!(second.token, first.token);
    assert_eq!(finish("r1", first, 3).await, None);
    // More than it held.
    let after = finish("r1", second, 9).await.expect("it is held");
    assert_eq!((after.available, after.spent), (-2, amount(12)));
    assert!(after.holds.is_empty());
    let short = Taken::Short {
        available: -2,
        limit: amount(10),
    };
    assert_eq!(take(&store, "r3", 0).await, short);
    let absent = RowKey {
        scope: scope("absent"),
        ..key()
    };
    let ended = store.finish(&absent, &id("r1"), &second, amount(0)).await;
    assert_eq!(ended.expect("the store is there"), None);
}

/// The difference counts once, and an older limit never comes back.
pub async fn a_limit_moves_what_is_available_once(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    store
        .set_limit(&key(), &limit(1, 1))
        .await
        .expect("nothing happens");
    assert_eq!(store.row(&key()).await.expect("there"), None);
    let store = opened(root.path(), open, 10).await;
    let hold = held(&store, "r1", 6).await;
    for (limit, available) in [
        (limit(20, 2), 14),
        (limit(20, 2), 14),
        (limit(10, 1), 14),
        (limit(3, 4), -3),
        (limit(20, 2), -3),
        (limit(3, 4), -3),
    ] {
        store.set_limit(&key(), &limit).await.expect("there");
        assert_eq!(row(&store).await.available, available);
    }
    let mut tasks = JoinSet::new();
    for revision in 5..25 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.set_limit(&key(), &limit(revision, revision)).await });
    }
    // Where many change it at once, some may have to come back.
    let some = tasks.join_all().await.iter().any(Result::is_ok);
    assert!(some);
    store
        .set_limit(&key(), &limit(24, 24))
        .await
        .expect("nobody else does");
    let row = row(&store).await;
    assert_eq!((row.limit, row.available), (limit(24, 24), 18));
    assert_eq!(row.holds[&id("r1")], hold);
}

/// Nobody takes what another holds.
pub async fn a_hundred_concurrent_requests_hold_exactly_what_there_is(open: OpenSpending) {
    let root = root();
    opened(root.path(), open, 100).await;
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let store = open(root.path());
        tasks.spawn(async move { take(&store, &format!("r{number}"), 3).await });
    }
    let taken = tasks.join_all().await;
    let held = taken
        .iter()
        .filter(|it| matches!(it, Taken::Held(_)))
        .count();
    assert_eq!(held, 33);
    let row = row(&open(root.path())).await;
    assert_eq!((row.available, row.holds.len()), (1, 33));
}

/// A request that is tried again, or twice, takes once.
pub async fn a_hundred_takes_of_one_request_are_one(open: OpenSpending) {
    let root = root();
    opened(root.path(), open, 100).await;
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let store = open(root.path());
        tasks.spawn(async move { held(&store, "r1", 3).await.token });
    }
    let mut tokens = tasks.join_all().await;
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_eq!(row(&open(root.path())).await.available, 97);
}

/// Of many that would tell, one does; another may when it did not come back.
pub async fn an_alert_is_told_by_one_until_it_was_told(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    let claim = async |percent, now_ms, until_ms| {
        let claimed = store.claim_alert(&key(), percent, now_ms, until_ms).await;
        claimed.expect("the store is there")
    };
    assert!(!claim(50, 1, 10).await);
    opened(root.path(), open, 10).await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let store = open(root.path());
        tasks.spawn(async move { store.claim_alert(&key(), 50, 1, 10).await.expect("there") });
    }
    let granted = tasks.join_all().await.into_iter().filter(|it| *it).count();
    assert_eq!(granted, 1);
    assert!(!claim(50, 9, 20).await);
    assert!(claim(100, 9, 20).await);
    assert!(claim(50, 10, 20).await);
    assert_eq!(row(&store).await.alerts[&50], 20);
    store.confirm_alert(&key(), 50).await.expect("there");
    store.confirm_alert(&key(), 50).await.expect("there");
    assert!(!claim(50, 1 << 50, 1 << 51).await);
    assert!(claim(100, 20, 30).await);
    let hold = held(&store, "r1", 10).await;
    let after = store.finish(&key(), &id("r1"), &hold, amount(10)).await;
    let after = after.expect("there").expect("it is held");
    assert_eq!(after.due_alerts(29), [0; 0]);
    assert_eq!(after.due_alerts(30), [100]);
}
