//! Questions that come one after the other: limits, circuits, retries, and questions that are asked twice.

use std::{num::NonZeroU32, time::Duration};

use llmopt_commercial::{Asker, Circuit, CommercialError, WhenLimited};
use llmopt_domain::error_chain;
use llmopt_provider_mock::{Behaviour, Fault, Tokens};
use llmopt_providers::{Delivery, ProviderError};
use llmopt_spending::{BudgetAlert, BudgetLimits, Moment};
use tokio::time::Instant;

use crate::{
    bench::{Bench, KEY, MICRO, Setup, amount, now_ms, question, scope},
    seen::{Seen, ask, kind},
};

fn per_minute(count: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(count)
}

async fn stream(bench: &Bench, model: &str) -> Seen {
    ask(&bench.commercial, question(model, Delivery::Stream)).await
}

fn always(bench: &Bench, fault: Fault) {
    for model in ["gpt-test", "claude-test"] {
        bench
            .mock
            .for_model(model, Behaviour::failing(fault.clone()));
    }
}

fn error(seen: Seen) -> CommercialError {
    seen.error.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_five_times_in_a_row_is_left_alone_and_the_next_of_a_chain_is_asked()
{
    let mut setup = Setup::default();
    setup.policy.retry.max_attempts = 1;
    let bench = Bench::new(&setup).await;
    let broken = Behaviour::failing(Fault::Status { status: 500 });
    bench.mock.for_model("gpt-test", broken);
    for _ in 0..5 {
        assert_eq!(stream(&bench, "gpt-test").await.words(), "Server");
    }
    let left_alone = error(stream(&bench, "gpt-test").await);
    assert_eq!(kind(&left_alone), "CircuitOpen");
    assert!(left_alone.retry_after().unwrap() > Duration::ZERO);
    assert_eq!(bench.mock.exchanges().len(), 5);
    let circuits = bench.commercial.circuits();
    let open = |circuit: &Circuit| matches!(circuit, Circuit::Open { .. });
    let open: Vec<&str> = circuits
        .iter()
        .filter(|it| open(&it.circuit))
        .map(|it| it.provider.as_str())
        .collect();
    assert_eq!(open, ["openai"]);

    let seen = stream(&bench, "openai-first").await;
    assert!(seen.error.is_none(), "{seen:?}");
    assert_eq!(bench.mock.exchanges().len(), 6);
    bench.settled().await;
    assert_eq!(bench.row().await.spent.get(), 23 * MICRO);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_are_a_share_of_the_questions_and_a_few() {
    let mut setup = Setup::default();
    setup.policy.retry_percent = 0;
    let bench = Bench::new(&setup).await;
    always(
        &bench,
        Fault::RateLimited {
            retry_after: Some("0".to_owned()),
        },
    );
    let mut calls = Vec::new();
    for _ in 0..20 {
        let before = bench.mock.exchanges().len();
        assert_eq!(stream(&bench, "gpt-test").await.words(), "RateLimited");
        calls.push(bench.mock.exchanges().len() - before);
    }
    assert_eq!(calls.first(), Some(&3), "{calls:?}");
    assert_eq!(calls[10..], [1; 10], "{calls:?}");
    bench.settled().await;
    let ledger = bench.ledger().await;
    assert!(ledger.len() == 20 && ledger.iter().all(|entry| entry.cost.get() == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_turn_soon_is_told_when_and_nothing_is_asked_or_held() {
    let mut setup = Setup::default();
    setup.limits.requests_per_minute = per_minute(2);
    let bench = Bench::new(&setup).await;
    for _ in 0..2 {
        assert!(stream(&bench, "gpt-test").await.receipt.is_some());
    }
    let refused = error(stream(&bench, "gpt-test").await);
    let CommercialError::Limited { provider, wait, .. } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(provider, "openai");
    assert!(*wait > setup.policy.longest_wait && *wait <= Duration::from_secs(30));
    assert_eq!(refused.retry_after(), Some(*wait));
    assert_eq!(bench.mock.exchanges().len(), 2);
    bench.settled().await;
    let row = bench.row().await;
    assert_eq!((row.spent.get(), row.holds.len()), (2 * 23 * MICRO, 0));
    // Another provider has turns of its own, also as the next of a chain.
    assert!(stream(&bench, "openai-first").await.receipt.is_some());
    assert!(stream(&bench, "claude-test").await.receipt.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_of_its_limit_holds_for_the_next_question_which_waits_its_turn() {
    let mut setup = Setup::default();
    setup.policy.retry.max_attempts = 1;
    setup.policy.longest_wait = Duration::from_secs(5);
    setup.limits.requests_per_minute = per_minute(10_000);
    let bench = Bench::new(&setup).await;
    bench.mock.next(Behaviour::failing(Fault::Raw {
        status: 429,
        headers: vec![("retry-after-ms".to_owned(), "2000".to_owned())],
        body: String::new(),
    }));
    assert_eq!(stream(&bench, "gpt-test").await.words(), "RateLimited");
    let seen = stream(&bench, "gpt-test").await;
    let receipt = seen.receipt.unwrap();
    assert!(receipt.waited > Duration::ZERO, "{receipt:?}");
    assert_eq!(bench.mock.exchanges().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_needs_more_tokens_than_a_minute_has_is_refused() {
    let mut setup = Setup::default();
    setup.limits.tokens_per_minute = per_minute(15);
    let bench = Bench::new(&setup).await;
    let refused = error(stream(&bench, "gpt-test").await);
    let CommercialError::OverTokenLimit { wanted, limit, .. } = refused else {
        panic!("{refused:?}");
    };
    assert!(limit == 15 && wanted > 20, "{wanted} of {limit}");
    assert!(bench.mock.exchanges().is_empty());
    bench.settled().await;
    assert_eq!(bench.row().await.holds.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_by_the_minute_too() {
    let mut setup = Setup::default();
    setup.limits.tokens_per_minute = per_minute(100);
    let bench = Bench::new(&setup).await;
    let mut answered = 0;
    let refused = loop {
        let seen = stream(&bench, "gpt-test").await;
        match seen.error {
            Some(error) => break error,
            None => answered += 1,
        }
        assert!(answered < 10);
    };
    assert!((1..=4).contains(&answered), "{answered}");
    assert_eq!(kind(&refused), "Limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_a_key_are_its_own_over_all_providers() {
    let bench = Bench::new(&Setup::default()).await;
    let of = |key: &str, limit: u32, model: &str| {
        let mut asked = question(model, Delivery::Stream);
        asked.asker = Asker {
            key: key.to_owned(),
            tokens_per_minute: NonZeroU32::new(limit),
        };
        asked
    };
    let mut answered = 0;
    let refused = loop {
        let model = ["gpt-test", "claude-test"][answered % 2];
        match ask(&bench.commercial, of("mine", 300, model)).await.error {
            Some(error) => break error,
            None => answered += 1,
        }
        assert!(answered < 20);
    };
    assert!((2..=15).contains(&answered), "{answered}");
    let CommercialError::KeyLimited { limit: 300, wait } = refused else {
        panic!("{refused:?}");
    };
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(60));
    // Another key has tokens of its own, and one without a limit has all.
    for (key, limit) in [("yours", 300), ("free", 0)] {
        let seen = ask(&bench.commercial, of(key, limit, "gpt-test")).await;
        assert!(seen.receipt.is_some(), "{seen:?}");
    }
    let refused = error(ask(&bench.commercial, of("small", 5, "gpt-test")).await);
    assert_eq!(kind(&refused), "OverTokenLimit");
    assert_eq!(bench.mock.exchanges().len(), answered + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_asked_twice_is_sent_and_billed_once() {
    let bench = Bench::new(&Setup::default()).await;
    let asked = question("gpt-test", Delivery::Stream);
    assert!(
        ask(&bench.commercial, asked.clone())
            .await
            .receipt
            .is_some()
    );
    assert_eq!(ask(&bench.commercial, asked).await.words(), "Repeated");
    bench.settled().await;
    assert_eq!(bench.mock.exchanges().len(), 1);
    assert_eq!(bench.row().await.spent.get(), 23 * MICRO);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_and_no_entry_has_a_prompt_a_providers_words_or_a_key() {
    let bench = Bench::new(&Setup::default()).await;
    let said =
        r#"{"error": {"message": "your prompt was: hunter2", "type": "invalid_request_error"}}"#;
    bench.mock.next(Behaviour::failing(Fault::Raw {
        status: 400,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: said.to_owned(),
    }));
    let mut asked = question("gpt-test", Delivery::Stream);
    asked.conversation.messages[0].content = "hunter2 hunter2".to_owned();
    let error = error(ask(&bench.commercial, asked.clone()).await);
    let shown = format!("{error:?} {}", error_chain(&error));
    assert!(
        !shown.contains("hunter2") && !shown.contains("sk-test"),
        "{shown}"
    );
    let CommercialError::Provider { source, .. } = &error else {
        panic!("{error:?}");
    };
    let ProviderError::Invalid(refusal) = source.as_ref() else {
        panic!("{source:?}");
    };
    assert_eq!(refusal.said.as_str(), "your prompt was: hunter2");

    asked.request = crate::bench::fresh();
    assert!(ask(&bench.commercial, asked).await.receipt.is_some());
    bench.settled().await;
    let ledger = format!("{:?}", bench.ledger().await);
    assert!(
        ledger.contains("gpt-test") && !ledger.contains("hunter2"),
        "{ledger}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_budget_that_is_spent_and_a_cost_above_its_bound_are_told_once() {
    let bench = Bench::new(&Setup::default()).await;
    let spending = bench.commercial.spending();
    let limits = BudgetLimits {
        daily: Some(amount(1_000 * MICRO)),
        alert_percent: vec![50, 90],
        ..BudgetLimits::default()
    };
    let key = scope(&format!("key/{KEY}"));
    spending.set_budget(&key, &limits, now_ms()).await.unwrap();
    for input in [520, 10] {
        bench.mock.next(Behaviour {
            tokens: Some(Tokens {
                input,
                output: 5,
                ..Tokens::default()
            }),
            ..Behaviour::default()
        });
        assert!(stream(&bench, "gpt-test").await.receipt.is_some());
        bench.settled().await;
    }
    let told: Vec<String> = bench.alerts.0.lock().iter().map(BudgetAlert::id).collect();
    let request = &bench.ledger().await[0].request;
    let day = now_ms();
    let day = Moment::new(day).day;
    let expected = [format!("key/{KEY}#{day}#50"), format!("overrun#{request}")];
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_on_whole_answers_is_left_alone() {
    let mut setup = Setup::default();
    // Shorter than what is left after any wait for the disk.
    setup.policy.timeouts.first_byte = Duration::from_millis(1);
    let bench = Bench::new(&setup).await;
    let hung = || Behaviour {
        head_ms: 3_600_000,
        ..Behaviour::default()
    };
    for _ in 0..5 {
        bench.mock.next(hung());
        let mut asked = question("gpt-test", Delivery::Whole);
        asked.answer_by = Some(Instant::now() + Duration::from_millis(500));
        let words = ask(&bench.commercial, asked).await.words();
        assert_eq!(words, "Timeout(Total)");
    }
    let left_alone = ask(&bench.commercial, question("gpt-test", Delivery::Whole)).await;
    assert_eq!(left_alone.words(), "CircuitOpen");
    let next = question("openai-first", Delivery::Whole);
    assert!(ask(&bench.commercial, next).await.receipt.is_some());
    bench.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_is_sent_back_is_counted_for_the_alert() {
    let mut setup = Setup::default();
    setup.limits.requests_per_minute = NonZeroU32::new(1);
    setup.policy.longest_wait = Duration::ZERO;
    let bench = Bench::new(&setup).await;
    assert!(stream(&bench, "gpt-test").await.receipt.is_some());
    let refused = async |when_limited| {
        for _ in 0..25 {
            let mut asked = question("gpt-test", Delivery::Stream);
            asked.when_limited = when_limited;
            assert_eq!(ask(&bench.commercial, asked).await.words(), "Limited");
        }
        bench.alerts.0.lock().len()
    };
    assert_eq!(refused(WhenLimited::AskAgain).await, 0);
    assert_eq!(refused(WhenLimited::SendBack).await, 1);
}
