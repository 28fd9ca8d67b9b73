//! Requests with an `idempotency-key` are answered once, on every route that makes or spends something.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use reqwest::blocking::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::{
    access::create_key,
    server::{PATIENCE, Place, Server, job, rows},
};

/// What a route answered.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    replayed: bool,
    kind: String,
    location: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

fn read(response: Response) -> Answer {
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    Answer {
        status: response.status().as_u16(),
        replayed: header("idempotent-replayed").is_some(),
        kind: header("content-type").unwrap_or_default(),
        location: header("location"),
        text: response.text().unwrap(),
    }
}

fn send(request: RequestBuilder, key: &str) -> Answer {
    read(request.header("idempotency-key", key).send().unwrap())
}

/// Asks twice, and returns the one answer.
fn once(request: &dyn Fn() -> RequestBuilder, key: &str) -> Value {
    let first = send(request(), key);
    assert!((200..300).contains(&first.status), "{first:?}");
    assert!(!first.replayed, "{first:?}");
    let again = send(request(), key);
    let expected = Answer {
        replayed: true,
        ..first
    };
    assert_eq!(again, expected);
    serde_json::from_str(&again.text).unwrap_or(Value::Null)
}

/// Returns every route of the platform that takes a `POST`, without the names in its path.
fn routes() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let template = fs::read_to_string(path).unwrap();
    let route = |line: &str| {
        let (_, path) = line.split_once("Method: post, Path: ")?;
        let path = path.trim_start_matches('"');
        let path = &path[..path.find([',', '"', ' ']).unwrap()];
        Some(path.strip_prefix("/api/v1").unwrap().to_owned())
    };
    template.lines().filter_map(route).collect()
}

#[test]
fn every_route_that_makes_or_spends_something_does_it_once() {
    let mut seen = BTreeSet::new();
    let mut seen = |route: &str| {
        assert!(seen.insert(route.to_owned()));
        seen.clone()
    };
    let place = Place::new();
    let server = place.serve();

    let upload = || server.post("/datasets?name=a.jsonl").body(rows(0..50));
    let uploaded = once(&upload, "upload");
    // The same bytes are known by now, as who asks anew is told.
    assert_eq!(send(upload(), "another").status, 200);
    seen("/datasets");
    let fix = format!("/datasets/{}/fix", uploaded["id"].as_str().unwrap());
    let repairs = json!({ "repairs": ["duplicate_row"] });
    once(&|| server.post(&fix).json(&repairs), "fix");
    seen("/datasets/{id}/fix");

    let file = rows(0..40);
    let announced = json!({ "name": "b.jsonl", "size_bytes": file.len() });
    let begin = || server.post("/datasets/uploads").json(&announced);
    let begun = once(&begin, "uploads");
    seen("/datasets/uploads");
    let upload = format!("/datasets/uploads/{}", begun["upload_id"].as_str().unwrap());
    let parts = format!("{upload}/parts");
    once(&|| server.post(&parts), "parts");
    seen("/datasets/uploads/{id}/parts");
    let complete = || server.post(&format!("{upload}/complete"));
    // What is refused is looked at anew each time.
    assert_eq!(send(complete(), "complete").status, 409);
    server.json(server.put(&format!("{parts}/1")).body(file));
    once(&complete, "complete");
    seen("/datasets/uploads/{id}/complete");
    // Whole files are sent in requests on one machine.
    for _ in 0..2 {
        let refused = send(server.post("/datasets/uploads"), "whole-upload");
        assert_eq!((refused.status, refused.replayed), (404, false));
        assert_eq!(refused.json()["code"], "no_uploads");
    }

    let question = |stream: bool| {
        json!({
            "model_id": "base:tiny", "prompt": "Hi", "max_tokens": 8, "temperature": 1, "stream": stream,
        })
    };
    once(&|| server.post("/generate").json(&question(false)), "whole");
    let stream = || server.post("/generate").json(&question(true));
    once(&stream, "stream");
    let again = send(stream(), "stream");
    assert_eq!(again.kind, "text/event-stream");
    assert!(again.text.contains("event: done\n"), "{again:?}");
    seen("/generate");

    let batch =
        json!({ "requests": [{ "model_id": "base:tiny", "prompt": "Hi", "max_tokens": 2 }] });
    once(&|| server.post("/generate/batch").json(&batch), "batch");
    seen("/generate/batch");

    let comparison =
        json!({ "texts": ["Hi"], "models": ["base:tiny"], "max_tokens": 2, "run": true });
    once(
        &|| server.post("/commercial/compare").json(&comparison),
        "compare",
    );
    seen("/commercial/compare");

    let submission = job(&server, "squares", 100);
    let mut estimated = submission.clone();
    estimated.as_object_mut().unwrap().remove("name");
    estimated
        .as_object_mut()
        .unwrap()
        .remove("evaluation_dataset_id");
    estimated["machine"] = "g5.xlarge".into();
    estimated["usd_per_hour"] = 1.006.into();
    let estimate = || server.post("/training/estimate").json(&estimated);
    let estimate = once(&estimate, "estimate");
    assert!(estimate["cost_usd"].as_f64().unwrap() > 0.0, "{estimate}");
    assert_eq!(estimate["unknown"], json!([]));
    seen("/training/estimate");
    let submit = || server.post("/training/jobs").json(&submission);
    let submitted = once(&submit, "submit");
    let id = submitted["id"].as_str().unwrap();
    assert_eq!(send(submit(), "another").status, 200);
    seen("/training/jobs");

    let path = format!("/training/jobs/{id}");
    let stop = format!("{path}/stop");
    once(&|| server.post(&stop), "stop");
    server.wait_for(id, &["stopped"]);
    seen("/training/jobs/{id}/stop");
    let resume = format!("{path}/resume");
    once(&|| server.post(&resume), "resume");
    seen("/training/jobs/{id}/resume");
    // The job goes on: who resumes it in earnest is told so.
    assert_eq!(send(server.post(&resume), "another").status, 409);
    server.json(server.post(&stop));

    let place = Place::new();
    let admin = create_key(&place, &["--scope", "admin"]);
    let server = place.serve();
    let body = json!({ "name": "ci", "scopes": ["train"] });
    let create = || server.post("/keys").bearer_auth(&admin).json(&body);
    let made = once(&create, "keys");
    assert!(made["key"].is_string());
    seen("/keys");
    let rotate = format!("/keys/{}/rotate", made["id"].as_str().unwrap());
    let rotated = once(&|| server.post(&rotate).bearer_auth(&admin), "rotate");
    assert_ne!(rotated["key"], made["key"]);
    // The replay did not draw another secret.
    let secret = rotated["key"].as_str().unwrap();
    server.json(server.get("/datasets").bearer_auth(secret));
    let all = seen("/keys/{id}/rotate");
    let listed = server.json(server.get("/keys").bearer_auth(&admin));
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);

    assert_eq!(all, routes(), "a route is not tested, or is not there");
}

#[test]
fn whoever_hangs_up_on_a_stream_finds_it_whole_later() {
    let place = Place::new();
    let server = place.serve();
    let question = json!({
        "model_id": "base:tiny", "prompt": "Hi", "max_tokens": 40, "temperature": 0, "stream": true,
    });
    let text = question.to_string();
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/generate HTTP/1.1\r\nhost: {address}\r\nidempotency-key: key\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut first = [0; 64];
    stream.read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200"));
    drop(stream);

    let began = Instant::now();
    let answer = loop {
        let answer = send(server.post("/generate").json(&question), "key");
        if answer.status != 409 {
            break answer;
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        sleep(Duration::from_millis(20));
    };
    assert!(answer.replayed, "{answer:?}");
    assert!(answer.text.contains("event: done\n"), "{answer:?}");
}

/// Sends the beginning of an upload, and leaves it there.
fn begin_upload(server: &Server, key: &str, body: &str) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/datasets?name=a.jsonl HTTP/1.1\r\nhost: {address}\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .write_all(&body.as_bytes()[..body.len() - 1])
        .unwrap();
    stream
}

#[test]
fn what_was_answered_outlives_the_server_and_what_was_begun_is_free_after_its_lease() {
    let place = Place::new();
    let server = place.serve();
    let question = json!({ "model_id": "base:tiny", "prompt": "Hi", "max_tokens": 8 });
    let answered = once(&|| server.post("/generate").json(&question), "answered");
    // Larger than what is read before anything is done.
    let body = rows(0..65_000);
    let _begun = begin_upload(&server, "begun", &body);
    let began = Instant::now();
    while place.staged() == 0 {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(5));
    }
    server.kill();

    let server = place.serve();
    let again = send(server.post("/generate").json(&question), "answered");
    assert_eq!((again.replayed, again.json()), (true, answered));
    let upload = || server.post("/datasets?name=a.jsonl").body(body.clone());
    let early = send(upload(), "begun");
    assert_eq!(early.status, 409, "{early:?}");
    assert_eq!(early.json()["code"], "idempotency_in_flight");
    let began = Instant::now();
    let late = loop {
        let answer = send(upload(), "begun");
        if answer.status != 409 {
            break answer;
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        sleep(Duration::from_secs(1));
    };
    assert_eq!((late.status, late.replayed), (201, false), "{late:?}");
    assert_eq!(late.json()["rows"], 65_000);
    assert!(send(upload(), "begun").replayed);
    let other = send(
        server.post("/datasets?name=a.jsonl").body(rows(1..65_001)),
        "begun",
    );
    assert_eq!(other.status, 422, "{other:?}");
}
