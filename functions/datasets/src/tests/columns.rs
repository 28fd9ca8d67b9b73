use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    http::{Request, header::CONTENT_TYPE},
};
use llmopt_http::{Access, platform};
use llmopt_storage_embedded::{Database, FileFolderStore, SqliteRecordStore};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

struct Place {
    datasets: Datasets,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join(Database::FILE_NAME)).unwrap();
        Self {
            datasets: Datasets::new(
                Arc::new(FileFolderStore::open(folder.path()).unwrap()),
                Arc::new(SqliteRecordStore::new(database.clone())),
                Arc::new(SqliteRecordStore::new(database)),
            ),
            _folder: folder,
        }
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, Value) {
        let routes = platform(router(self.datasets.clone()), Access::open());
        let response = routes.oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, kind: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::post(format!("/api/v1/datasets{path}")).header(CONTENT_TYPE, kind);
        self.ask(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    async fn get(&self, path: &str) -> Value {
        let request = Request::get(format!("/api/v1/datasets{path}"));
        self.ask(request.body(Body::empty()).unwrap()).await.1
    }
}

const MAP: &str = "prompt=frage,response=antwort";
const JSON: &str = "application/json";

fn csv() -> String {
    let rows: String = (0..12)
        .map(|i| format!("zähle {i},das ist {i}\n"))
        .collect();
    format!("frage,antwort\n{rows}")
}

fn form(parts: &[(&str, &str)]) -> String {
    let part = |(name, text): &(&str, &str)| {
        format!("--b\r\ncontent-disposition: form-data; name={name}\r\n\r\n{text}\r\n")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("{parts}--b--\r\n")
}

#[tokio::test]
async fn a_file_is_kept_with_its_map_of_columns_which_the_query_has() {
    let place = Place::new();
    let path = format!("?name=fragen.csv&columns={MAP}");
    let (status, made) = place.post(&path, "text/csv", &csv()).await;
    assert_eq!(
        (status.as_u16(), &made["valid"]),
        (201, &json!(true)),
        "{made}"
    );
    assert_eq!(
        made["columns"],
        json!({"prompt": "frage", "response": "antwort"})
    );
    let id = made["id"].as_str().unwrap();
    assert_eq!(place.get(&format!("/{id}")).await, made);
    let report = place.get(&format!("/{id}/report")).await;
    assert_eq!(report["column_map"], made["columns"]);

    let (status, plain) = place.post("?name=fragen.csv", "text/csv", &csv()).await;
    assert_eq!((status.as_u16(), &plain["valid"]), (201, &json!(false)));
    assert_ne!(plain["id"], made["id"]);
    assert_eq!(plain.get("columns"), None);
}

#[tokio::test]
async fn a_form_may_have_the_map_in_a_part_before_or_after_the_file() {
    let place = Place::new();
    let kind = "multipart/form-data; boundary=b";
    let csv = csv();
    let mut ids = Vec::new();
    for parts in [
        [("columns", MAP), ("file", csv.as_str())],
        [("file", csv.as_str()), ("columns", MAP)],
    ] {
        let (status, made) = place.post("?name=a.csv", kind, &form(&parts)).await;
        assert!(status.is_success() && made["valid"] == true, "{made}");
        ids.push(made["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    let (status, _) = place
        .post("?name=a.csv", kind, &form(&[("columns", MAP)]))
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn a_bad_map_is_refused_by_its_place_and_nothing_is_kept() {
    let place = Place::new();
    let long = format!("prompt={}", "x".repeat(5000));
    for (map, said) in [
        (
            "promt=frage",
            "`promt` is no column that is read: expected one of `prompt`",
        ),
        ("prompt=a,prompt=b", "`prompt` is mapped twice"),
        ("prompt=", "`prompt` is mapped to no column"),
        ("frage", "`frage` is no map of columns"),
        (long.as_str(), "expected at most 4096 bytes"),
    ] {
        let (status, problem) = place
            .post(&format!("?columns={map}"), "text/csv", &csv())
            .await;
        assert_eq!(status, 422, "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/columns");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.starts_with(said), "{detail}");
        let form = form(&[("file", &csv()), ("columns", map)]);
        let kind = "multipart/form-data; boundary=b";
        let (status, problem) = place.post("?name=a.csv", kind, &form).await;
        assert_eq!(
            (status.as_u16(), &problem["errors"][0]["pointer"]),
            (422, &json!("/columns"))
        );
    }
    assert_eq!(place.get("").await["data"], json!([]));
}

#[tokio::test]
async fn a_bad_map_of_a_file_that_was_sent_elsewhere_is_told_by_its_entry() {
    let place = Place::new();
    for (columns, pointer) in [
        (json!({"prompt": "a", "promt": "b"}), "/columns/promt"),
        (json!({"prompt": "a", "response": "a"}), "/columns/response"),
        (json!({"prompt": ""}), "/columns/prompt"),
        (json!({"prompt": 1}), "/columns/prompt"),
        (json!("prompt=a"), "/columns"),
    ] {
        let body = json!({"name": "a.csv", "columns": columns}).to_string();
        let (status, problem) = place.post("/uploads/u/complete", JSON, &body).await;
        assert_eq!(status, 400, "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let body = json!({"name": "a.csv", "columns": {"prompt": "a"}}).to_string();
    let (status, problem) = place.post("/uploads/u/complete", JSON, &body).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (404, &json!("no_uploads"))
    );
}

#[tokio::test]
async fn what_is_mended_has_the_names_that_are_read() {
    let place = Place::new();
    let path = format!("?name=fragen.csv&columns={MAP}");
    let (_, made) = place.post(&path, "text/csv", &csv()).await;
    let id = made["id"].as_str().unwrap();
    let body = json!({"repairs": ["trailing_space"]}).to_string();
    let (status, fixed) = place.post(&format!("/{id}/fix"), JSON, &body).await;
    assert_eq!(status, 201, "{fixed}");
    assert_eq!(fixed["summary"]["renamed_columns"], made["columns"]);
    assert_eq!(fixed["dataset"].get("columns"), None);
    assert_eq!(fixed["dataset"]["valid"], true);
}
