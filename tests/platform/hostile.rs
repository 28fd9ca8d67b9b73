//! What nobody asks in good faith: every answer is a clean refusal, or the connection is closed, and the server
//! goes on.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::server::{Place, Server};

/// What the server may take beyond what it has with its model, whatever it is sent: 64 MiB.
const MEMORY: u64 = 64 << 20;

/// Returns the folder of outside data, or says what is skipped for want of it.
#[expect(
    clippy::disallowed_methods,
    reason = "tests find outside data through this one variable"
)]
fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("LLMOPT_TEST_DATA");
    if folder.is_none() {
        println!("skipped: LLMOPT_TEST_DATA is not set");
    }
    folder.map(PathBuf::from)
}

/// Asserts that a status is no fault of the server's.
fn refused(status: u16, what: &str) {
    assert!((400..500).contains(&status), "{what}: {status}");
}

fn is_well(server: &Server) {
    let health = server.get("/health").send().unwrap();
    assert_eq!(health.status(), 200);
}

/// The memory that the server has at this moment, in bytes.
fn resident(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

fn connect(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream
}

#[test]
fn no_body_is_a_fault_of_the_server() {
    let Some(data) = test_data() else {
        return;
    };
    let place = Place::new();
    let server = place.serve();
    let mut count = 0;
    for entry in fs::read_dir(data.join("json_test_suite/test_parsing")).unwrap() {
        let path = entry.unwrap().path();
        let body = fs::read(&path).unwrap();
        for route in ["/generate", "/training/jobs", "/keys", "/generate/batch"] {
            let asked = server
                .post(route)
                .header("content-type", "application/json")
                .body(body.clone());
            let response = asked.send().unwrap();
            refused(
                response.status().as_u16(),
                &format!("{route} {}", path.display()),
            );
            let problem: Value = response.json().unwrap();
            assert!(problem["code"].is_string(), "{problem}");
        }
        count += 1;
    }
    assert!(count > 300, "{count}");
    let deep = "[".repeat(100_000);
    let object = "{\"a\":".repeat(100_000);
    for body in [deep, object] {
        let asked = server
            .post("/generate")
            .header("content-type", "application/json")
            .body(body);
        refused(asked.send().unwrap().status().as_u16(), "100,000 deep");
    }
    is_well(&server);
}

#[test]
fn no_text_is_a_fault_of_the_server() {
    let Some(data) = test_data() else {
        return;
    };
    let place = Place::new();
    let server = place.serve();
    let text = fs::read(data.join("naughty_strings/blns.json")).unwrap();
    let strings: Vec<String> = serde_json::from_slice(&text).unwrap();
    assert!(strings.len() > 500);
    let fault = |response: reqwest::blocking::Response, what: &str| {
        let status = response.status().as_u16();
        assert!(
            status < 500,
            "{what}: {status} {}",
            response.text().unwrap()
        );
    };
    for text in &strings {
        for body in [
            json!({ "model_id": text, "prompt": "Hi", "max_tokens": 1 }),
            json!({ "model_id": "base:tiny", "prompt": text, "max_tokens": 1 }),
            json!({ "model_id": "base:tiny", "prompt": "Hi", "max_tokens": 1, "stop": [text] }),
            json!({ "model_id": "base:tiny", "messages": [{ "role": text, "content": text }] }),
        ] {
            fault(server.post("/generate").json(&body).send().unwrap(), text);
        }
        let job = json!({
            "base_model": text, "dataset_id": text, "name": text, "config": { "method": text },
        });
        fault(
            server.post("/training/jobs").json(&job).send().unwrap(),
            text,
        );
        let mut url: reqwest::Url = server.at("/").parse().unwrap();
        for route in ["models", "datasets", "training/jobs", "keys"] {
            url.set_path("/api/v1");
            let mut path = url.path_segments_mut().unwrap();
            path.extend(route.split('/')).push(text);
            drop(path);
            fault(reqwest::blocking::get(url.clone()).unwrap(), text);
        }
        let listed = server
            .get("/models")
            .query(&[("cursor", text), ("limit", text)]);
        fault(listed.send().unwrap(), text);
        let uploaded = server.post("/datasets").query(&[("name", text)]).body("x");
        fault(uploaded.send().unwrap(), text);
    }
    is_well(&server);
}

#[test]
fn a_flood_of_headers_is_refused() {
    let place = Place::new();
    let server = place.serve();
    for (count, length) in [(10_000, 10), (80, 1_000), (90, 10_000), (1, 10_000_000)] {
        let mut connection = connect(&server);
        let mut request = "GET /api/v1/models HTTP/1.1\r\nhost: localhost\r\n".to_owned();
        for number in 0..count {
            request.push_str(&format!("x-{number}: {}\r\n", "a".repeat(length)));
        }
        request.push_str("\r\n");
        // The server may close before it has read all.
        let _ = connection.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{count} of {length}: {answer}"
        );
        is_well(&server);
    }
}

#[test]
fn a_large_body_is_refused_before_it_is_read() {
    let place = Place::new();
    let server = place.serve();
    let before = resident(&server);
    let mut connection = connect(&server);
    let head = "POST /api/v1/generate HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/json\r\ncontent-length: 1073741824\r\n\r\n";
    connection.write_all(head.as_bytes()).unwrap();
    let part = vec![b' '; 1 << 20];
    let mut sent = 0_u64;
    // A gigabyte, unless the server has enough before.
    while sent < 1 << 30 && connection.write_all(&part).is_ok() {
        sent += part.len() as u64;
        assert!(resident(&server) < before + MEMORY);
    }
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.contains(" 413 "), "{answer}");
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    is_well(&server);
}

#[test]
fn slow_senders_and_readers_hold_up_nobody() {
    let place = Place::new();
    let server = place.serve();
    let before = resident(&server);
    // Bodies of a gigabyte that come byte by byte, requests that never end, and answers that nobody reads.
    let heads = [
        "POST /api/v1/generate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n{",
        "GET /api/v1/models HTTP/1.1\r\nhost: local",
        "GET /api/v1/models HTTP/1.1\r\nhost: localhost\r\n\r\nGET /api/v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ];
    let mut connections = Vec::new();
    for number in 0..150 {
        let mut connection = connect(&server);
        connection
            .write_all(heads[number % heads.len()].as_bytes())
            .unwrap();
        connections.push(connection);
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        for connection in &mut connections {
            let _ = connection.write_all(b" ");
        }
        let asked = Instant::now();
        is_well(&server);
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
        sleep(Duration::from_millis(200));
    }
    assert!(resident(&server) < before + MEMORY);
    for connection in connections {
        let _ = connection.shutdown(Shutdown::Both);
    }
    is_well(&server);
}

#[test]
fn whoever_does_not_finish_a_request_is_cut_off() {
    let place = Place::new();
    let server = place.serve();
    // Nothing, and what might become HTTP/2.
    let mut silent = connect(&server);
    let mut preface = connect(&server);
    preface.write_all(b"PRI * HTTP/2.0\r\n").unwrap();
    let mut headers = connect(&server);
    headers
        .write_all(b"GET /api/v1/models HTTP/1.1\r\nhost: local")
        .unwrap();
    let mut body = connect(&server);
    let head = "POST /api/v1/generate HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    body.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    for connection in [&mut silent, &mut preface] {
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty(), "{answer}");
    }
    headers.read_to_string(&mut answer).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    answer.clear();
    body.read_to_string(&mut answer).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );
    is_well(&server);
}
