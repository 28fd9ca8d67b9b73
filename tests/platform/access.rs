//! Who may ask, and how often.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use reqwest::{
    Method,
    blocking::{Client, Response},
};
use serde_json::{Value, json};

use crate::server::{Place, Server};

/// Keys are remembered for 5 s.
const KNOWN: Duration = Duration::from_secs(15);
/// Before a key's id, and that one's length.
const PREFIX: &str = "llmopt_";
const ID: usize = 12;

/// Makes a key and returns its text.
pub(crate) fn create_key(place: &Place, arguments: &[&str]) -> String {
    let mut command = place.llmopt();
    command.args(["keys", "create", "--name", "tests"]);
    let created = command.args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&created.stderr);
    assert!(created.status.success(), "{errors}");
    String::from_utf8(created.stdout).unwrap().trim().to_owned()
}

fn secret_of(key: &str) -> &str {
    &key[PREFIX.len() + ID + 1..]
}

fn ask(server: &Server, method: Method, path: &str, key: Option<&str>) -> Response {
    let url = format!("{}/api/v1{path}", server.url);
    let mut request = Client::new().request(method, url);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    request.send().unwrap()
}

fn status(server: &Server, path: &str, key: Option<&str>) -> u16 {
    ask(server, Method::GET, path, key).status().as_u16()
}

fn until(what: &str, reached: impl Fn() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < KNOWN, "{what}");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_server_on_this_machine_is_open_until_there_is_a_key() {
    let place = Place::new();
    let server = place.serve();
    assert_eq!(status(&server, "/models", None), 200);
    let key = create_key(&place, &["--scope", "generate"]);
    until("the server wants no key", || {
        status(&server, "/models", None) == 401
    });
    assert_eq!(status(&server, "/models", Some(&key)), 200);
    assert_eq!(status(&server, "/health", None), 200);
    assert_eq!(status(&server, "/ready", None), 200);

    let refused = ask(&server, Method::GET, "/status", Some("llmopt_nobody"));
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.headers()["www-authenticate"],
        "Bearer realm=\"llmopt\""
    );
    assert_eq!(refused.json::<Value>().unwrap()["code"], "unauthorized");
    let forbidden = ask(&server, Method::POST, "/training/jobs", Some(&key));
    assert_eq!(forbidden.status(), 403);
    assert_eq!(forbidden.json::<Value>().unwrap()["code"], "forbidden");

    // Only the digest of the key lies anywhere.
    let secret = secret_of(&key).as_bytes();
    for entry in fs::read_dir(place.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let is_there = bytes.windows(secret.len()).any(|part| part == secret);
            assert!(!is_there, "{}", path.display());
        }
    }

    let id = &key[PREFIX.len()..][..ID];
    let revoked = place.llmopt().args(["keys", "revoke", id]).output();
    assert!(revoked.unwrap().status.success());
    until("the key is still taken", || {
        status(&server, "/models", Some(&key)) == 401
    });
}

#[test]
fn a_key_is_rotated_over_the_api_and_the_one_before_goes_on_for_as_long_as_asked() {
    let place = Place::new();
    let key = create_key(&place, &["--scope", "admin"]);
    let server = place.serve();
    let made = Client::new()
        .post(format!("{}/api/v1/keys", server.url))
        .bearer_auth(&key)
        .json(&json!({ "name": "ci", "scopes": ["train"] }))
        .send()
        .unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().unwrap();
    let first = made["key"].as_str().unwrap().to_owned();
    assert_eq!(status(&server, "/datasets", Some(&first)), 200);
    assert_eq!(status(&server, "/keys", Some(&first)), 403);
    let rotate = |overlap: u64| -> String {
        let path = format!("/api/v1/keys/{}/rotate", made["id"].as_str().unwrap());
        let rotated = Client::new()
            .post(format!("{}{path}", server.url))
            .bearer_auth(&key)
            .json(&json!({ "overlap_seconds": overlap }))
            .send()
            .unwrap();
        assert_eq!(rotated.status(), 200);
        let rotated: Value = rotated.json().unwrap();
        rotated["key"].as_str().unwrap().to_owned()
    };
    let second = rotate(3_600);
    assert_eq!(status(&server, "/datasets", Some(&first)), 200);
    assert_eq!(status(&server, "/datasets", Some(&second)), 200);
    let third = rotate(0);
    assert_eq!(status(&server, "/datasets", Some(&second)), 401);
    assert_eq!(status(&server, "/datasets", Some(&third)), 200);
}

#[test]
fn whoever_asks_too_often_is_told_when_to_ask_again() {
    let place = Place::new();
    let mut command = place.llmopt();
    command.env("LLMOPT_REQUESTS_PER_MINUTE", "60");
    command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
    let server = place.start(command);
    let mut passed = 0;
    let began = Instant::now();
    let refused = loop {
        let answer = ask(&server, Method::GET, "/models", None);
        if answer.status() == 429 {
            break answer;
        }
        assert_eq!(answer.status(), 200);
        assert_eq!(
            answer.headers()["ratelimit-policy"],
            "\"address\";q=60;w=60"
        );
        passed += 1;
    };
    // As many as there may be at once, and one for each second that passed meanwhile.
    let seconds = began.elapsed().as_secs() + 1;
    assert!(
        (60..=60 + seconds).contains(&passed),
        "{passed} in {seconds} s"
    );
    let wait: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        refused.headers()["ratelimit"],
        format!("\"address\";r=0;t={wait}")
    );
    assert_eq!(
        refused.json::<Value>().unwrap()["code"],
        "too_many_requests"
    );
    // Whoever looks whether the server is there is not counted.
    assert_eq!(status(&server, "/health", None), 200);
    sleep(Duration::from_secs(wait));
    assert_eq!(status(&server, "/models", None), 200);
}

#[test]
fn a_key_has_a_limit_of_its_own() {
    let place = Place::new();
    let hasty = create_key(
        &place,
        &[
            "--scope",
            "generate",
            "--requests-per-minute",
            "60",
            "--burst",
            "2",
        ],
    );
    let other = create_key(&place, &["--scope", "generate"]);
    let server = place.serve();
    assert_eq!(status(&server, "/models", Some(&hasty)), 200);
    assert_eq!(status(&server, "/models", Some(&hasty)), 200);
    let refused = ask(&server, Method::GET, "/models", Some(&hasty));
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["ratelimit-policy"], "\"key\";q=2;w=2");
    assert_eq!(status(&server, "/models", Some(&other)), 200);
}

#[test]
fn a_server_that_others_reach_makes_the_first_key_and_wants_it() {
    let place = Place::new();
    let mut command = place.llmopt();
    command.args(["serve", "--json", "--listen", "0.0.0.0:0"]);
    command.stderr(Stdio::null());
    let mut server = place.start(command);
    server.url = server.url.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(status(&server, "/models", None), 401);
    let path = place.data_dir().join("admin.key");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let key = fs::read_to_string(&path).unwrap();
    assert_eq!(status(&server, "/keys", Some(key.trim())), 200);
}

#[test]
fn neither_keys_nor_questions_are_in_the_log() {
    let place = Place::new();
    let key = create_key(&place, &["--scope", "generate"]);
    let log = place.path("log");
    let mut command: Command = place.llmopt();
    command.args(["serve", "--json", "--listen", "127.0.0.1:0"]);
    command.env("LLMOPT_LOG", "trace");
    command.stderr(fs::File::create(&log).unwrap());
    let server = place.start(command);
    let question = json!({
        "model_id": "base:tiny", "prompt": "canary-question", "max_tokens": 4, "temperature": 0,
    });
    let answer = Client::new()
        .post(format!(
            "{}/api/v1/generate?secret=canary-query",
            server.url
        ))
        .bearer_auth(&key)
        .json(&question)
        .send()
        .unwrap();
    assert_eq!(answer.status(), 200);
    let wrong = format!("{key}canary-wrong");
    assert_eq!(status(&server, "/models", Some(&wrong)), 401);
    drop(server);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("request"), "the log is empty: {text}");
    let secret = secret_of(&key);
    for canary in [secret, "canary-question", "canary-wrong", "canary-query"] {
        assert!(!text.contains(canary), "{canary} is in the log");
    }
}

#[test]
fn a_route_has_limits_of_its_own_for_each_caller() {
    let place = Place::new();
    let (one, other) = (
        create_key(&place, &["--scope", "generate"]),
        create_key(&place, &["--scope", "generate"]),
    );
    let mut command = place.llmopt();
    command
        .args(["serve", "--json", "--listen", "127.0.0.1:0"])
        .env("LLMOPT_KEY_REQUESTS_PER_MINUTE", "60")
        .env(
            "LLMOPT_ROUTE_LIMITS",
            "models=1/3,GET /models/{model_id}=1/2",
        );
    let server = place.start(command);
    let get = |key: &str, path: &str| ask(&server, Method::GET, path, Some(key));
    for _ in 0..2 {
        assert_eq!(get(&one, "/models/base:tiny").status(), 200);
    }
    // The route's own limit is reached before its group's.
    let refused = get(&one, "/models/base:tiny");
    assert_eq!(refused.status(), 429);
    let limit = refused.headers()["ratelimit"].to_str().unwrap();
    assert!(
        limit.starts_with("\"GET /models/{model_id}\";r=0;t="),
        "{limit}"
    );
    // The group's counted all three.
    let refused = get(&one, "/models");
    assert_eq!(refused.status(), 429);
    let problem: Value = refused.json().unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("each caller may ask for `models` once in 60 s"),
        "{detail}"
    );
    // Other routes and other callers have theirs.
    assert_eq!(get(&one, "/status").status(), 200);
    let answer = get(&other, "/models");
    assert_eq!(answer.status(), 200);
    let limit = answer.headers()["ratelimit"].to_str().unwrap();
    assert!(
        limit.starts_with("\"key\";r=59;t=") && limit.contains(", \"models\";r=2;t="),
        "{limit}"
    );
}
