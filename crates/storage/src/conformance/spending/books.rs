//! Budgets, reservations and the ledger.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;

/// Whoever changes one knows what it was.
pub async fn changes_of_a_budget_follow_one_another(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    let budget = |name: &str, revision, daily| Budget {
        format: Format,
        scope: scope(name),
        revision,
        daily: Some(amount(daily)),
        monthly: None,
        total: Some(Picodollars::MAX),
        alert_percent: vec![80],
    };
    assert_eq!(store.budget(&scope("b")).await.expect("there"), None);
    for step in [
        budget("b", 1, 5),
        budget("b", 1, 5),
        budget("b", 2, 9),
        budget("b", 2, 9),
    ] {
        store.put_budget(&step).await.expect("it follows");
        assert_eq!(store.budget(&scope("b")).await.expect("there"), Some(step));
    }
    for late in [
        budget("b", 1, 5),
        budget("b", 2, 8),
        budget("b", 4, 9),
        budget("new", 2, 9),
    ] {
        let refused = store.put_budget(&late).await;
        assert!(
            matches!(refused, Err(StorageError::Conflict { .. })),
            "{refused:?}"
        );
    }
    store
        .put_budget(&budget("a", 1, 1))
        .await
        .expect("it is new");
    let all = store.budgets().await.expect("there");
    assert_eq!(all, [budget("a", 1, 1), budget("b", 2, 9)]);
    let scopes = ["b", "none", "a"].map(scope);
    let some = store.budgets_of(&scopes).await.expect("there");
    assert_eq!(
        some,
        [Some(budget("b", 2, 9)), None, Some(budget("a", 1, 1))]
    );
    let mut tasks = JoinSet::new();
    for daily in 0..20 {
        let (store, change) = (Arc::clone(&store), budget("b", 3, daily));
        tasks.spawn(async move { store.put_budget(&change).await });
    }
    let lost = |error: &StorageError| matches!(error, StorageError::Conflict { .. });
    only_winner(tasks.join_all().await, lost);
}

/// Whoever comes later is told what there is.
pub async fn a_request_has_one_reservation(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    assert_eq!(store.reservation(&id("r1")).await.expect("there"), None);
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let store = open(root.path());
        tasks.spawn(async move {
            let ours = reservation("r1", number, 100);
            (store.begin(&ours).await.expect("there"), ours)
        });
    }
    let (begun, later): (Vec<_>, Vec<_>) = tasks
        .join_all()
        .await
        .into_iter()
        .partition(|(there, _)| there.is_none());
    let [(None, first)] = &begun[..] else {
        panic!("{begun:?}");
    };
    assert!(later.iter().all(|(there, _)| there.as_ref() == Some(first)));
    let kept = store.reservation(&id("r1")).await.expect("there");
    assert_eq!(kept.as_ref(), Some(first));
}

/// It makes no difference what the caller knew, nor how often it asks.
pub async fn steps_are_done_once_from_whatever_was_known(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    let first = reservation("r1", 1, 100);
    let missing = store.change(&first, &Step::Send).await;
    assert!(
        matches!(missing, Err(StorageError::NoRecord { .. })),
        "{missing:?}"
    );
    begun(&store, &first).await;
    let mut last = first.clone();
    let close = Step::Close { forget_ms: 500 };
    for (step, version) in [
        (opening(4), 2),
        (Step::Send, 3),
        (settling("r1"), 4),
        (close, 5),
    ] {
        let known = if version == 4 { &last } else { &first };
        let changed = done(&store, known, &step).await;
        assert_eq!(changed.version, version);
        assert_eq!(done(&store, known, &step).await, changed);
        assert_eq!(done(&store, &changed, &step).await, changed);
        let kept = store.reservation(&id("r1")).await.expect("there");
        assert_eq!(kept, Some(changed.clone()));
        last = changed;
    }
    for late in [Step::Release, Step::Send, opening(4)] {
        let refused = store.change(&first, &late).await.expect("there");
        assert_eq!(refused, Err(last.clone()));
    }
}

/// A reservation is not both opened and released, nor settled in two ways.
pub async fn of_steps_that_exclude_each_other_one_is_done(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    let first = reservation("r1", 1, 100);
    begun(&store, &first).await;
    let mut tasks = JoinSet::new();
    for token in 0..20 {
        let (store, known) = (open(root.path()), first.clone());
        tasks.spawn(async move { store.change(&known, &opening(token)).await.expect("there") });
    }
    let results = tasks.join_all().await;
    let opened: Vec<_> = results.iter().filter_map(|it| it.as_ref().ok()).collect();
    assert_eq!(opened.len(), 1);
    assert!(
        results
            .iter()
            .all(|it| it.as_ref().unwrap_or_else(|there| there) == opened[0])
    );
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let (store, known) = (open(root.path()), opened[0].clone());
        let step = if number % 2 == 0 {
            Step::Send
        } else {
            Step::Release
        };
        tasks.spawn(async move {
            (
                number % 2,
                store.change(&known, &step).await.expect("there"),
            )
        });
    }
    let results = tasks.join_all().await;
    let sent = results
        .iter()
        .filter(|(step, it)| *step == 0 && it.is_ok())
        .count();
    let released = results
        .iter()
        .filter(|(step, it)| *step == 1 && it.is_ok())
        .count();
    // Each may be done ten times over, and the other not once.
    assert!(
        matches!((sent, released), (10, 0) | (0, 10)),
        "{sent} {released}"
    );
}

/// The oldest come first, in parts that join, until there is nothing left to do for them.
pub async fn what_is_not_closed_is_listed_by_when_it_expires(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    let ids = async |until_ms, after: Option<&Place>, limit| {
        let listed = store.unfinished(until_ms, after, limit).await;
        let listed = listed.expect("the store is there").into_iter();
        listed
            .map(|it| it.request.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    for (request, expires_ms) in [("c", 30), ("a", 20), ("b", 20), ("z", 10), ("late", 100)] {
        begun(&store, &reservation(request, 1, expires_ms)).await;
    }
    assert_eq!(ids(30, None, 9).await, ["z", "a", "b", "c"]);
    assert_eq!(ids(29, None, 9).await, ["z", "a", "b"]);
    assert_eq!(ids(30, None, 2).await, ["z", "a"]);
    let after = reservation("a", 1, 20).place();
    assert_eq!(ids(30, Some(&after), 2).await, ["b", "c"]);
    assert_eq!(ids(9, None, 9).await, [""; 0]);
    let known = reservation("a", 1, 20);
    let released = done(&store, &known, &Step::Release).await;
    assert_eq!(ids(30, None, 9).await, ["z", "a", "b", "c"]);
    done(&store, &released, &Step::Close { forget_ms: 1 << 45 }).await;
    assert_eq!(ids(30, None, 9).await, ["z", "b", "c"]);
}

/// What a request cost is said once, and found by its day.
pub async fn an_entry_is_appended_once_and_listed_in_its_day(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    let day = "2026-11-26";
    for (request, day, at_ms) in [
        ("b", day, 2),
        ("a", day, 2),
        ("c", day, 1),
        ("d", "2026-11-27", 3),
    ] {
        let entry = entry(request, day, at_ms);
        store.append(&entry).await.expect("it is new");
        store.append(&entry).await.expect("it is the same");
    }
    let other = LedgerEntry {
        cost: amount(8),
        ..entry("a", day, 2)
    };
    let refused = store.append(&other).await;
    assert!(
        matches!(refused, Err(StorageError::RecordExists { .. })),
        "{refused:?}"
    );
    let list = async |day: &str, after: Option<&Place>, limit| {
        store
            .ledger(day, after, limit)
            .await
            .expect("the store is there")
    };
    let all = [entry("c", day, 1), entry("a", day, 2), entry("b", day, 2)];
    assert_eq!(list(day, None, 9).await, all);
    assert_eq!(list(day, None, 2).await, all[..2]);
    assert_eq!(list(day, Some(&all[1].place()), 9).await, all[2..]);
    assert_eq!(list("2026-11-25", None, 9).await, []);
}

/// What was acknowledged is there.
pub async fn a_restart_keeps_budgets_rows_reservations_and_the_ledger(open: OpenSpending) {
    let root = root();
    let store = opened(root.path(), open, 10).await;
    let hold = held(&store, "r1", 4).await;
    let first = reservation("r1", 1, 100);
    begun(&store, &first).await;
    let step = Step::Open { holds: vec![hold] };
    let opened = done(&store, &first, &step).await;
    store
        .append(&entry("r0", "2026-11-26", 1))
        .await
        .expect("it is new");
    drop(store);
    let store = open(root.path());
    assert_eq!(row(&store).await.holds[&id("r1")], hold);
    assert_eq!(held(&store, "r1", 4).await, hold);
    assert_eq!(
        store.reservation(&id("r1")).await.expect("there"),
        Some(opened)
    );
    assert_eq!(
        store.unfinished(100, None, 9).await.expect("there").len(),
        1
    );
    assert_eq!(
        store
            .ledger("2026-11-26", None, 9)
            .await
            .expect("there")
            .len(),
        1
    );
}
