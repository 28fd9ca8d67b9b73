use axum::http::{Method, StatusCode};
use llmopt_http::now_ms;
use llmopt_prices::Provider as Seller;
use llmopt_spending::{Ask, Outcome};
use llmopt_storage::spend::{Asked, BudgetScope, RequestId};
use serde_json::{Value, json};

use super::place::{Place, Said};

async fn put(place: &Place, budget: Value) -> Said {
    place.ask(Method::PUT, "/budgets", budget).await
}

async fn list(place: &Place) -> Value {
    place.get("/budgets").await.done()["data"].clone()
}

#[tokio::test]
async fn a_budget_is_exact_and_shows_what_is_spent_reserved_and_left() {
    let place = Place::with(&[]).await;
    let budget = json!({ "scope": "key/abc", "daily_usd": "0.000000000007", "total_usd": "100" });
    let set = put(&place, budget.clone()).await.done();
    assert_eq!(set["daily_usd"], "0.000000000007");
    assert_eq!(set["total_usd"], "100.00");
    assert_eq!(
        (&set["monthly_usd"], &set["alert_percent"]),
        (&Value::Null, &json!([80, 100]))
    );
    let asked = Ask {
        request: RequestId::try_from("r1".to_owned()).unwrap(),
        bound: "0.000000000003".parse().unwrap(),
        scopes: vec![BudgetScope::try_from("key/abc".to_owned()).unwrap()],
        asked: Asked {
            key: "abc".to_owned(),
            model: "gpt-5.4".to_owned(),
            provider: "openai".to_owned(),
            price_version: "1".to_owned(),
        },
        now_ms: now_ms(),
        expires_ms: now_ms() + 60_000,
    };
    let reserved = place.state.commercial.spending().reserve(&asked).await;
    assert!(matches!(reserved, Ok(Outcome::Reserved(_))), "{reserved:?}");
    let shown = &list(&place).await[0];
    let today = &shown["windows"][0];
    assert_eq!(today["limit_usd"], "0.000000000007");
    assert_eq!(today["reserved_usd"], "0.000000000003");
    assert_eq!(today["available_usd"], "0.000000000004");
    assert_eq!(today["spent_usd"], "0.00");
    let resets = today["resets_at"].as_str().unwrap();
    assert!(resets.ends_with("T00:00:00Z"), "{resets}");
    let ever = &shown["windows"][1];
    assert_eq!(
        (&ever["window"], &ever["resets_at"]),
        (&json!("total"), &Value::Null)
    );

    // Lowered below what is reserved: nothing is lost, and it shows.
    let lower = json!({ "scope": "key/abc", "daily_usd": "0.000000000001" });
    let lowered = put(&place, lower).await.done();
    assert_eq!(lowered["windows"][0]["available_usd"], "-0.000000000002");
    assert_eq!(lowered["total_usd"], Value::Null);
}

#[tokio::test]
async fn the_same_budget_twice_is_one_and_a_deleted_one_is_gone() {
    let place = Place::with(&[]).await;
    let budget =
        json!({ "scope": "provider/openai", "monthly_usd": "5", "alert_percent": [90, 50, 90] });
    let first = put(&place, budget.clone()).await.done();
    assert_eq!(first["alert_percent"], json!([50, 90]));
    assert_eq!(put(&place, budget).await.done(), first);
    put(&place, json!({ "scope": "all", "daily_usd": "1" }))
        .await
        .done();
    let scopes: Vec<Value> = list(&place)
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["scope"].clone())
        .collect();
    assert_eq!(scopes, ["all", "provider/openai"]);
    let path = "/budgets/provider%2Fopenai";
    let deleted = place.ask(Method::DELETE, path, Value::Null).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    let again = place.ask(Method::DELETE, path, Value::Null).await;
    again.is_problem(404, "budget_not_found");
    assert_eq!(list(&place).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_budget_is_named() {
    let place = Place::with(&[Seller::Openai]).await;
    let wrong = json!({
        "scope": "team/search", "daily_usd": "-1", "monthly_usd": "1e3",
        "total_usd": "0.0000000000001", "alert_percent": [0],
    });
    let problem = put(&place, wrong)
        .await
        .is_problem(422, "validation_failed");
    let errors = problem["errors"].as_array().unwrap();
    let fields: Vec<&str> = errors
        .iter()
        .map(|it| it["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "/scope",
            "/daily_usd",
            "/monthly_usd",
            "/total_usd",
            "/alert_percent"
        ]
    );
    // Nothing is ever spent from these: they would only look like limits.
    for scope in ["", "key/", "provider/opnai", "everything", "key/a b"] {
        let problem = put(&place, json!({ "scope": scope, "daily_usd": "1" })).await;
        problem.is_problem(422, "validation_failed");
    }
    let none = put(&place, json!({ "scope": "all" })).await;
    none.is_problem(422, "validation_failed");
    // A number of JSON is no exact amount.
    let number = put(&place, json!({ "scope": "all", "daily_usd": 5 })).await;
    let problem = number.is_problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/daily_usd");
    assert_eq!(list(&place).await, json!([]));
}
