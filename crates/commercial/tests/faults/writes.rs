//! What a question costs in the store: each call is one write of an item or one read, and docs/COMMERCIAL.md says how
//! many.

use std::{collections::BTreeMap, sync::Arc};

use llmopt_provider_mock::{Behaviour, Fault};
use llmopt_providers::Delivery;
use llmopt_spending::BudgetLimits;
use llmopt_storage::SpendStore;
use llmopt_storage_embedded::SqliteSpendStore;
use parking_lot::Mutex;

use crate::{
    bench::{Bench, KEY, MICRO, Setup, amount, now_ms, question, scope},
    between::{Between, Fate, Steps},
    seen::ask,
};

type Counts = Arc<Mutex<BTreeMap<&'static str, u32>>>;

/// A bench whose calls of the store are counted.
async fn counting() -> (Bench, Counts) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteSpendStore::open(&folder.path().join("spending.db")).unwrap();
    let counts = Counts::default();
    let counted = Arc::clone(&counts);
    let fates = Arc::new(move |name| {
        *counted.lock().entry(name).or_default() += 1;
        Fate::Answered
    });
    let store: Arc<dyn SpendStore> =
        Arc::new(Between::new(Arc::new(store), Steps::OneByOne, fates));
    let bench = Bench::over(&Setup::default(), folder, store).await;
    (bench, counts)
}

/// Asks, and returns what the store was asked for that: once more than before, whose rows were opened.
async fn calls(bench: &Bench, counts: &Counts, model: &str) -> String {
    counts.lock().clear();
    drop(ask(&bench.commercial, question(model, Delivery::Stream)).await);
    // What settles without anybody who waits for it.
    for _ in 0..100 {
        if counts.lock().contains_key("close") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let counts = counts.lock();
    let calls = counts.iter().map(|(name, count)| format!("{count} {name}"));
    calls.collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_eight_writes_and_two_more_for_each_further_budget() {
    let (bench, counts) = counting().await;
    // The first of a window opens the rows.
    drop(calls(&bench, &counts, "gpt-test").await);
    // Those of the key and of all: two budgets, and none of the provider.
    let answered =
        "1 append, 1 begin, 3 budget, 1 close, 2 finish, 1 open, 1 send, 1 settle, 2 take";
    assert_eq!(calls(&bench, &counts, "gpt-test").await, answered);

    let spending = bench.commercial.spending();
    let limits = BudgetLimits {
        daily: Some(amount(1_000 * MICRO)),
        monthly: Some(amount(1_000 * MICRO)),
        ..BudgetLimits::default()
    };
    let provider = scope("provider/openai");
    spending
        .set_budget(&provider, &limits, now_ms())
        .await
        .unwrap();
    drop(calls(&bench, &counts, "gpt-test").await);
    let answered =
        "1 append, 1 begin, 3 budget, 1 close, 4 finish, 1 open, 1 send, 1 settle, 4 take";
    assert_eq!(calls(&bench, &counts, "gpt-test").await, answered);

    // A question that is tried again is one question.
    for _ in 0..2 {
        bench
            .mock
            .next(Behaviour::failing(Fault::Status { status: 500 }));
    }
    assert_eq!(calls(&bench, &counts, "gpt-test").await, answered);
    assert_eq!(calls(&bench, &counts, "unpriced/any").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_a_budget_refuses_takes_nothing() {
    let (bench, counts) = counting().await;
    let limits = BudgetLimits {
        daily: Some(amount(MICRO)),
        ..BudgetLimits::default()
    };
    let key = scope(&format!("key/{KEY}"));
    let set = bench
        .commercial
        .spending()
        .set_budget(&key, &limits, now_ms());
    set.await.unwrap();
    // The row of the day is opened.
    let refused = "1 begin, 3 budget, 1 close, 1 open_row, 1 release, 2 row, 2 take";
    assert_eq!(calls(&bench, &counts, "gpt-test").await, refused);
    // For a minute the budget is looked at before anything is written.
    let looked_at = "3 budget, 1 row";
    assert_eq!(calls(&bench, &counts, "gpt-test").await, looked_at);
    assert!(bench.ledger().await.is_empty());
}

/// Returns what the items of a question are charged in DynamoDB: write units of the table, and of its index, whose items
/// are the same. An item has its name, its place and its revision beside its body.
async fn units(bench: &Bench, counts: &Counts) -> (usize, usize) {
    const BESIDE: usize = 250;
    let units = |bytes: usize| (bytes + BESIDE).div_ceil(1_024);
    drop(calls(bench, counts, "gpt-test").await);
    let entry = bench.ledger().await.pop().unwrap();
    let reservation = bench.store.reservation(&entry.request).await;
    let reservation = serde_json::to_string(&reservation.unwrap().unwrap()).unwrap();
    let entry = serde_json::to_string(&entry).unwrap();
    let before_it_is_settled = units(reservation.len() - entry.len());
    let settled = units(reservation.len());
    let all = 3 * before_it_is_settled + 2 * settled + units(entry.len());
    let budgets = counts.lock()["take"] as usize;
    // Of a row of few holds, each write is a unit.
    (all + 2 * budgets, all)
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_as_small_as_the_documentation_says() {
    let (bench, counts) = counting().await;
    drop(calls(&bench, &counts, "gpt-test").await);
    assert_eq!(units(&bench, &counts).await, (12, 8));
    let spending = bench.commercial.spending();
    let limits = BudgetLimits {
        daily: Some(amount(1_000 * MICRO)),
        monthly: Some(amount(1_000 * MICRO)),
        ..BudgetLimits::default()
    };
    for name in [
        format!("key/{KEY}"),
        "provider/openai".to_owned(),
        "all".to_owned(),
    ] {
        let scope = scope(&name);
        spending
            .set_budget(&scope, &limits, now_ms())
            .await
            .unwrap();
    }
    drop(calls(&bench, &counts, "gpt-test").await);
    assert_eq!(units(&bench, &counts).await, (26, 14));
}
