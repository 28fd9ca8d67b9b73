use std::{path::Path as FilePath, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request},
};
use llmopt_http::{Access, platform};
use llmopt_service::{InitRequest, ModelSizes, Models, init_model};
use llmopt_storage_embedded::{Database, FileFolderStore, SqliteRecordStore};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

/// Datasets beside the base model `base:tiny`, which takes 64 tokens.
struct Place {
    datasets: Datasets,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join(Database::FILE_NAME)).unwrap();
        let folders = Arc::new(FileFolderStore::open(folder.path()).unwrap());
        let tiny = folder.path().join("tiny");
        init_tiny(&tiny);
        let name = "tiny".parse().unwrap();
        Models::new(&*folders).import(&tiny, &name).await.unwrap();
        let datasets = Datasets::new(
            folders,
            Arc::new(SqliteRecordStore::new(database.clone())),
            Arc::new(SqliteRecordStore::new(database)),
        );
        Self {
            datasets,
            _folder: folder,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/datasets{path}"))
            .body(Body::from(body));
        let routes = platform(router(self.datasets.clone()), Access::open());
        let response = routes.oneshot(request.unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn upload(&self, rows: String) -> String {
        let (status, kept) = self.ask(Method::POST, "?name=rows.jsonl", rows).await;
        assert_eq!(status, 201, "{kept}");
        kept["id"].as_str().unwrap().to_owned()
    }

    async fn report(&self, id: &str, query: &str) -> (StatusCode, Value) {
        let path = format!("/{id}/report{query}");
        self.ask(Method::GET, &path, String::new()).await
    }
}

fn init_tiny(folder: &FilePath) {
    let sizes =
        json!({"vocab_size": 300, "n_positions": 64, "n_embd": 8, "n_layer": 1, "n_head": 2});
    let sizes: ModelSizes = serde_json::from_value(sizes).unwrap();
    let request = InitRequest {
        datasets: &[],
        sizes: &sizes,
        folder,
    };
    init_model(request).unwrap();
}

/// Twelve rows, the last with an answer of `last`.
fn rows(last: &str) -> String {
    let answer = |n: u32| {
        if n == 12 {
            last.to_owned()
        } else {
            n.to_string()
        }
    };
    let row = |n| json!({"prompt": format!("{n}?"), "response": answer(n)}).to_string() + "\n";
    (1..=12).map(row).collect()
}

#[tokio::test]
async fn a_report_tells_of_tokens_where_a_model_is_named() {
    let place = Place::new().await;
    let id = place.upload(rows(&"x".repeat(70))).await;
    let (status, plain) = place.report(&id, "").await;
    assert_eq!((status, plain["rows"].as_u64()), (StatusCode::OK, Some(12)));
    assert!(plain.get("tokens").is_none(), "{plain}");

    let (status, told) = place.report(&id, "?base_model=base:tiny").await;
    assert_eq!(
        (status, &told["findings"]),
        (StatusCode::OK, &plain["findings"])
    );
    let tokens = &told["tokens"];
    assert_eq!(tokens["statistics"]["overlong"]["rows"], 1);
    assert_eq!(tokens["totals"], json!({"cut_answer": 1}));
    let place_found = json!({"file": "rows.jsonl", "row": 12, "field": "response"});
    assert_eq!(tokens["findings"][0]["place"], place_found);
    assert_eq!(tokens["suggestions"][0]["setting"], "max_length");
    assert_eq!(tokens["suggestions"][0]["value"], 64);

    let (_, told) = place
        .report(&id, "?base_model=base:tiny&max_length=20")
        .await;
    assert_eq!(told["tokens"]["statistics"]["overlong"]["rows"], 12);
}

#[tokio::test]
async fn what_cannot_be_counted_is_said_by_parameter_and_code() {
    let place = Place::new().await;
    let id = place.upload(rows("x")).await;
    for (query, expected) in [
        ("?max_length=9", "expected `base_model` beside it"),
        ("?base_model=base:tiny&max_length=0", "expected 1 or more"),
    ] {
        let (status, problem) = place.report(&id, query).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, Some("validation_failed"))
        );
        assert_eq!(problem["errors"][0]["pointer"], "/max_length");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.starts_with(expected), "{detail}");
    }
    let (status, problem) = place.report(&id, "?base_model=base:none").await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (StatusCode::NOT_FOUND, Some("model_not_found"))
    );
    let (status, problem) = place.report("none", "?base_model=base:tiny").await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (StatusCode::NOT_FOUND, Some("dataset_not_found"))
    );
}
