use llmopt_prices::Provider as Seller;
use llmopt_provider_mock::{Behaviour, Fault};
use serde_json::Value;

use super::place::Place;

#[tokio::test]
async fn a_test_of_the_providers_tells_each_apart_and_asks_for_lists_alone() {
    let place = Place::new().await;
    let tested = place.get("/test").await.done();
    assert_eq!(tested["ok"], true, "{tested}");
    for provider in tested["providers"].as_array().unwrap() {
        assert!(provider["models"].as_u64().unwrap() > 0, "{provider}");
        assert!(provider["latency_ms"].is_u64() && provider["request_id"].is_string());
        assert!(provider.get("error").is_none(), "{provider}");
    }
    for exchange in place.mock.exchanges() {
        assert!(exchange.target.starts_with("GET "), "{exchange:?}");
        assert_eq!(exchange.billed, None);
    }
}

#[tokio::test]
async fn what_is_to_be_done_is_said_for_each_kind_of_failure() {
    let place = Place::with(&[Seller::Openai]).await;
    let raw = |status: u16, kind: &str| Fault::Raw {
        status,
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: "{}".to_owned(),
    };
    for (fault, kind, status, advice) in [
        (Fault::Status { status: 401 }, "key_refused", 401, "new key"),
        (
            Fault::Status { status: 403 },
            "key_not_allowed",
            403,
            "console",
        ),
        (Fault::Status { status: 404 }, "not_found", 404, "/v1"),
        (
            Fault::RateLimited { retry_after: None },
            "rate_limited",
            429,
            "wait",
        ),
        (Fault::QuotaExhausted, "quota_exhausted", 429, "credit"),
        (
            Fault::Status { status: 500 },
            "provider_failed",
            500,
            "later",
        ),
        (raw(200, "text/html"), "not_understood", 0, "base URL"),
    ] {
        place.mock.next(Behaviour::failing(fault));
        let tested = place.get("/test").await.done();
        assert_eq!(tested["ok"], false);
        let provider = &tested["providers"][0];
        assert_eq!(provider["ok"], false);
        let error = &provider["error"];
        assert_eq!(error["kind"], kind, "{error}");
        assert_eq!(error["status"].as_u64().unwrap_or_default(), status);
        let remedy = error["remedy"].as_str().unwrap();
        assert!(remedy.contains(advice), "{remedy}");
    }
    let Place { mock, state, .. } = place;
    drop(mock);
    let probes = state
        .commercial
        .probe(std::time::Duration::from_secs(5))
        .await;
    let error = probes[0].outcome.as_ref().unwrap_err();
    assert_eq!(crate::remedy::Remedy::of(error).kind, "not_reachable");
}

#[tokio::test]
async fn without_a_provider_it_is_said_how_to_get_one() {
    let place = Place::with(&[]).await;
    let tested = place.get("/test").await.done();
    assert_eq!(tested["ok"], false);
    assert!(
        tested["remedy"]
            .as_str()
            .unwrap()
            .contains("OPENAI_API_KEY")
    );
    assert_eq!(
        place.get("/models").await.done()["data"],
        Value::Array(Vec::new())
    );
}

#[tokio::test]
async fn models_are_listed_with_their_prices_exactly_and_their_ends() {
    let place = Place::new().await;
    let found = place.get("/models?search=GPT-5.6-LUNA").await.done();
    let model = &found["data"][0];
    assert_eq!(model["id"], "gpt-5.6-luna");
    assert_eq!(model["name"], "openai/gpt-5.6-luna");
    let price = &model["price"];
    assert_eq!(price["usd_per_million_tokens"]["input"], "0.20");
    assert_eq!(price["usd_per_million_tokens"]["cache_write"], "0.25");
    // It has no price of its own, and costs what the short time costs.
    assert_eq!(price["picodollars_per_token"]["cache_write_long"], 250_000);
    assert_eq!(price["long_prompts"][0]["above_prompt_tokens"], 272_000);
    assert!(price["source"].is_string() && price["verified"].is_string());
    let found = place.get("/models?search=gpt-4-turbo-2024").await.done();
    let ended = &found["data"][0]["shutdown"];
    assert_eq!(
        (&ended["on"], &ended["past"]),
        (&"2026-10-23".into(), &true.into())
    );
    // Another name finds it too.
    let found = place.get("/models?search=claude-opus-5.5").await.done();
    assert_eq!(found["data"][0]["id"], "claude-opus-5-5");
}

#[tokio::test]
async fn pages_of_models_join_and_have_one_provider_where_one_is_asked_for() {
    let place = Place::new().await;
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = format!("/models?provider=anthropic&limit=7{cursor}");
        let page = place.get(&page).await.done();
        let models = page["data"].as_array().unwrap();
        names.extend(
            models
                .iter()
                .map(|it| it["name"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", next.replace('/', "%2F")),
            None => break,
        }
    }
    assert!(names.len() > 20 && names.is_sorted(), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("anthropic/")));
    let nobodys = place.get("/models?provider=nobody").await.done();
    assert_eq!(nobodys["data"], Value::Array(Vec::new()));
}
