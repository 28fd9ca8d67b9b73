use std::{path::Path, sync::Arc};

use llmopt_domain::{Format, Picodollars, TokenUsage};
use tokio::task::JoinSet;

use super::{only_winner, root};
use crate::{
    SpendStore, StorageError,
    spend::{
        Asked, Basis, Budget, BudgetRow, BudgetScope, Hold, LedgerEntry, Limit, MOST_HOLDS, Place,
        RequestId, Reservation, ReservationState, RowKey, Step, Taken, Wanted,
    },
};

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
    assert_eq!(parts, i64::try_from(row.limit.amount.get()).expect("few"), "{row:?}");
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
    changed.expect("the store is there").expect("the step follows")
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
    for step in [budget("b", 1, 5), budget("b", 1, 5), budget("b", 2, 9), budget("b", 2, 9)] {
        store.put_budget(&step).await.expect("it follows");
        assert_eq!(store.budget(&scope("b")).await.expect("there"), Some(step));
    }
    for late in [budget("b", 1, 5), budget("b", 2, 8), budget("b", 4, 9), budget("new", 2, 9)] {
        let refused = store.put_budget(&late).await;
        assert!(matches!(refused, Err(StorageError::Conflict { .. })), "{refused:?}");
    }
    store.put_budget(&budget("a", 1, 1)).await.expect("it is new");
    let all = store.budgets().await.expect("there");
    assert_eq!(all, [budget("a", 1, 1), budget("b", 2, 9)]);
    let mut tasks = JoinSet::new();
    for daily in 0..20 {
        let (store, change) = (Arc::clone(&store), budget("b", 3, daily));
        tasks.spawn(async move { store.put_budget(&change).await });
    }
    let lost = |error: &StorageError| matches!(error, StorageError::Conflict { .. });
    only_winner(tasks.join_all().await, lost);
}

/// Opening again does not fill it up, nor change its limit.
pub async fn a_row_is_opened_once(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    assert_eq!(store.row(&key()).await.expect("there"), None);
    store.open_row(&key(), &limit(10, 1)).await.expect("it is free");
    assert_eq!(row(&store).await, BudgetRow::new(limit(10, 1)));
    held(&store, "r1", 4).await;
    store.open_row(&key(), &limit(99, 2)).await.expect("nothing happens");
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
    let ended = store.finish(&key(), &id(&format!("{:0>128}", 0)), &first, amount(0)).await;
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
    store.set_limit(&key(), &limit(1, 1)).await.expect("nothing happens");
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
    store.set_limit(&key(), &limit(24, 24)).await.expect("nobody else does");
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
    let held = taken.iter().filter(|it| matches!(it, Taken::Held(_))).count();
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
    let (begun, later): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(|(there, _)| there.is_none());
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
    assert!(matches!(missing, Err(StorageError::NoRecord { .. })), "{missing:?}");
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
    assert!(results.iter().all(|it| it.as_ref().unwrap_or_else(|there| there) == opened[0]));
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let (store, known) = (open(root.path()), opened[0].clone());
        let step = if number % 2 == 0 { Step::Send } else { Step::Release };
        tasks.spawn(async move { (number % 2, store.change(&known, &step).await.expect("there")) });
    }
    let results = tasks.join_all().await;
    let sent = results.iter().filter(|(step, it)| *step == 0 && it.is_ok()).count();
    let released = results.iter().filter(|(step, it)| *step == 1 && it.is_ok()).count();
    // Each may be done ten times over, and the other not once.
    assert!(matches!((sent, released), (10, 0) | (0, 10)), "{sent} {released}");
}

/// The oldest come first, in parts that join, until there is nothing left to do for them.
pub async fn what_is_not_closed_is_listed_by_when_it_expires(open: OpenSpending) {
    let root = root();
    let store = open(root.path());
    let ids = async |until_ms, after: Option<&Place>, limit| {
        let listed = store.unfinished(until_ms, after, limit).await;
        let listed = listed.expect("the store is there").into_iter();
        listed.map(|it| it.request.as_str().to_owned()).collect::<Vec<_>>()
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
    assert!(matches!(refused, Err(StorageError::RecordExists { .. })), "{refused:?}");
    let list = async |day: &str, after: Option<&Place>, limit| {
        store.ledger(day, after, limit).await.expect("the store is there")
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
    store.append(&entry("r0", "2026-11-26", 1)).await.expect("it is new");
    drop(store);
    let store = open(root.path());
    assert_eq!(row(&store).await.holds[&id("r1")], hold);
    assert_eq!(held(&store, "r1", 4).await, hold);
    assert_eq!(store.reservation(&id("r1")).await.expect("there"), Some(opened));
    assert_eq!(store.unfinished(100, None, 9).await.expect("there").len(), 1);
    assert_eq!(store.ledger("2026-11-26", None, 9).await.expect("there").len(), 1);
}
