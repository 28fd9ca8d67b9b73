//! What becomes of datasets over HTTP, whatever they are kept in: one scenario, which the tests of each store run.

use std::{thread::sleep, time::Duration};

use llmopt_domain::Digest;
use reqwest::{
    Method,
    blocking::{Client, RequestBuilder},
};
use serde_json::{Value, json};

/// A platform with the tiny model as `base:tiny`.
pub(crate) struct Api {
    url: String,
    key: Option<String>,
    client: Client,
}

/// Rows that can be trained on, though not all is well with them.
fn sloppy() -> String {
    let row = |number: u32| json!({ "prompt": format!("{number} squared?"), "response": (number * number).to_string() });
    let mut rows: Vec<Value> = (0..12).map(row).collect();
    rows.push(row(3));
    rows[7]["response"] = json!("49  ");
    rows.iter().map(|row| format!("{row}\n")).collect()
}

impl Api {
    /// Asks below `url`, such as `http://127.0.0.1:8080/api/v1`, with this key or none.
    pub(crate) fn new(url: &str, key: Option<&str>) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(120));
        Self {
            url: url.to_owned(),
            key: key.map(str::to_owned),
            client: client.build().unwrap(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    /// Sends bytes to where a part goes: a path of the API, or a URL of elsewhere, which takes no key.
    fn put(&self, place: &str, bytes: &[u8]) -> RequestBuilder {
        let request = match place.strip_prefix('/') {
            Some(_) => self.request(Method::PUT, place),
            None => self.client.put(place),
        };
        request.body(bytes.to_vec())
    }
}

/// Returns the body of an answer that has this status.
pub(crate) fn answer(request: RequestBuilder, status: u16) -> Value {
    let response = request.send().unwrap();
    let (found, url) = (response.status(), response.url().clone());
    let text = response.text().unwrap();
    assert_eq!(found, status, "{url}: {text}");
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// Asserts that a request is refused with this code.
pub(crate) fn refused(request: RequestBuilder, status: u16, code: &str) -> Value {
    let problem = answer(request, status);
    assert_eq!(problem["code"], code, "{problem}");
    problem
}

fn digest(bytes: &[u8]) -> String {
    Digest::of_bytes(bytes).to_string()
}

fn ids(page: &Value) -> Vec<&str> {
    let records = page["data"].as_array().unwrap().iter();
    records.map(|it| it["id"].as_str().unwrap()).collect()
}

/// A dataset from its upload to its end, and its versions.
pub(crate) fn a_dataset_lives(api: &Api) {
    let uploaded = api.post("/datasets?name=squares.jsonl").body(sloppy());
    let first = answer(uploaded, 201);
    let first_id = first["id"].as_str().unwrap();
    assert_eq!(
        (&first["rows"], &first["valid"]),
        (&json!(13), &json!(true))
    );
    let again = api.post("/datasets?name=other.jsonl").body(sloppy());
    assert_eq!(answer(again, 200), first);
    is_described(api, &first);

    let path = format!("/datasets/{first_id}/fix");
    let repairs = json!({ "repairs": ["trailing_space", "duplicate_row"] });
    let fixed = answer(api.post(&path).json(&repairs), 201);
    let second = &fixed["dataset"];
    let second_id = second["id"].as_str().unwrap();
    assert_eq!(
        (&second["rows"], &second["parent_id"]),
        (&json!(12), &first["id"])
    );
    assert_eq!(fixed["summary"]["rows_before"], 13);
    assert_eq!(fixed["changes"].as_array().unwrap().len(), 2);
    let same = answer(api.post(&path).json(&repairs), 200);
    assert_eq!(same["dataset"], *second);
    assert_eq!(
        answer(api.get(&format!("/datasets/{first_id}")), 200),
        first
    );

    has_changes(api, first_id, &[]);
    has_changes(api, second_id, fixed["changes"].as_array().unwrap());
    for id in [first_id, second_id] {
        let versions = answer(api.get(&format!("/datasets/{id}/versions")), 200);
        assert_eq!(ids(&versions), [second_id, first_id], "of {id}");
    }
    is_kept_while_a_job_needs_it(api, second_id);
    for id in [first_id, second_id] {
        answer(api.delete(&format!("/datasets/{id}")), 204);
        is_gone(api, id);
    }
    assert!(ids(&answer(api.get("/datasets"), 200)).is_empty());
}

/// Its record, report and preview agree.
fn is_described(api: &Api, dataset: &Value) {
    let id = dataset["id"].as_str().unwrap();
    assert_eq!(answer(api.get(&format!("/datasets/{id}")), 200), *dataset);
    assert_eq!(ids(&answer(api.get("/datasets"), 200)), [id]);
    let report = answer(api.get(&format!("/datasets/{id}/report")), 200);
    assert_eq!(
        (&report["file"], &report["rows"]),
        (&json!("squares.jsonl"), &json!(13))
    );
    let findings = report["findings"].as_array().unwrap();
    for code in ["duplicate_row", "response_edge_space"] {
        assert!(
            findings.iter().any(|it| it["code"] == code),
            "{code}: {report}"
        );
    }
    let path = format!("/datasets/{id}/preview?base_model=base:tiny&row=3");
    let preview = answer(api.get(&path), 200);
    assert_eq!(
        (&preview["row"], &preview["fits"]),
        (&json!(3), &json!(true))
    );
    let tokens = preview["tokens"].as_array().unwrap();
    let learnt = tokens.iter().filter(|it| it["loss"] == true);
    let learnt: String = learnt.map(|it| it["text"].as_str().unwrap()).collect();
    assert!(learnt.starts_with('4'), "{preview}");
    let path = format!("/datasets/{id}/preview?base_model=base:nobody");
    refused(api.get(&path), 404, "model_not_found");
}

fn has_changes(api: &Api, id: &str, expected: &[Value]) {
    let response = api.get(&format!("/datasets/{id}/changes")).send().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/jsonl");
    let text = response.text().unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    assert_eq!(lines.collect::<Vec<Value>>(), expected, "of {id}");
}

fn is_kept_while_a_job_needs_it(api: &Api, id: &str) {
    let job = json!({
        "base_model": "base:tiny", "dataset_id": id, "name": "squares",
        "config": { "epochs": 100_000, "batch_size": 4 },
    });
    let job = answer(api.post("/training/jobs").json(&job), 202);
    let path = format!("/training/jobs/{}", job["id"].as_str().unwrap());
    let problem = refused(api.delete(&format!("/datasets/{id}")), 409, "in_use");
    let job_id = job["id"].as_str().unwrap();
    assert!(
        problem["detail"].as_str().unwrap().contains(job_id),
        "{problem}"
    );
    answer(api.post(&format!("{path}/stop")), 200);
    let is_active = |job: &Value| job["status"] == "queued" || job["status"] == "running";
    while is_active(&answer(api.get(&path), 200)) {
        sleep(Duration::from_millis(20));
    }
}

fn is_gone(api: &Api, id: &str) {
    for part in [
        "",
        "/report",
        "/changes",
        "/versions",
        "/preview?base_model=base:tiny",
    ] {
        let path = format!("/datasets/{id}{part}");
        refused(api.get(&path), 404, "dataset_not_found");
    }
    let repairs = json!({ "repairs": ["duplicate_row"] });
    let fix = api.post(&format!("/datasets/{id}/fix")).json(&repairs);
    refused(fix, 404, "dataset_not_found");
    let path = format!("/datasets/{id}");
    refused(api.delete(&path), 404, "dataset_not_found");
}

/// Rows of two parts and some, each of which is another.
pub(crate) fn many() -> Vec<u8> {
    let row = |number: u32| {
        let response = format!("{number} ").repeat(150);
        json!({ "prompt": format!("{number}?"), "response": response.trim_end() })
    };
    let rows = (0..20_000).map(|number| format!("{}\n", row(number)));
    rows.collect::<String>().into_bytes()
}

pub(crate) fn numbers(list: &Value) -> Vec<u64> {
    let all = list.as_array().unwrap().iter();
    all.map(|it| it.as_u64().unwrap()).collect()
}

/// Sends a part, or what of it there is in `bytes`.
fn send(api: &Api, part: &Value, bytes: &[u8]) {
    let at = |field: &str| usize::try_from(part[field].as_u64().unwrap()).unwrap();
    let piece = &bytes[at("offset")..][..at("size_bytes")];
    let sent = api
        .put(part["url"].as_str().unwrap(), piece)
        .send()
        .unwrap();
    assert!(sent.status().is_success(), "{sent:?}");
}

/// A file that is sent in parts, by a client that is cut off and goes on, and that asks again for what it was not
/// told.
pub(crate) fn a_file_comes_in_parts(api: &Api) {
    let bytes = many();
    let announced = json!({
        "name": "many.jsonl", "size_bytes": bytes.len(), "digest": digest(&bytes),
    });
    let begun = answer(api.post("/datasets/uploads").json(&announced), 201);
    let path = format!("/datasets/uploads/{}", begun["upload_id"].as_str().unwrap());
    assert_eq!(answer(api.get(&path), 200), begun);
    assert_eq!(
        (&begun["parts"], &begun["received"]),
        (&json!(3), &json!([]))
    );
    assert!(bytes.len() > 16 << 20);

    let some = api
        .post(&format!("{path}/parts"))
        .json(&json!({ "parts": [3, 1] }));
    let some = answer(some, 200);
    let parts = some["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2, "{some}");
    let (third, first) = (&parts[0], &parts[1]);
    send(api, third, &bytes);
    // A part that breaks off is not one, and a part may come twice.
    let cut = api.put(first["url"].as_str().unwrap(), &bytes[..100]);
    let cut = cut.send().unwrap();
    let found = answer(api.get(&path), 200);
    assert_eq!(
        (numbers(&found["received"]), numbers(&found["missing"])),
        (vec![3], vec![1, 2]),
        "{cut:?}"
    );
    for _ in 0..2 {
        send(api, first, &bytes);
    }
    let complete = || api.post(&format!("{path}/complete"));
    let early = refused(complete(), 409, "upload_incomplete");
    assert!(
        early["detail"].as_str().unwrap().contains("lacks part 2"),
        "{early}"
    );
    assert!(ids(&answer(api.get("/datasets"), 200)).is_empty());

    let rest = answer(api.post(&format!("{path}/parts")), 200);
    let parts = rest["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 1, "{rest}");
    let second = &parts[0];
    send(api, second, &bytes);
    let none = answer(api.post(&format!("{path}/parts")), 200);
    assert_eq!(none["parts"], json!([]));
    let dataset = answer(complete(), 201);
    assert_eq!(
        (&dataset["rows"], &dataset["name"]),
        (&json!(20_000), &json!("many.jsonl"))
    );
    assert_eq!(dataset["digest"], digest(&bytes));
    assert_eq!(answer(complete(), 200), dataset);
    let done = answer(api.get(&path), 200);
    assert_eq!(
        (&done["dataset_id"], &done["missing"]),
        (&dataset["id"], &json!([]))
    );

    // The same bytes in one request are the same dataset, where one holds them.
    let id = dataset["id"].as_str().unwrap();
    assert_eq!(ids(&answer(api.get("/datasets"), 200)), [id]);
    answer(api.delete(&format!("/datasets/{id}")), 204);
    refused(complete(), 404, "upload_not_found");
    answer(api.delete(&path), 204);
    refused(api.get(&path), 404, "upload_not_found");
}

/// What is announced or sent amiss is refused, and leaves nothing.
pub(crate) fn what_comes_in_parts_is_what_was_announced(api: &Api) {
    for (announced, pointer) in [
        (json!({ "name": "a.csv", "size_bytes": 0 }), "/size_bytes"),
        (
            json!({ "name": "a.csv", "size_bytes": 1_u64 << 40 }),
            "/size_bytes",
        ),
        (json!({ "name": "", "size_bytes": 1 }), "/name"),
    ] {
        let problem = api.post("/datasets/uploads").json(&announced);
        let problem = refused(problem, 422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let right = b"prompt,response\n1?,1\n";
    let announced = json!({ "name": "a.csv", "size_bytes": right.len(), "digest": digest(right) });
    let begin = || answer(api.post("/datasets/uploads").json(&announced), 201);
    let path_of =
        |begun: &Value| format!("/datasets/uploads/{}", begun["upload_id"].as_str().unwrap());
    let path = path_of(&begin());
    for (parts, pointer) in [
        (json!([1, 2]), "/parts/1"),
        (json!([0]), "/parts/0"),
        (json!([]), "/parts"),
    ] {
        let problem = api
            .post(&format!("{path}/parts"))
            .json(&json!({ "parts": parts }));
        let problem = refused(problem, 422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let part = answer(api.post(&format!("{path}/parts")), 200)["parts"][0].clone();
    send(api, &part, b"prompt,response\n1?,2\n");
    refused(api.post(&format!("{path}/complete")), 422, "upload_changed");
    refused(api.get(&path), 404, "upload_not_found");

    // A part may go through the API, where one holds it.
    let path = path_of(&begin());
    let whole = format!("{path}/parts/1");
    refused(api.put(&whole, b"prompt"), 400, "invalid_request");
    refused(
        api.put(&format!("{path}/parts/2"), right),
        422,
        "validation_failed",
    );
    answer(api.put(&whole, right), 204);
    let dataset = answer(api.post(&format!("{path}/complete")), 201);
    refused(api.put(&whole, right), 409, "already_exists");
    let late = api.post(&format!("{path}/parts"));
    let late = late.json(&json!({ "parts": [1] }));
    refused(late, 409, "already_exists");
    answer(
        api.delete(&format!("/datasets/{}", dataset["id"].as_str().unwrap())),
        204,
    );

    let path = path_of(&begin());
    answer(api.delete(&path), 204);
    let nobody = format!("/datasets/uploads/{}", "0".repeat(32));
    for gone in [path.as_str(), nobody.as_str(), "/datasets/uploads/nobody"] {
        refused(api.get(gone), 404, "upload_not_found");
        refused(api.delete(gone), 404, "upload_not_found");
        refused(api.post(&format!("{gone}/parts")), 404, "upload_not_found");
        refused(
            api.put(&format!("{gone}/parts/1"), right),
            404,
            "upload_not_found",
        );
        let complete = api.post(&format!("{gone}/complete"));
        refused(
            complete.json(&json!({ "name": "a.csv" })),
            404,
            "upload_not_found",
        );
    }
}
