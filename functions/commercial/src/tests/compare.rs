use axum::http::Method;
use llmopt_domain::Picodollars;
use llmopt_prices::Provider as Seller;
use llmopt_provider_mock::{Behaviour, Fault, Tokens};
use serde_json::{Value, json};

use super::place::{Place, Said};

async fn compare(place: &Place, body: Value) -> Said {
    place.ask(Method::POST, "/compare", body).await
}

/// Every cell, text by text.
fn cells(compared: &Value) -> Vec<Value> {
    let texts = compared["texts"].as_array().unwrap().iter();
    let cells = texts.flat_map(|text| text["results"].as_array().unwrap().clone());
    cells.collect()
}

fn dollars(value: &Value) -> Picodollars {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn texts_are_priced_by_model_and_nobody_is_asked() {
    let place = Place::new().await;
    let body = json!({
        "texts": ["Say hi", "Tell me a long, long story"],
        "models": ["gpt-5.4", "claude-haiku-4-5", "base:tiny"], "max_tokens": 100,
    });
    let compared = compare(&place, body).await.done();
    assert_eq!(place.mock.exchanges(), []);
    for cell in cells(&compared) {
        let quote = &cell["quote"];
        assert!(
            cell.get("answer").is_none() && cell.get("error").is_none(),
            "{cell}"
        );
        assert_eq!(quote["most_output_tokens"], 100);
        let estimated = quote["estimated_input_tokens"].as_u64().unwrap();
        assert!(estimated > 0 && estimated <= quote["most_input_tokens"].as_u64().unwrap());
        assert!(dollars(&quote["estimate_usd"]) <= dollars(&quote["bound_usd"]));
        let is_own = cell["model_type"] == "own";
        assert_eq!(is_own, cell["model_id"] == "base:tiny");
        assert_eq!(is_own, quote["bound_usd"] == "0.00", "{cell}");
    }
    let shown = |text: usize| &compared["texts"][text]["results"];
    // 100 tokens of output cost that much alone.
    let least = Picodollars::new(100 * 15_000_000).unwrap();
    assert!(dollars(&shown(0)[0]["quote"]["estimate_usd"]) > least);
    let tokens = |text: usize| shown(text)[2]["quote"]["estimated_input_tokens"].as_u64();
    assert!(tokens(0) < tokens(1));
    let totals = &compared["models"][0];
    let sum = (0..2).map(|text| dollars(&shown(text)[0]["quote"]["bound_usd"]));
    assert_eq!(dollars(&totals["bound_usd"]), sum.sum());
    assert_eq!(
        (&totals["answered"], &totals["failed"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn answers_come_with_what_they_cost_and_what_they_cost_is_in_the_ledger() {
    let place = Place::new().await;
    let told = Behaviour {
        text: Some("Hello".to_owned()),
        tokens: Some(Tokens {
            input: 20,
            output: 4,
            ..Tokens::default()
        }),
        ..Behaviour::default()
    };
    place.mock.for_model("gpt-5.4", told.clone());
    place.mock.for_model("claude-haiku-4-5", told);
    let body = json!({
        "texts": ["One", "Two"], "models": ["gpt-5.4", "claude-haiku-4-5", "base:tiny"], "run": true,
    });
    let compared = compare(&place, body).await.done();
    for cell in cells(&compared) {
        let answer = &cell["answer"];
        let (provider, cost) = match cell["model_id"].as_str().unwrap() {
            // 20 at 2.50 and 4 at 15 dollars for a million.
            "gpt-5.4" => (json!("openai"), "0.00011"),
            "claude-haiku-4-5" => (json!("anthropic"), "0.00004"),
            _ => (Value::Null, "0.00"),
        };
        assert_eq!(answer["provider"], provider, "{cell}");
        assert_eq!(answer["cost_usd"], cost, "{cell}");
        assert_eq!(answer["cost_basis"], "measured");
        assert!(answer["latency_ms"].is_u64());
    }
    assert_eq!(compared["texts"][1]["results"][2]["answer"]["text"], "Two");
    assert_eq!(compared["models"][0]["cost_usd"], "0.00022");
    assert_eq!(compared["models"][0]["input_tokens"], 40);
    assert!(compared["models"][0]["median_latency_ms"].is_u64());
    let usage = place.get("/usage").await.done();
    assert_eq!(usage["total"]["requests"], 4);
    assert_eq!(usage["total"]["cost_usd"], "0.0003");
}

#[tokio::test]
async fn one_that_fails_does_not_touch_the_others() {
    let place = Place::with(&[Seller::Openai]).await;
    let fault = Fault::Status { status: 400 };
    place
        .mock
        .for_model("gpt-5.4-mini", Behaviour::failing(fault));
    let body = json!({
        "texts": ["One"], "run": true,
        "models": ["gpt-5.4", "gpt-5.4-mini", "gpt-4-turbo", "claude-haiku-4-5", "base:nobody", "what:is"],
    });
    let compared = compare(&place, body).await.done();
    let cells = cells(&compared);
    assert!(cells[0]["answer"]["text"].is_string(), "{}", cells[0]);
    let code = |cell: usize| cells[cell]["error"]["code"].as_str().unwrap();
    assert_eq!(code(1), "provider_rejected_request");
    assert!(cells[1]["quote"].is_object());
    assert_eq!(code(2), "model_retired");
    assert_eq!(code(3), "provider_not_configured");
    assert_eq!(code(4), "model_not_found");
    assert_eq!(code(5), "model_not_found");
    assert_eq!(compared["models"][1]["failed"], 1);
}

#[tokio::test]
async fn a_budget_that_is_spent_stops_the_rest_of_a_comparison() {
    let place = Place::with(&[Seller::Openai]).await;
    let budget = json!({ "scope": "all", "daily_usd": "0.000001" });
    place.ask(Method::PUT, "/budgets", budget).await.done();
    let body = json!({ "texts": ["One"], "models": ["gpt-5.4", "base:tiny"], "run": true });
    let compared = compare(&place, body).await.done();
    let cells = cells(&compared);
    assert_eq!(cells[0]["error"]["code"], "budget_exceeded");
    assert!(cells[1]["answer"].is_object());
    assert_eq!(place.mock.exchanges(), []);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_comparison_is_named() {
    let place = Place::with(&[]).await;
    let wrong = json!({ "texts": ["a", " "], "models": ["x", "x"], "max_tokens": 0 });
    let problem = compare(&place, wrong)
        .await
        .is_problem(422, "validation_failed");
    let errors = problem["errors"].as_array().unwrap();
    let fields: Vec<&str> = errors
        .iter()
        .map(|it| it["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["/texts/1", "/models/1", "/max_tokens"]);
    for (texts, models) in [(0, 1), (21, 1), (1, 0), (1, 11)] {
        let names = |count: usize| (0..count).map(|it| it.to_string()).collect::<Vec<_>>();
        let body = json!({ "texts": names(texts), "models": names(models) });
        compare(&place, body)
            .await
            .is_problem(422, "validation_failed");
    }
}
