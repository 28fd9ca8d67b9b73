use std::sync::Arc;

use async_trait::async_trait;
use llmopt_domain::error_chain;
use llmopt_provider_mock::Fault;
use llmopt_providers::{FixedKey, KeySource, KeyUnavailable, ProviderKey};
use parking_lot::Mutex;

use crate::setup::{ALL, Kind, Place, SECRET, question, settings, variant};

/// Keys that change with every request, and end.
struct Rotating(Mutex<Vec<&'static str>>);

#[async_trait]
impl KeySource for Rotating {
    async fn key(&self) -> Result<Option<ProviderKey>, KeyUnavailable> {
        let next = self.0.lock().pop();
        let key = next.ok_or_else(|| KeyUnavailable::new("no keys are left"))?;
        ProviderKey::new(key).map(Some)
    }
}

#[tokio::test]
async fn a_new_key_is_used_from_the_next_request_on() {
    for (kind, header, prefix) in [
        (Kind::OpenAi, "authorization", "Bearer "),
        (Kind::Anthropic, "x-api-key", ""),
    ] {
        let keys = Arc::new(Rotating(Mutex::new(vec!["second", "first"])));
        let place = Place::with_keys(kind, keys).await;
        for key in ["first", "second"] {
            place.ask(&question()).await;
            assert_eq!(place.last().headers[header], format!("{prefix}{key}"));
            assert_eq!(place.last().headers["x-extra"], "here");
        }
        let error = place.provider.complete(&question()).await.unwrap_err();
        let expected = "the provider's key cannot be had: no keys are left";
        assert_eq!(error_chain(&error), expected);
    }
}

#[tokio::test]
async fn a_server_without_keys_gets_none() {
    for kind in ALL {
        let place = Place::with_keys(kind, Arc::new(FixedKey(None))).await;
        let error = place.provider.complete(&question()).await.unwrap_err();
        assert_eq!(variant(&error), "Authentication");
        let headers = place.last().headers;
        assert!(!headers.contains_key("authorization") && !headers.contains_key("x-api-key"));
    }
}

#[tokio::test]
async fn an_extra_header_takes_the_place_of_the_usual_one() {
    let place = Place::new(Kind::Anthropic).await;
    place.ask(&question()).await;
    assert_eq!(place.last().headers["anthropic-version"], "2023-06-01");
    let key = ProviderKey::new(SECRET).unwrap();
    let mut settings = settings(place.mock.url(), Arc::new(FixedKey(Some(key))));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    settings.headers = vec![
        header("anthropic-version", "2026-10-21"),
        header("x-api-key", "of-a-gateway"),
    ];
    let provider = crate::setup::provider(Kind::Anthropic, settings);
    provider.complete(&question()).await.unwrap();
    assert_eq!(place.last().headers["anthropic-version"], "2026-10-21");
    assert_eq!(place.last().headers["x-api-key"], "of-a-gateway");
}

#[tokio::test]
async fn a_redirect_takes_no_key_elsewhere() {
    let elsewhere = Place::new(Kind::OpenAi).await;
    let place = Place::new(Kind::OpenAi).await;
    let target = format!("{}/chat/completions", elsewhere.mock.openai_url());
    place
        .fail(Fault::Raw {
            status: 308,
            headers: vec![("location".to_owned(), target)],
            body: String::new(),
        })
        .await;
    assert!(elsewhere.mock.exchanges().is_empty());
}
