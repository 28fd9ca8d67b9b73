//! A model from its dataset to its deletion, and what is refused on the way.

use std::fs;

use reqwest::{
    Certificate,
    blocking::{Client, multipart},
};
use serde_json::{Value, json};

use crate::server::{Place, Server, job, rows};

fn submit(server: &Server, name: &str, epochs: u32) -> String {
    let body = job(server, name, epochs);
    let job = server.json(server.post("/training/jobs").json(&body));
    job["id"].as_str().unwrap().to_owned()
}

fn question(server: &Server, extra: Value) -> reqwest::blocking::RequestBuilder {
    let mut body =
        json!({"model_id": "squares", "prompt": "7?", "max_tokens": 8, "temperature": 0});
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    server.post("/generate").json(&body)
}

#[test]
fn a_model_lives_from_upload_to_deletion_over_http() {
    let place = Place::new();
    let server = place.serve();
    assert_eq!(server.json(server.get("/health"))["status"], "ok");
    assert_eq!(server.json(server.get("/ready"))["status"], "ready");

    // Upload: the same bytes are one dataset, however they come.
    let dataset = server.upload("train.jsonl", rows(0..24));
    let id = dataset["id"].as_str().unwrap();
    assert_eq!(
        (&dataset["rows"], &dataset["valid"]),
        (&json!(24), &json!(true))
    );
    let part = multipart::Part::text(rows(0..24)).file_name("again.jsonl");
    let form = multipart::Form::new().part("file", part);
    let again = server.post("/datasets").multipart(form).send().unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(again.json::<Value>().unwrap()["id"], id);
    let report = server.json(server.get(&format!("/datasets/{id}/report")));
    assert_eq!(
        (&report["file"], &report["rows"]),
        (&json!("train.jsonl"), &json!(24))
    );

    // Train, and watch it live.
    let body = job(&server, "squares", 4);
    let submitted = server.post("/training/jobs").json(&body).send().unwrap();
    assert_eq!(submitted.status(), 202);
    let location = submitted.headers()["location"].to_str().unwrap().to_owned();
    let submitted: Value = submitted.json().unwrap();
    let id = submitted["id"].as_str().unwrap();
    assert_eq!(location, format!("/api/v1/training/jobs/{id}"));
    let events = server.stream(server.get(&format!("/training/jobs/{id}/events")));
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..2], ["queued", "claimed"]);
    assert_eq!(names[names.len() - 2..], ["published", "succeeded"]);
    assert_eq!(names.iter().filter(|name| **name == "step").count(), 20);
    let numbers: Vec<u64> = events
        .iter()
        .map(|(_, data)| data["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());

    // Resume a stream after its last event, as a browser does.
    let rest = server.get(&format!("/training/jobs/{id}/events"));
    let rest = rest.header("last-event-id", (numbers.len() - 1).to_string());
    assert_eq!(server.stream(rest).len(), 1);

    let done = server.job(id);
    assert_eq!(done["status"], "succeeded");
    assert_eq!(done["fine_tuned_model"], "ft:tiny:squares:1");
    assert_eq!(done["progress"]["step"], 20);
    let metrics = server.json(server.get(&format!("/training/jobs/{id}/metrics")));
    assert_eq!(metrics["data"].as_array().unwrap().len(), 20);
    // The same inputs are the same job.
    let again = server.post("/training/jobs").json(&body).send().unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(again.json::<Value>().unwrap()["id"], id);

    // The model.
    let models = server.json(server.get("/models"));
    let ids: Vec<&str> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["base:tiny", "ft:tiny:squares"]);
    let model = server.json(server.get("/models/ft:tiny:squares"));
    assert_eq!(model["training"]["steps"], 20);
    assert_eq!(model["job_id"], id);

    // Ask it: whole, as a stream, and many times at once, with one answer.
    let whole = server.json(question(&server, json!({})));
    assert_eq!(whole["model_id"], "squares");
    assert_eq!(whole["metadata"]["model"], "ft:tiny:squares:1");
    assert_eq!(whole["metadata"]["weights"], "adapter");
    let tokens = &whole["metrics"];
    assert_eq!(
        tokens["total_tokens"].as_u64().unwrap(),
        tokens["input_tokens"].as_u64().unwrap() + tokens["output_tokens"].as_u64().unwrap()
    );
    let events = server.stream(question(&server, json!({"stream": true})));
    let (last, parts) = events.split_last().unwrap();
    assert_eq!(last.0, "done");
    assert_eq!(last.1["text"], whole["text"]);
    let text: String = parts
        .iter()
        .map(|(_, data)| data["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, whole["text"].as_str().unwrap());
    let request =
        json!({"model_id": "ft:tiny:squares:1", "prompt": "7?", "max_tokens": 8, "temperature": 0});
    let unknown = json!({"model_id": "nobody", "prompt": "7?"});
    let batch = json!({"requests": [request, unknown, request]});
    let batch = server.json(server.post("/generate/batch").json(&batch));
    let results = batch["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(results[0]["response"]["text"], whole["text"]);
    assert_eq!(results[1]["error"]["code"], "model_not_found");
    assert_eq!(results[2]["response"]["text"], whole["text"]);
    let status = server.json(server.get("/status"));
    assert_eq!(status["jobs"]["succeeded"], 1);
    assert_eq!(status["model_cache"]["models"], 1);

    // Delete everything.
    for dataset in [&body["dataset_id"], &body["evaluation_dataset_id"]] {
        let path = format!("/datasets/{}", dataset.as_str().unwrap());
        assert_eq!(server.delete(&path).send().unwrap().status(), 204);
        assert_eq!(server.problem(server.get(&path)).0, 404);
    }
    let path = "/models/ft:tiny:squares";
    assert_eq!(server.delete(path).send().unwrap().status(), 204);
    assert_eq!(server.problem(server.get(path)).0, 404);
    assert_eq!(server.problem(question(&server, json!({}))).0, 404);
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(place.staged(), 0);
}

#[test]
fn a_job_is_stopped_and_goes_on_from_a_chosen_checkpoint_to_the_same_bytes() {
    let undisturbed = Place::new();
    let server = undisturbed.serve();
    let id = submit(&server, "squares", 60);
    server.wait_for(&id, &["succeeded"]);

    let place = Place::new();
    let server = place.serve();
    let id = submit(&server, "squares", 60);
    server.wait_for_event(&id, |event| {
        event["event"] == "checkpoint" && event["step"] == 14
    });
    let stop = format!("/training/jobs/{id}/stop");
    server.json(server.post(&stop));
    server.wait_for(&id, &["stopped"]);
    let (status, problem) = server.problem(server.post(&stop));
    assert_eq!((status, &problem["code"]), (409, &json!("job_state")));
    let checkpoints = server.json(server.get(&format!("/training/jobs/{id}/checkpoints")));
    let steps: Vec<u64> = checkpoints["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|checkpoint| checkpoint["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    let resume = format!("/training/jobs/{id}/resume");
    let nowhere = server.post(&resume).json(&json!({"checkpoint": 1}));
    assert_eq!(server.problem(nowhere).1["code"], "checkpoint_not_found");
    server.json(server.post(&resume).json(&json!({"checkpoint": steps[0]})));
    server.wait_for(&id, &["succeeded"]);
    let resumed = steps[0] + 1;
    server.wait_for_event(&id, |event| {
        event["event"] == "resumed" && event["step"] == steps[0]
    });
    server.wait_for_event(&id, |event| {
        event["event"] == "step" && event["step"] == resumed
    });
    assert_eq!(place.weights("squares"), undisturbed.weights("squares"));
}

#[test]
fn a_job_that_cannot_succeed_fails_with_its_reason() {
    let place = Place::new();
    let server = place.serve();
    let mut body = job(&server, "diverged", 4);
    body["config"]["learning_rate"] = json!(1e30);
    body["config"]["max_gradient_norm"] = json!(0);
    body["config"]["warmup_ratio"] = json!(0);
    let id = server.json(server.post("/training/jobs").json(&body))["id"].clone();
    let job = server.wait_for(id.as_str().unwrap(), &["failed", "succeeded"]);
    assert_eq!(job["status"], "failed");
    assert!(job["error"].as_str().unwrap().contains("loss"), "{job}");
    let models = server.json(server.get("/models"));
    assert_eq!(models["data"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_wrong_with_a_request_is_said_by_field() {
    let place = Place::new();
    let server = place.serve();
    let mut body = job(&server, "squares", 4);
    body["config"]["batch_size"] = json!(0);
    body["name"] = json!("no name!");
    let (status, problem) = server.problem(server.post("/training/jobs").json(&body));
    assert_eq!(
        (status, &problem["code"]),
        (422, &json!("validation_failed"))
    );
    let pointers: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert!(pointers.contains(&"/config/batch_size"), "{pointers:?}");
    assert!(pointers.contains(&"/name"), "{pointers:?}");

    let unknown = json!({"model_id": "a", "prompt": "b", "max_token": 3});
    let (status, problem) = server.problem(server.post("/generate").json(&unknown));
    assert_eq!(status, 400);
    assert_eq!(problem["errors"][0]["pointer"], "/max_token");

    let bad = "{\"prompt\":\"a\",\"response\":\"\"}\n".repeat(12);
    let bad = server.upload("bad.jsonl", bad);
    assert_eq!(bad["valid"], false);
    let mut body = job(&server, "squares", 4);
    body["dataset_id"] = bad["id"].clone();
    let (status, problem) = server.problem(server.post("/training/jobs").json(&body));
    assert_eq!((status, &problem["code"]), (422, &json!("dataset_invalid")));
    assert_eq!(problem["report"]["findings"][0]["place"]["row"], 1);

    // A dataset is named by its id, whichever it is: where it lies is the server's own affair.
    let mut body = job(&server, "squares", 4);
    body["evaluation_dataset_id"] = bad["id"].clone();
    let (_, problem) = server.problem(server.post("/training/jobs").json(&body));
    assert_eq!(problem["report"]["file"], bad["id"]);
    let mut body = job(&server, "squares", 4);
    body["config"]["max_length"] = json!(2);
    let (status, problem) = server.problem(server.post("/training/jobs").json(&body));
    assert_eq!(status, 422);
    let detail = problem["detail"].as_str().unwrap();
    let id = body["dataset_id"].as_str().unwrap();
    assert!(detail.starts_with(&format!("`{id}`, row")), "{detail}");

    assert_eq!(server.problem(server.get("/nowhere")).1["code"], "no_route");
    assert_eq!(server.problem(server.delete("/health")).0, 405);
    let text = server.post("/generate").body("model_id=a");
    assert_eq!(server.problem(text).0, 415);
    // A folder of this machine is no name for those who ask over HTTP.
    let mut body = job(&server, "squares", 4);
    body["base_model"] = json!(place.data_dir().to_str().unwrap());
    assert_eq!(
        server.problem(server.post("/training/jobs").json(&body)).0,
        404
    );
}

#[test]
fn a_job_whose_model_was_deleted_is_trained_again_when_it_is_asked_for() {
    let place = Place::new();
    let server = place.serve();
    let body = job(&server, "squares", 4);
    let submit = || server.post("/training/jobs").json(&body);
    let id = server.json(submit())["id"].as_str().unwrap().to_owned();
    server.wait_for(&id, &["succeeded"]);
    let first = place.weights("squares");
    let deleted = server.delete("/models/ft:tiny:squares:1").send().unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(submit().send().unwrap().status(), 202);
    server.wait_for(&id, &["succeeded"]);
    assert_eq!(place.weights("squares"), first);
}

#[test]
fn the_pages_of_other_sites_are_refused() {
    let place = Place::new();
    let server = place.serve();
    let page = server
        .get("/models")
        .header("origin", "https://evil.example");
    let (status, problem) = server.problem(page);
    assert_eq!((status, &problem["code"]), (403, &json!("foreign_origin")));
    let rebound = server.get("/models").header("host", "evil.example");
    assert_eq!(server.problem(rebound).0, 403);
    let own = server.get("/models").header("origin", &server.url);
    assert_eq!(own.send().unwrap().status(), 200);
}

#[test]
fn a_server_with_a_certificate_is_trusted_by_those_who_know_it() {
    let place = Place::new();
    let names = vec!["127.0.0.1".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    let pem = own.cert.pem();
    fs::write(place.path("cert.pem"), &pem).unwrap();
    fs::write(place.path("key.pem"), own.signing_key.serialize_pem()).unwrap();
    let server = place.serve_with(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    assert!(
        server.get("/health").send().is_err(),
        "nobody vouches for it"
    );
    let certificate = Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([certificate]);
    let answer = client.build().unwrap().get(server.at("/health")).send();
    assert_eq!(answer.unwrap().json::<Value>().unwrap()["status"], "ok");
}

#[test]
fn a_server_that_is_asked_to_end_leaves_its_job_to_go_on_later() {
    let place = Place::new();
    let server = place.serve();
    let id = submit(&server, "squares", 200);
    server.wait_for_event(&id, |event| event["event"] == "step");
    assert_eq!(server.terminate(), Some(0));
    let server = place.serve();
    let job = server.job(&id);
    assert!(["queued", "running"].contains(&job["status"].as_str().unwrap()));
    server.wait_for_event(&id, |event| event["event"] == "requeued");
    server.wait_for(&id, &["running"]);
    server.json(server.post(&format!("/training/jobs/{id}/stop")));
    server.wait_for(&id, &["stopped"]);
}

#[test]
fn a_base_is_deleted_once_no_job_needs_it() {
    let place = Place::with_base("org--tiny");
    let server = place.serve();
    let mut body = job(&server, "squares", 10_000);
    body["base_model"] = json!("base:org--tiny");
    let submitted = server.json(server.post("/training/jobs").json(&body));
    let id = submitted["id"].as_str().unwrap().to_owned();
    server.wait_for(&id, &["running"]);
    // However it is spelled: a base `org/tiny` of a Hub is kept under the same name.
    for name in ["base:org--tiny", "base:org%2Ftiny"] {
        let (status, problem) = server.problem(server.delete(&format!("/models/{name}")));
        assert_eq!(
            (status, &problem["code"]),
            (409, &json!("in_use")),
            "{name}"
        );
    }
    server.json(server.post(&format!("/training/jobs/{id}/stop")));
    server.wait_for(&id, &["stopped"]);
    let deleted = server.delete("/models/base:org--tiny").send().unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(
        server.problem(server.delete("/models/base:org--tiny")).0,
        404
    );
    let models = server.json(server.get("/models"));
    assert_eq!(models["data"], json!([]));
}
