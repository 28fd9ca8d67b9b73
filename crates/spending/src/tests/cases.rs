//! Single cases of the protocol, on SQLite.

use std::sync::Arc;

use llmopt_storage::{
    SpendStore,
    spend::{Basis, ReservationState},
};

use super::{
    bench::{DAY, HOUR, MINUTE, NOON, Notes, amount, ask, asked, bench, daily, id, scope, truth},
    memory::{Bug, Fate, MemoryStore},
};
use crate::{
    Ask, BudgetLimits, GroupBy, Moment, Outcome, Settlement, Spending, SpendingError, Swept, Truth,
    UsageQuery, UsageReport, error::OutOfOrder,
};

#[tokio::test]
async fn a_refusal_names_the_budget_and_gives_back_what_narrower_ones_had() {
    let bench = bench();
    bench.budget("key/a1", &daily(100), NOON).await;
    bench.budget("team", &daily(10), NOON).await;
    bench.reserved("r1", 7, NOON).await;
    let refusal = bench.refused("r2", 4, NOON).await;
    assert_eq!(refusal.row.to_string(), "team#2026-11-26");
    assert_eq!((refusal.available, refusal.limit), (3, amount(10)));
    assert_eq!(refusal.resets_ms, Some(NOON + 12 * HOUR));
    assert_eq!(bench.standing("key/a1", NOON).await, [(93, 0)]);
    assert_eq!(bench.standing("team", NOON).await, [(3, 0)]);
    bench.reserved("r3", 3, NOON).await;
    let last = bench.store.reservation(&id("r2")).await.unwrap().unwrap();
    assert!(last.state == ReservationState::Released && last.forget_ms.is_some());
}

#[tokio::test]
async fn whoever_asks_again_is_told_what_there_is_and_reserves_nothing() {
    let bench = bench();
    bench.budget("team", &daily(10), NOON).await;
    let first = bench.reserved("r1", 7, NOON).await;
    let again = bench
        .spending
        .reserve(&ask("r1", 7, NOON + 1))
        .await
        .unwrap();
    assert_eq!(again, Outcome::Replay(first));
    bench.refused("r2", 4, NOON).await;
    bench.budget("team", &daily(100), NOON).await;
    let again = bench.spending.reserve(&ask("r2", 4, NOON)).await.unwrap();
    assert!(matches!(again, Outcome::Replay(it) if it.state == ReservationState::Released));
    assert_eq!(bench.standing("team", NOON).await, [(93, 0)]);
}

#[tokio::test]
async fn what_was_not_used_is_available_again_and_the_ledger_says_what_was() {
    let bench = bench();
    bench.budget("team", &daily(10), NOON).await;
    let sent = bench.sent("r1", 7, NOON).await;
    assert_eq!(bench.standing("team", NOON).await, [(3, 0)]);
    let first = bench.spending.settle(&sent, &truth(2, NOON + 9)).await;
    let Settlement::Settled(entry) = first.unwrap() else {
        panic!("it was settled before");
    };
    let again = bench.spending.settle(&sent, &truth(5, NOON + 10)).await;
    assert_eq!(again.unwrap(), Settlement::Before(entry.clone()));
    assert_eq!(bench.standing("team", NOON).await, [(8, 2)]);
    let ledger = bench.store.ledger("2026-11-26", None, 9).await.unwrap();
    assert_eq!(ledger, [entry]);
    assert_eq!(ledger[0].basis, Basis::Measured);
}

#[tokio::test]
async fn a_cost_above_the_bound_wants_a_reason_and_is_told_of() {
    let bench = bench();
    bench.budget("team", &daily(10), NOON).await;
    let sent = bench.sent("r1", 4, NOON).await;
    let silent = bench.spending.settle(&sent, &truth(11, NOON)).await;
    assert!(
        matches!(silent, Err(SpendingError::AboveBound { .. })),
        "{silent:?}"
    );
    assert_eq!(bench.standing("team", NOON).await, [(6, 0)]);
    let explained = Truth {
        is_assumed: false,
        overrun: Some("a tool was called".to_owned()),
        ..truth(11, NOON)
    };
    bench.spending.settle(&sent, &explained).await.unwrap();
    assert_eq!(bench.standing("team", NOON).await, [(-1, 11)]);
    let day = "team#2026-11-26";
    assert_eq!(
        bench.told(),
        [
            format!("{day}#50"),
            format!("{day}#100"),
            "overrun#r1".to_owned()
        ]
    );
    assert_eq!(bench.refused("r2", 0, NOON).await.available, -1);
}

#[tokio::test]
async fn steps_out_of_order_are_refused() {
    let bench = bench();
    bench.budget("team", &daily(10), NOON).await;
    let reserved = bench.reserved("r1", 4, NOON).await;
    let early = bench.spending.settle(&reserved, &truth(1, NOON)).await;
    assert!(
        matches!(
            early,
            Err(SpendingError::OutOfOrder(OutOfOrder::NotSent(_)))
        ),
        "{early:?}"
    );
    let sent = bench.spending.mark_sent(&reserved).await.unwrap();
    let late = bench.spending.release(&reserved, NOON).await;
    assert!(
        matches!(late, Err(SpendingError::OutOfOrder(OutOfOrder::Sent(_)))),
        "{late:?}"
    );
    bench.spending.settle(&sent, &truth(0, NOON)).await.unwrap();
    let other = bench.reserved("r2", 4, NOON).await;
    bench.spending.release(&other, NOON).await.unwrap();
    bench.spending.release(&other, NOON).await.unwrap();
    let late = bench.spending.mark_sent(&other).await;
    assert!(matches!(late, Err(SpendingError::Gone { .. })), "{late:?}");
    assert_eq!(bench.standing("team", NOON).await, [(10, 0)]);
}

#[tokio::test]
async fn what_was_abandoned_costs_its_bound_if_it_may_have_been_sent_and_else_nothing() {
    let bench = bench();
    bench.budget("team", &daily(100), NOON).await;
    bench.sent("sent", 7, NOON).await;
    let unsent = bench.reserved("unsent", 20, NOON).await;
    let early = bench.spending.sweep(NOON + 5 * MINUTE - 1).await.unwrap();
    assert_eq!(early, Swept::default());
    let swept = bench.spending.sweep(NOON + 5 * MINUTE).await.unwrap();
    assert_eq!((swept.settled, swept.released, swept.failed), (1, 1, 0));
    assert_eq!(bench.standing("team", NOON).await, [(93, 7)]);
    let entry = &bench.store.ledger("2026-11-26", None, 9).await.unwrap()[0];
    assert_eq!((entry.cost, &entry.basis), (amount(7), &Basis::Assumed));
    let late = bench.spending.mark_sent(&unsent).await;
    assert!(matches!(late, Err(SpendingError::Gone { .. })), "{late:?}");
    let again = bench.spending.sweep(NOON + HOUR).await.unwrap();
    assert_eq!(again, Swept::default());
}

#[tokio::test]
async fn what_changes_all_the_time_is_left_for_the_next_sweep_and_counts_as_failed() {
    let store = MemoryStore::new(Box::new(|| Fate::Answered), Some(Bug::Contends));
    let spending = Spending::new(Arc::new(store), Arc::new(Notes::default()));
    let outcome = spending.reserve(&ask("r1", 7, NOON)).await.unwrap();
    assert!(matches!(outcome, Outcome::Reserved(_)), "{outcome:?}");
    let swept = spending.sweep(NOON + HOUR).await.unwrap();
    let expected = Swept {
        failed: 1,
        ..Swept::default()
    };
    assert_eq!(swept, expected);
}

#[tokio::test]
async fn what_an_open_request_holds_is_kept_however_old_it_is() {
    let bench = bench();
    bench.budget("team", &daily(10), NOON).await;
    let long = Ask {
        expires_ms: NOON + 2 * HOUR,
        ..ask("r1", 7, NOON)
    };
    let outcome = bench.spending.reserve(&long).await.unwrap();
    assert!(matches!(outcome, Outcome::Reserved(_)), "{outcome:?}");
    let swept = bench.spending.sweep(NOON + HOUR).await.unwrap();
    assert_eq!(swept, Swept::default());
    assert_eq!(bench.standing("team", NOON).await, [(3, 0)]);
}

#[tokio::test]
async fn a_request_counts_in_the_windows_that_it_was_reserved_in() {
    let bench = bench();
    let limits = BudgetLimits {
        monthly: Some(amount(15)),
        total: Some(amount(99)),
        ..daily(10)
    };
    bench.budget("team", &limits, NOON).await;
    // 2026-11-30T23:59:59.999Z.
    let last = NOON + 4 * DAY + 12 * HOUR - 1;
    let sent = bench.sent("r1", 9, last).await;
    bench.refused("r2", 2, last).await;
    bench.reserved("r3", 10, last + 1).await;
    bench
        .spending
        .settle(&sent, &truth(8, last + 2))
        .await
        .unwrap();
    assert_eq!(
        bench.standing("team", last).await,
        [(2, 8), (7, 8), (81, 8)]
    );
    assert_eq!(
        bench.standing("team", last + 1).await,
        [(0, 0), (5, 0), (81, 8)]
    );
    let refusal = bench.refused("r4", 6, last + 1 + DAY).await;
    assert_eq!(refusal.row.window, "2026-12");
    assert_eq!(refusal.resets_ms, Some(last + 1 + 31 * DAY));
    assert_eq!(
        bench
            .store
            .ledger("2026-11-30", None, 9)
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_limit_that_changes_while_requests_are_open_moves_what_is_available_once() {
    let bench = bench();
    bench.budget("team", &daily(10), NOON).await;
    let sent = bench.sent("r1", 8, NOON).await;
    for _ in 0..2 {
        bench.budget("team", &daily(30), NOON).await;
        assert_eq!(bench.standing("team", NOON).await, [(22, 0)]);
    }
    bench.budget("team", &daily(5), NOON).await;
    assert_eq!(bench.standing("team", NOON).await, [(-3, 0)]);
    assert_eq!(bench.refused("r2", 0, NOON).await.available, -3);
    bench.spending.settle(&sent, &truth(1, NOON)).await.unwrap();
    assert_eq!(bench.standing("team", NOON).await, [(4, 1)]);
    bench.reserved("r3", 4, NOON).await;
}

#[tokio::test]
async fn a_deleted_budget_limits_nothing_and_one_made_anew_counts_what_the_window_had() {
    let bench = bench();
    bench.budget("team", &daily(10), NOON).await;
    let sent = bench.sent("r1", 8, NOON).await;
    bench
        .spending
        .delete_budget(&scope("team"), NOON)
        .await
        .unwrap();
    assert_eq!(bench.spending.budgets().await.unwrap(), []);
    bench.spend("r2", 1_000, NOON).await;
    bench.spending.settle(&sent, &truth(6, NOON)).await.unwrap();
    bench.budget("team", &daily(9), NOON).await;
    assert_eq!(bench.standing("team", NOON).await, [(3, 6)]);
    assert_eq!(bench.refused("r3", 4, NOON).await.limit, amount(9));
    assert_eq!(bench.spending.budgets().await.unwrap().len(), 1);
}

#[tokio::test]
async fn each_part_of_a_limit_is_told_once_in_each_window() {
    let bench = bench();
    bench.budget("team", &daily(10), NOON).await;
    for (request, now_ms) in [("a", NOON), ("b", NOON), ("c", NOON), ("d", NOON + DAY)] {
        bench.spend(request, 3, now_ms).await;
    }
    assert_eq!(bench.told(), ["team#2026-11-26#50"]);
    bench.spend("e", 1, NOON).await;
    bench.spend("f", 2, NOON + DAY).await;
    let told = bench.told();
    assert_eq!(told[1..], ["team#2026-11-26#100", "team#2026-11-27#50"]);
}

#[tokio::test]
async fn what_nobody_could_be_told_is_told_by_a_later_sweep() {
    let bench = bench();
    bench.budget("team", &daily(10), NOON).await;
    *bench.notes.is_down.lock().unwrap() = true;
    bench.spend("a", 6, NOON).await;
    let sent = bench.sent("b", 1, NOON).await;
    let overrun = Truth {
        is_assumed: false,
        overrun: Some("a guess".to_owned()),
        ..truth(2, NOON)
    };
    bench.spending.settle(&sent, &overrun).await.unwrap();
    bench.spending.sweep(NOON + HOUR).await.unwrap();
    assert_eq!(bench.told(), [""; 0]);
    *bench.notes.is_down.lock().unwrap() = false;
    let swept = bench.spending.sweep(NOON + 2 * HOUR).await.unwrap();
    assert_eq!((swept.alerts, swept.finished), (1, 1));
    bench.spending.sweep(NOON + 3 * HOUR).await.unwrap();
    assert_eq!(bench.told(), ["overrun#b", "team#2026-11-26#50"]);
    assert_eq!(bench.standing("team", NOON).await, [(2, 8)]);
}

#[tokio::test]
async fn usage_is_added_up_by_what_is_asked_for() {
    let bench = bench();
    for (request, model, cost, now_ms) in [
        ("a", "gpt", 3, NOON),
        ("b", "gpt", 4, NOON + DAY),
        ("c", "claude", 5, NOON + DAY),
    ] {
        let sent = bench.sent(request, 9, now_ms).await;
        let truth = Truth {
            asked: asked(model),
            ..truth(cost, now_ms)
        };
        bench.spending.settle(&sent, &truth).await.unwrap();
    }
    bench.sent("d", 9, NOON + DAY).await;
    bench.spending.sweep(NOON + DAY + HOUR).await.unwrap();
    let days = Moment::new(NOON + DAY).last_days(2);
    let totals = async |by| {
        let query = UsageQuery {
            days: days.clone(),
            by,
            key: None,
        };
        let report = bench.spending.usage_report(&query).await.unwrap();
        let totals = report.groups.into_iter().map(|(group, total)| {
            let numbers = [total.requests, total.cost.get(), total.assumed.get()];
            (group, numbers, total.usage.input_tokens)
        });
        totals.collect::<Vec<_>>()
    };
    let model = |name: &str, numbers, tokens| (name.to_owned(), numbers, tokens);
    assert_eq!(
        totals(GroupBy::Model).await,
        [model("claude", [1, 5, 0], 5), model("gpt", [3, 16, 9], 7)]
    );
    assert_eq!(
        totals(GroupBy::Day).await,
        [
            model("2026-11-26", [1, 3, 0], 3),
            model("2026-11-27", [3, 18, 9], 9)
        ]
    );
    assert_eq!(
        totals(GroupBy::Provider).await,
        [model("openai", [4, 21, 9], 12)]
    );
    assert_eq!(totals(GroupBy::Key).await, [model("a1", [4, 21, 9], 12)]);
    let mut query = UsageQuery {
        days,
        by: GroupBy::Model,
        key: Some("a1".to_owned()),
    };
    let own = bench.spending.usage_report(&query).await.unwrap();
    assert_eq!((own.total.requests, own.total.cost.get()), (4, 21));
    let days: Vec<u64> = own.days.values().map(|day| day.cost.get()).collect();
    assert_eq!((days, own.groups.len()), (vec![3, 18], 2));
    query.key = Some("a".to_owned());
    let nobodys = bench.spending.usage_report(&query).await.unwrap();
    assert_eq!(nobodys, UsageReport::default());
}
