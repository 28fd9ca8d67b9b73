use std::time::Duration;

use llmopt_commercial::CommercialError;
use llmopt_provider_mock::{Behaviour, Ended, Fault, Tokens};
use llmopt_providers::Delivery;
use llmopt_storage::spend::Basis;

use crate::place::{ANTHROPIC, OPENAI, OWN, Place, Setup, per_minute, question, read};

#[tokio::test]
async fn an_answer_costs_what_its_provider_counted_at_the_tables_price() {
    let place = Place::new(Setup::default()).await;
    // gpt-4o-mini: 150,000 and 600,000 picodollars a token; claude-haiku-4-5: 1,000,000 and 5,000,000.
    for (name, model, cost) in [
        ("r1", OPENAI, 3 * 150_000 + 5 * 600_000),
        ("r2", ANTHROPIC, 3 * 1_000_000 + 5 * 5_000_000),
        ("r3", OWN, 8 * 1_000_000),
    ] {
        for delivery in [Delivery::Stream, Delivery::Whole] {
            let mut question = question(&format!("{name}-{delivery:?}"), model);
            question.delivery = delivery;
            let answer = place.commercial.ask(question).await.unwrap();
            let (text, receipt) = read(answer).await.unwrap();
            assert_eq!(text, "You said: one two three");
            assert_eq!(
                (receipt.cost.get(), &receipt.basis),
                (cost, &Basis::Measured)
            );
            let entry = place.ledger().await.pop().unwrap();
            assert_eq!(entry.cost, receipt.cost);
            assert_eq!(entry.usage.output_tokens, 5);
            assert_eq!(entry.asked.key, "key-1");
        }
    }
    assert_eq!(place.ledger().await.len(), 6);
}

#[tokio::test]
async fn what_a_budget_does_not_pay_for_is_not_sent() {
    let place = Place::new(Setup::default()).await;
    place.budget(1_000).await;
    let error = place
        .commercial
        .ask(question("r1", OPENAI))
        .await
        .unwrap_err();
    assert!(matches!(error, CommercialError::Budget { .. }), "{error}");
    assert_eq!(place.mock.exchanges(), []);
    assert_eq!(place.spent_and_held().await, (0, 0));
    assert_eq!(place.ledger().await, []);
}

#[tokio::test]
async fn a_stream_that_its_reader_drops_is_cancelled_and_settled_at_what_came_of_it() {
    let place = Place::new(Setup::default()).await;
    place.budget(1_000_000_000_000).await;
    place.mock.next(Behaviour {
        text: Some("word ".repeat(200)),
        event_ms: 20,
        ..Behaviour::default()
    });
    let mut asked = question("r1", OPENAI);
    asked.max_tokens = Some(4_000);
    let mut answer = place.commercial.ask(asked.clone()).await.unwrap();
    answer.events.recv().await.unwrap().unwrap();
    drop(answer);
    while place.spent_and_held().await.0 == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let entry = place.ledger().await.pop().unwrap();
    assert_eq!(entry.basis, Basis::Assumed);
    let bound = place.commercial.quote(&asked).unwrap().bound;
    assert!(
        entry.cost.get() > 0 && entry.cost.get() * 10 < bound.get(),
        "{entry:?}"
    );
    assert_eq!(place.spent_and_held().await, (entry.cost.get(), 0));
    while place.mock.exchanges()[0].ended == Ended::Open {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(place.mock.exchanges()[0].ended, Ended::Abandoned);
}

#[tokio::test]
async fn whoever_is_refused_for_now_is_asked_again_under_one_reservation() {
    let place = Place::new(Setup::default()).await;
    place.budget(1_000_000_000_000).await;
    for retry_after in [Some("0".to_owned()), None] {
        place
            .mock
            .next(Behaviour::failing(Fault::RateLimited { retry_after }));
    }
    let answer = place.commercial.ask(question("r1", OPENAI)).await.unwrap();
    let (_, receipt) = read(answer).await.unwrap();
    assert_eq!(receipt.attempts.len(), 3);
    assert_eq!(place.mock.exchanges().len(), 3);
    let ledger = place.ledger().await;
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].attempts.len(), 3);
    assert_eq!(place.spent_and_held().await, (receipt.cost.get(), 0));
}

#[tokio::test]
async fn where_the_first_model_of_an_alias_fails_the_next_is_asked() {
    let chain = [OPENAI, ANTHROPIC].map(str::to_owned).to_vec();
    let place = Place::new(Setup {
        aliases: [("quick".to_owned(), chain)].into(),
        ..Setup::default()
    })
    .await;
    place
        .mock
        .for_model(OPENAI, Behaviour::failing(Fault::QuotaExhausted));
    let answer = place.commercial.ask(question("r1", "quick")).await.unwrap();
    assert_eq!(answer.target.provider, "anthropic");
    read(answer).await.unwrap();
    let ledger = place.ledger().await;
    let costs: Vec<_> = ledger
        .iter()
        .map(|it| (it.asked.provider.as_str(), it.cost.get() > 0))
        .collect();
    assert_eq!(costs, [("openai", false), ("anthropic", true)]);
}

#[tokio::test]
async fn whoever_comes_too_often_is_told_when_to_come_again() {
    let place = Place::new(Setup {
        limits: per_minute(2),
        ..Setup::default()
    })
    .await;
    for name in ["r1", "r2"] {
        read(place.commercial.ask(question(name, OPENAI)).await.unwrap())
            .await
            .unwrap();
    }
    let error = place
        .commercial
        .ask(question("r3", OPENAI))
        .await
        .unwrap_err();
    let wait = error.retry_after().unwrap();
    assert!(
        wait > Duration::from_secs(20) && wait <= Duration::from_secs(30),
        "{wait:?}"
    );
    assert_eq!(place.mock.exchanges().len(), 2);
}

#[tokio::test]
async fn more_than_was_reserved_is_spent_and_said() {
    let place = Place::new(Setup::default()).await;
    place.budget(1_000_000_000_000).await;
    place.mock.next(Behaviour {
        tokens: Some(Tokens {
            input: 1_000_000,
            output: 3,
            ..Tokens::default()
        }),
        ..Behaviour::default()
    });
    let answer = place.commercial.ask(question("r1", OPENAI)).await.unwrap();
    let (_, receipt) = read(answer).await.unwrap();
    assert!(matches!(receipt.basis, Basis::Overrun { .. }));
    assert_eq!(receipt.cost.get(), 1_000_000 * 150_000 + 3 * 600_000);
    assert_eq!(place.spent_and_held().await, (receipt.cost.get(), 0));
}

#[tokio::test]
async fn whoever_has_no_budget_takes_nobodys_turn() {
    let place = Place::new(Setup {
        limits: per_minute(2),
        ..Setup::default()
    })
    .await;
    place.budget(1_000).await;
    for nth in 0..5 {
        let asked = question(&format!("poor-{nth}"), OPENAI);
        let error = place.commercial.ask(asked).await.unwrap_err();
        assert!(matches!(error, CommercialError::Budget { .. }), "{error}");
    }
    place.budget(1_000_000_000_000).await;
    // The first of them took one of the two: it was not known yet.
    let answer = place.commercial.ask(question("r1", OPENAI)).await;
    read(answer.unwrap()).await.unwrap();
}
