//! Callers that go away.

use std::time::Duration;

use llmopt_provider_mock::{Behaviour, Ended};
use llmopt_providers::Delivery;
use tokio::time::{sleep, timeout};

use crate::{
    bench::{Bench, MICRO, Setup, owed, question},
    seen::ask,
};

/// Longer than any test runs.
const NEVER_MS: u64 = 3_600_000;

async fn bench() -> Bench {
    let mut setup = Setup::default();
    let long = Duration::from_secs(60);
    setup.policy.timeouts.first_byte = long;
    setup.policy.timeouts.idle = long;
    setup.policy.timeouts.total = long;
    Bench::new(&setup).await
}

/// Waits until the provider has noticed that nobody waits for the only answer any more.
async fn abandoned(bench: &Bench) {
    for _ in 0..1_000 {
        let exchanges = bench.mock.exchanges();
        if matches!(&exchanges[..], [only] if only.ended == Ended::Abandoned) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the provider goes on: {:?}", bench.mock.exchanges());
}

/// Checks that the only request is billed, at what the provider bills or more, and at its bound at most.
async fn is_billed(bench: &Bench) -> u64 {
    bench.settled().await;
    let ledger = bench.ledger().await;
    let [entry] = &ledger[..] else {
        panic!("{ledger:?}");
    };
    let owed = owed(&bench.mock.exchanges()) * MICRO;
    assert!(entry.cost.get() >= owed, "{entry:?}, and {owed} is owed");
    assert!(entry.cost <= entry.bound, "{entry:?}");
    let row = bench.row().await;
    assert_eq!((row.spent, row.holds.len()), (entry.cost, 0));
    entry.cost.get() / MICRO
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_before_a_word_stops_the_provider_and_is_billed_what_it_may_have_used()
 {
    for model in ["gpt-test", "claude-test"] {
        for delivery in [Delivery::Stream, Delivery::Whole] {
            let bench = bench().await;
            bench.mock.next(Behaviour {
                head_ms: NEVER_MS,
                ..Behaviour::default()
            });
            let asked = ask(&bench.commercial, question(model, delivery));
            assert!(timeout(Duration::from_millis(200), asked).await.is_err());
            abandoned(&bench).await;
            is_billed(&bench).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_in_between_stops_the_provider_and_is_billed_what_was_used() {
    for model in ["gpt-test", "claude-test"] {
        let bench = bench().await;
        bench.mock.next(Behaviour {
            event_ms: 40,
            text: Some("word ".repeat(18)),
            ..Behaviour::default()
        });
        let asked = question(model, Delivery::Stream);
        let mut answer = bench.commercial.ask(asked).await.unwrap();
        for _ in 0..3 {
            answer.events.recv().await.unwrap().unwrap();
        }
        drop(answer);
        abandoned(&bench).await;
        let billed = is_billed(&bench).await;
        println!("{model}: {billed} millionths of a dollar for three words of eighteen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_caller_never_took_in_is_billed_when_it_goes_away() {
    for model in ["gpt-test", "claude-test"] {
        let bench = bench().await;
        // Two bytes for each token: what was passed on says little of what has come. More than waits for a caller, and
        // little enough to be read in the moment that there is for it.
        bench.mock.next(Behaviour {
            text: Some("a ".repeat(100)),
            ..Behaviour::default()
        });
        let mut asked = question(model, Delivery::Stream);
        asked.max_tokens = Some(600);
        let mut answer = bench.commercial.ask(asked).await.unwrap();
        answer.events.recv().await.unwrap().unwrap();
        sleep(Duration::from_millis(200)).await;
        drop(answer);
        assert_eq!(is_billed(&bench).await, 3 + 4 * 100, "{model}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_while_it_waits_for_its_turn_costs_nothing() {
    let mut setup = Setup::default();
    setup.limits.requests_per_minute = std::num::NonZeroU32::new(10_000);
    setup.policy.retry.max_attempts = 1;
    setup.policy.longest_wait = Duration::from_secs(5);
    let bench = Bench::new(&setup).await;
    bench
        .mock
        .next(Behaviour::failing(llmopt_provider_mock::Fault::Raw {
            status: 429,
            headers: vec![("retry-after-ms".to_owned(), "2000".to_owned())],
            body: String::new(),
        }));
    drop(ask(&bench.commercial, question("gpt-test", Delivery::Stream)).await);
    let asked = ask(&bench.commercial, question("gpt-test", Delivery::Stream));
    assert!(timeout(Duration::from_millis(200), asked).await.is_err());
    bench.settled().await;
    assert_eq!(bench.mock.exchanges().len(), 1);
    // The first question's, which the provider sent back.
    let ledger = bench.ledger().await;
    assert!(matches!(&ledger[..], [first] if first.cost.get() == 0));
    assert_eq!(bench.row().await.holds.len(), 0);
}
