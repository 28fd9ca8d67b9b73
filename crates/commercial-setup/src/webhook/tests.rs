use std::sync::Arc;

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use llmopt_domain::{Picodollars, error_chain};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::*;

/// A server that takes alerts at `/canary`, and answers with a status.
struct Hook {
    url: Secret,
    taken: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Hook {
    async fn answering(status: StatusCode) -> Self {
        let taken: Arc<Mutex<Vec<Value>>> = Arc::default();
        let keep = Arc::clone(&taken);
        let take = move |body: Bytes| async move {
            keep.lock().push(serde_json::from_slice(&body).unwrap());
            status
        };
        let router = Router::new().route("/canary", post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let url = Secret::new(format!("http://{address}/canary"));
        Self { url, taken, task }
    }

    fn sink(&self) -> WebhookAlerts {
        let transport = Transport::new(PATIENCE).unwrap();
        WebhookAlerts::new(&transport, self.url.clone())
    }
}

fn threshold() -> BudgetAlert {
    BudgetAlert::Threshold {
        scope: "key/k1".to_owned().try_into().unwrap(),
        window: "2026-11".to_owned(),
        percent: 80,
        spent: Picodollars::new(8_500_000_000_000).unwrap(),
        limit: Picodollars::dollars(10).unwrap(),
    }
}

#[tokio::test]
async fn an_alert_is_sent_as_json_that_people_can_read_too() {
    let hook = Hook::answering(StatusCode::NO_CONTENT).await;
    hook.sink().tell(&threshold()).await.unwrap();
    let expected = json!({
        "id": "key/k1#2026-11#80",
        "text": "llmopt: budget `key/k1` has spent $8.50, which is 80 % or more of its $10.00 (2026-11)",
        "kind": "threshold",
        "scope": "key/k1",
        "window": "2026-11",
        "percent": 80,
        "spent_usd": "8.50",
        "limit_usd": "10.00",
    });
    assert_eq!(*hook.taken.lock(), [expected]);
}

#[tokio::test]
async fn what_is_not_taken_is_an_error_that_does_not_tell_the_address() {
    let hook = Hook::answering(StatusCode::FOUND).await;
    let error = hook.sink().tell(&threshold()).await.unwrap_err();
    assert!(error.to_string().contains("answered with 302"), "{error}");
    // The other end goes away.
    let sink = hook.sink();
    hook.task.abort();
    let _ = hook.task.await;
    let error = sink.tell(&threshold()).await.unwrap_err();
    let said = format!("{} {error:?}", error_chain(&*error));
    assert!(said.contains("did not take the alert"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}
