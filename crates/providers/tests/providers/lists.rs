use std::time::Duration;

use llmopt_provider_mock::{Behaviour, Fault};
use llmopt_providers::{ListedModel, Phase, ProviderError};

use crate::setup::{ALL, Kind, Place, variant};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn models_are_listed_for_nothing() {
    for kind in ALL {
        let place = Place::new(kind).await;
        let list = place.provider.list_models(PATIENCE).await.unwrap();
        let ids: Vec<_> = list.models.iter().map(|model| model.id.as_str()).collect();
        let expected = match kind {
            Kind::OpenAi | Kind::Responses => ["gpt-mock", "gpt-mock-old"],
            Kind::Anthropic => ["claude-mock", "claude-mock-small"],
        };
        assert_eq!(ids, expected);
        assert!(list.is_complete);
        assert!(list.latency > Duration::ZERO);
        assert_eq!(list.request_id.as_deref(), Some("req_mock"));
        let exchange = place.last();
        assert_eq!(
            (exchange.target.as_str(), exchange.billed),
            ("GET /v1/models", None)
        );
    }
}

#[tokio::test]
async fn a_list_tells_what_the_provider_tells_of_a_model() {
    let openai = Place::new(Kind::OpenAi).await;
    let list = openai.provider.list_models(PATIENCE).await.unwrap();
    let old = ListedModel {
        id: "gpt-mock-old".to_owned(),
        shutdown_date: Some("2026-12-11".to_owned()),
        max_input_tokens: None,
        lifecycle: None,
    };
    assert_eq!(list.models[1], old);
    let anthropic = Place::new(Kind::Anthropic).await;
    let list = anthropic.provider.list_models(PATIENCE).await.unwrap();
    assert_eq!(list.models[0].max_input_tokens, Some(200_000));
    assert_eq!(list.models[0].lifecycle.as_deref(), Some("active"));
}

#[tokio::test]
async fn a_list_fails_as_an_answer_does() {
    for kind in ALL {
        let place = Place::new(kind).await;
        place
            .mock
            .next(Behaviour::failing(Fault::Status { status: 401 }));
        let error = place.provider.list_models(PATIENCE).await.unwrap_err();
        assert_eq!(variant(&error), "Authentication");
        place.mock.next(Behaviour {
            head_ms: 3_600_000,
            ..Behaviour::default()
        });
        let limit = Duration::from_millis(50);
        let error = place.provider.list_models(limit).await.unwrap_err();
        let is_total = matches!(
            error,
            ProviderError::Timeout {
                phase: Phase::Total,
                ..
            }
        );
        assert!(is_total, "{error:?}");
    }
}
