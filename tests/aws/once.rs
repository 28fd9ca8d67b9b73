//! Requests with an `idempotency-key` through the real functions: what one has answered, the next knows.

use serde_json::{Value, json};

use crate::account::{Account, PATIENCE};

/// The status, whether the answer was given before, and the body.
type Answer = (u16, bool, String);

async fn post(account: &Account, path: &str, key: &str, body: &Value) -> Answer {
    let client = reqwest::Client::builder().timeout(PATIENCE);
    let mut request = client
        .build()
        .unwrap()
        .post(format!("{}{path}", account.api))
        .bearer_auth(account.key())
        .header("idempotency-key", key);
    if !body.is_null() {
        request = request.json(body);
    }
    let response = request.send().await.unwrap();
    let replayed = response.headers().contains_key("idempotent-replayed");
    let status = response.status().as_u16();
    (status, replayed, response.text().await.unwrap())
}

/// Asks twice, and returns the one answer.
async fn once(account: &Account, path: &str, body: Value) -> Value {
    let (status, replayed, first) = post(account, path, path, &body).await;
    assert!(
        (200..300).contains(&status) && !replayed,
        "{path}: {status} {first}"
    );
    let again = post(account, path, path, &body).await;
    assert_eq!(again, (status, true, first.clone()), "{path}");
    serde_json::from_str(&first).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_or_spends_something_does_it_once_in_each_function() {
    let Some(account) = Account::new().await else {
        return;
    };
    let target = once(&account, "/datasets/uploads", Value::Null).await;
    let url = target["url"].as_str().unwrap().to_owned();
    let rows: String = (0..20)
        .map(|n| format!("{{\"prompt\":\"{n}?\",\"response\":\"{n}\"}}\n"))
        .collect();
    let put = move || reqwest::blocking::Client::new().put(url).body(rows).send();
    let put = tokio::task::spawn_blocking(put).await.unwrap().unwrap();
    assert!(put.status().is_success(), "{put:?}");
    let upload = target["upload_id"].as_str().unwrap();
    let path = format!("/datasets/uploads/{upload}/complete");
    // Completed in earnest, it is gone.
    let dataset = once(&account, &path, json!({ "name": "rows.jsonl" })).await;
    let job = json!({
        "base_model": "base:tiny", "dataset_id": dataset["id"], "name": "numbers",
        "config": { "max_steps": 1 },
    });
    once(&account, "/training/jobs", job).await;
    assert_eq!(account.drain().await.len(), 1);
    let question = json!({ "model_id": "base:tiny", "prompt": "Hi", "max_tokens": 4 });
    once(&account, "/generate", question.clone()).await;
    let (status, _, other) = post(
        &account,
        "/generate",
        "/generate",
        &json!({ "model_id": "base:tiny", "prompt": "Bye" }),
    )
    .await;
    assert_eq!(status, 422, "{other}");
    let batch = json!({ "requests": [question] });
    once(&account, "/generate/batch", batch).await;
    let made = once(
        &account,
        "/keys",
        json!({ "name": "ci", "scopes": ["train"] }),
    )
    .await;
    let rotate = format!("/keys/{}/rotate", made["id"].as_str().unwrap());
    once(&account, &rotate, Value::Null).await;
    let listed = account.ask("GET", "/keys", Value::Null).await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 2);
}
