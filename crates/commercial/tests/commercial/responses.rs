//! Models that answer at OpenAI's Responses API alone, and those that answer nothing.

use llmopt_commercial::CommercialError;
use llmopt_provider_mock::{Behaviour, Fault};
use llmopt_providers::{Delivery, ProviderError};
use llmopt_storage::spend::Basis;

use crate::place::{OPENAI, Place, Setup, question, read};

/// 30,000,000 picodollars a token of the prompt, and 180,000,000 one of the answer.
const PRO: &str = "gpt-5.5-pro";
const EMBEDDINGS: &str = "text-embedding-3-small";

#[tokio::test]
async fn a_model_is_asked_where_the_table_says_that_it_answers() {
    let place = Place::new(Setup::default()).await;
    for (model, target) in [
        (PRO, "POST /v1/responses"),
        ("openai/gpt-5.5-pro", "POST /v1/responses"),
        ("gpt-5.3-codex", "POST /v1/responses"),
        (OPENAI, "POST /v1/chat/completions"),
        // The server's own model, whatever its name.
        ("own/gpt-5.5-pro", "POST /v1/chat/completions"),
    ] {
        for delivery in [Delivery::Stream, Delivery::Whole] {
            let mut asked = question(&format!("{}-{delivery:?}", model.replace('/', "-")), model);
            asked.max_tokens = Some(100);
            asked.delivery = delivery;
            let answer = place.commercial.ask(asked).await.unwrap();
            let (text, receipt) = read(answer).await.unwrap();
            assert_eq!(text, "You said: one two three");
            assert_eq!(receipt.basis, Basis::Measured);
            assert_eq!(place.mock.exchanges().pop().unwrap().target, target);
            if model == PRO {
                assert_eq!(receipt.cost.get(), 3 * 30_000_000 + 5 * 180_000_000);
            }
        }
    }
}

#[tokio::test]
async fn what_such_a_model_thought_before_it_broke_off_is_assumed_to_be_the_most() {
    let place = Place::new(Setup::default()).await;
    let mut asked = question("r1", PRO);
    asked.max_tokens = Some(4_000);
    place
        .mock
        .next(Behaviour::failing(Fault::BreakAfter { events: 6 }));
    let bound = place.commercial.quote(&asked).unwrap().bound;
    let answer = place.commercial.ask(asked).await.unwrap();
    let error = read(answer).await.unwrap_err();
    assert!(matches!(error, CommercialError::Provider { .. }), "{error}");
    let entry = place.ledger().await.pop().unwrap();
    assert_eq!((entry.basis, entry.cost), (Basis::Assumed, bound));
}

#[tokio::test]
async fn what_the_route_has_no_form_for_is_neither_sent_nor_billed() {
    let place = Place::new(Setup::default()).await;
    place.budget(1_000_000_000_000).await;
    let mut asked = question("r1", PRO);
    asked.max_tokens = Some(100);
    asked.stop = vec!["END".to_owned()];
    let error = place.commercial.ask(asked).await.unwrap_err();
    let CommercialError::Provider { source, .. } = error else {
        panic!("{error:?}");
    };
    assert!(
        matches!(*source, ProviderError::Unsendable { .. }),
        "{source:?}"
    );
    assert_eq!(place.mock.exchanges(), []);
    assert_eq!(place.spent_and_held().await, (0, 0));
}

#[tokio::test]
async fn a_model_that_gives_no_answers_is_not_asked() {
    let place = Place::new(Setup::default()).await;
    for model in [EMBEDDINGS, "openai/text-embedding-3-small"] {
        let error = place
            .commercial
            .ask(question("r1", model))
            .await
            .unwrap_err();
        assert!(
            matches!(error, CommercialError::NoAnswers { .. }),
            "{error}"
        );
    }
    assert_eq!(place.mock.exchanges(), []);
    let today = "2026-11-26".parse().unwrap();
    let catalog = place.commercial.catalog(today);
    let ids: Vec<_> = catalog.iter().map(|it| it.model.id.as_str()).collect();
    assert!(ids.contains(&PRO) && !ids.contains(&EMBEDDINGS), "{ids:?}");
}
