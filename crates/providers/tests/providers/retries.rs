//! What a caller does with an error: ask again, or leave it.

use std::time::Duration;

use llmopt_provider_mock::{Behaviour, Fault};
use llmopt_providers::{Attempt, NoRetry, ProviderError, Retry, RetryPolicy, SharedRetryBudget};

use crate::setup::{ALL, Place, question, said};

/// Asks as often as the policy allows, and waits for nothing: the waits are returned.
async fn ask(
    place: &Place,
    budget: &SharedRetryBudget,
) -> (Vec<Duration>, Result<String, NoRetry>) {
    let mut waits = Vec::new();
    loop {
        let error = match place.provider.complete(&question()).await {
            Ok(completion) => return (waits, Ok(said(completion).await.text)),
            Err(error) => error,
        };
        let number = u32::try_from(waits.len()).unwrap() + 1;
        match decide(number, &error, budget) {
            Retry::After(wait) => waits.push(wait),
            Retry::No(why) => return (waits, Err(why)),
        }
    }
}

fn decide(number: u32, error: &ProviderError, budget: &SharedRetryBudget) -> Retry {
    let attempt = Attempt {
        number,
        error,
        time_left: Duration::from_secs(60),
        random: 1.0,
    };
    RetryPolicy::default().decide(attempt, budget)
}

#[tokio::test]
async fn a_request_that_may_work_is_asked_again_after_what_the_provider_says() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let retry_after = Some("7".to_owned());
        place
            .mock
            .next(Behaviour::failing(Fault::RateLimited { retry_after }));
        place
            .mock
            .next(Behaviour::failing(Fault::ErrorAfter { events: 1 }));
        let (waits, answer) = ask(&place, &SharedRetryBudget::new(0, 9)).await;
        assert_eq!(
            waits,
            [Duration::from_millis(7500), Duration::from_secs(1)],
            "{kind:?}"
        );
        assert!(answer.unwrap().starts_with("You said:"));
        assert_eq!(place.mock.exchanges().len(), 3);
    }
}

#[tokio::test]
async fn a_provider_in_trouble_is_asked_no_oftener_than_is_allowed() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let down = Behaviour::failing(Fault::Status { status: 503 });
        place.mock.for_model("model-x", down);
        let budget = SharedRetryBudget::new(10, 2);
        for _ in 0..20 {
            budget.deposit();
            let (_, answer) = ask(&place, &budget).await;
            assert!(answer.is_err());
        }
        let asked = place.mock.exchanges().len();
        assert!(
            (20..=24).contains(&asked),
            "{kind:?}: {asked} requests for 20"
        );
    }
}

#[tokio::test]
async fn an_account_without_credit_is_asked_once() {
    for kind in ALL {
        let place = Place::new(kind).await;
        place.mock.next(Behaviour::failing(Fault::QuotaExhausted));
        let (waits, answer) = ask(&place, &SharedRetryBudget::new(0, 9)).await;
        assert_eq!((waits.len(), answer), (0, Err(NoRetry::Useless)));
        assert_eq!(place.mock.exchanges().len(), 1);
    }
}
