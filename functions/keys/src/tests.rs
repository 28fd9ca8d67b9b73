use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request},
};
use llmopt_http::{Access, platform};
use llmopt_storage_embedded::{Database, SqliteRecordStore};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

struct Place {
    keys: Keys,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join(Database::FILE_NAME)).unwrap();
        Self {
            keys: Keys::new(
                Arc::new(SqliteRecordStore::new(database.clone())),
                Arc::new(SqliteRecordStore::new(database)),
            ),
            _folder: folder,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/keys{path}"));
        let mut content = Body::empty();
        if !body.is_null() {
            request = request.header("content-type", "application/json");
            content = Body::from(body.to_string());
        }
        let routes = platform(router(self.keys.clone()), Access::open());
        let response = routes
            .oneshot(request.body(content).unwrap())
            .await
            .unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn a_key_is_made_shown_rotated_and_revoked_and_its_secret_is_told_once() {
    let place = Place::new();
    let request = json!({
        "name": "notebooks", "scopes": ["train"], "requests_per_minute": 30,
        "expires_at": "2099-01-01T00:00:00Z",
    });
    let (status, made) = place.ask(Method::POST, "", request).await;
    assert_eq!(status, 201, "{made}");
    let (id, first) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(first.starts_with(&format!("llmopt_{id}_")));
    assert_eq!(made["requests_per_minute"], 30);
    assert_eq!(made["expires_at"], "2099-01-01T00:00:00Z");

    let (_, shown) = place.ask(Method::GET, &format!("/{id}"), Value::Null).await;
    assert_eq!(shown["scopes"], json!(["train"]));
    let (_, list) = place.ask(Method::GET, "", Value::Null).await;
    assert_eq!(list["data"], json!([shown]));
    assert!(!list.to_string().contains("\"key\""));

    let path = format!("/{id}/rotate");
    let (status, rotated) = place.ask(Method::POST, &path, Value::Null).await;
    assert_eq!(status, 200, "{rotated}");
    assert_ne!(rotated["key"], first);
    assert!(rotated["previous_until"].is_string());
    let (status, _) = place
        .ask(Method::DELETE, &format!("/{id}"), Value::Null)
        .await;
    assert_eq!(status, 204);
    let (_, revoked) = place.ask(Method::GET, &format!("/{id}"), Value::Null).await;
    assert!(revoked["revoked_at"].is_string());
    let (status, problem) = place.ask(Method::POST, &path, Value::Null).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (409, &json!("key_state"))
    );
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_key_is_named() {
    let place = Place::new();
    let request = json!({ "name": " ", "scopes": [], "expires_at": "soon" });
    let (status, problem) = place.ask(Method::POST, "", request).await;
    assert_eq!(status, 422);
    let fields: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["/name", "/scopes", "/expires_at"]);
    let past = json!({ "name": "a", "scopes": ["train"], "expires_at": "2020-01-01T00:00:00Z" });
    let (status, problem) = place.ask(Method::POST, "", past).await;
    assert_eq!(
        (status.as_u16(), &problem["errors"][0]["pointer"]),
        (422, &json!("/expires_at"))
    );
    let request = json!({ "name": "a", "scopes": ["train"], "burst": 5 });
    let (status, problem) = place.ask(Method::POST, "", request).await;
    assert_eq!(status, 422);
    assert_eq!(problem["errors"][0]["pointer"], "/burst");
    let request = json!({ "name": "a", "scopes": ["train"], "burst": 0 });
    let (status, problem) = place.ask(Method::POST, "", request).await;
    assert_eq!(
        (status.as_u16(), &problem["errors"][0]["pointer"]),
        (400, &json!("/burst"))
    );
    let (status, problem) = place.ask(Method::GET, "/nobody", Value::Null).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (404, &json!("key_not_found"))
    );
}
