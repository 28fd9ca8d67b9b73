use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request, header},
};
use llmopt_domain::{KeyText, TrainingJob};
use llmopt_http::{API, Access, ClientAddress, Guard};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{
    platform::{Answer, BASE, Platform, with_platform},
    text::{lossy, parts},
};

/// Routes that tell everybody something.
const PUBLIC: [&str; 2] = ["/api/v1/health", "/api/v1/ready"];

/// Lines: the method and the path, then headers; a body after a NUL.
pub(crate) fn head(bytes: &[u8]) {
    let [head, body] = parts(bytes);
    let mut lines = head.split(|&byte| byte == b'\n');
    let first = lossy(lines.next().unwrap_or_default());
    let (method, path) = first.split_once(' ').unwrap_or(("GET", &first));
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return;
    };
    let headers: Vec<_> = lines.filter_map(header_of).collect();
    let request = || {
        let mut request = Request::builder().method(&method).uri(path);
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        request.body(Body::from(body.to_vec())).ok()
    };
    let (Some(open), Some(local), Some(guarded)) = (request(), request(), request()) else {
        return;
    };
    let uri = open.uri().clone();
    with_platform(|platform| {
        check_id(&open, &platform.ask(open_copy(&request)));
        let here = is_here(&local);
        let answer = platform.ask_as(local, access(Guard::Nobody, true));
        if here == Some(false) {
            assert_eq!(answer.status, 403, "an answer to who is not here");
        }
        let guard = Guard::Everybody(platform.keys.clone());
        let answer = platform.ask_as(guarded, access(guard, false));
        let is_public = PUBLIC.contains(&uri.path());
        assert!(
            is_public || answer.status.is_client_error(),
            "an answer of {} to who has no key",
            answer.status
        );
    });

    fn open_copy(request: &impl Fn() -> Option<Request<Body>>) -> Request<Body> {
        let mut request = request().unwrap();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        request.extensions_mut().insert(ClientAddress(address));
        request
    }
}

fn header_of(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let at = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = line.split_at(at);
    let name = HeaderName::from_bytes(name).ok()?;
    let value = HeaderValue::from_bytes(value[1..].trim_ascii()).ok()?;
    Some((name, value))
}

fn access(guard: Guard, is_local: bool) -> Access {
    Access {
        guard,
        is_local,
        ..Access::open()
    }
}

/// A caller's own id comes back where a log can hold it; else there is one all the same.
fn check_id(request: &Request<Body>, answer: &Answer) {
    let answered = answer.headers["x-request-id"].as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    assert!(!answered.is_empty() && answered.iter().all(is_plain));
    let given = request
        .headers()
        .get("x-request-id")
        .map(HeaderValue::as_bytes);
    if let Some(given) = given.filter(|it| it.iter().all(is_plain) && (1..=128).contains(&it.len()))
    {
        assert_eq!(answered, given);
    }
}

/// Returns whether a request says by its host that it is for this machine; nothing where it does not say.
fn is_here(request: &Request<Body>) -> Option<bool> {
    if request.uri().host().is_some() {
        return None;
    }
    let host = request.headers().get(header::HOST)?;
    let host = host.to_str().ok()?.to_ascii_lowercase();
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            name
        } else {
            &host
        }
    });
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    Some(name == "localhost" || address.is_ok_and(|address| address.is_loopback()))
}

/// Two bodies, the second one of a batch.
pub(crate) fn generate(bytes: &[u8]) {
    let [one, batch] = parts(bytes);
    with_platform(|platform| {
        let answer = platform.post("/generate", one);
        check_body(one, &answer);
        if answer.status.is_success() && !answer.body.starts_with(b"event:") {
            assert_eq!(answer.json()["text"], "word");
        }
        let answer = platform.post("/generate/batch", batch);
        check_body(batch, &answer);
        if answer.status.is_success() {
            let Ok(asked) = serde_json::from_slice::<Value>(batch) else {
                return;
            };
            let results = answer.json()["results"].as_array().unwrap().len();
            assert_eq!(results, asked["requests"].as_array().unwrap().len());
            assert!((1..=100).contains(&results));
        }
    });
}

/// What is no JSON is refused as such, and what is wrong with it is where the answer says.
fn check_body(body: &[u8], answer: &Answer) {
    let text = std::str::from_utf8(body).unwrap_or_default();
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        assert_eq!(answer.status, 400, "{}", lossy(&answer.body));
        return;
    }
    // Half a character, or a number that nothing holds, is minded by whoever reads that field.
    let Ok(parsed) = serde_json::from_str::<Value>(text) else {
        return;
    };
    if !answer.status.is_client_error() {
        return;
    }
    for error in answer.json()["errors"].as_array().into_iter().flatten() {
        let pointer = error["pointer"].as_str().unwrap();
        assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer}");
        // What a field lacks is named by the field itself, which is not there.
        let (parent, _) = pointer.rsplit_once('/').unwrap_or_default();
        let is_there = parsed.pointer(pointer).is_some() || parsed.pointer(parent).is_some();
        let is_config = pointer.starts_with("/config/");
        assert!(is_there || is_config, "`{pointer}` is not in the body");
    }
}

/// Two bodies: of a key that is asked for, and of its rotation.
pub(crate) fn keys(bytes: &[u8]) {
    let [create, rotate] = parts(bytes);
    with_platform(|platform| {
        let answer = platform.post("/keys", create);
        check_body(create, &answer);
        if answer.status != 201 {
            return;
        }
        let made = answer.json();
        let id = made["id"].as_str().unwrap();
        check_key(&made);
        let Ok(asked) = serde_json::from_slice::<Value>(create) else {
            return;
        };
        let scopes = |key: &Value| -> BTreeSet<String> {
            let scopes = key["scopes"].as_array().unwrap().iter();
            scopes
                .map(|scope| scope.as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(scopes(&asked), scopes(&made));
        let route = format!("/keys/{id}/rotate");
        let answer = platform.post(&route, rotate);
        check_body(rotate, &answer);
        if answer.status.is_success() {
            check_key(&answer.json());
        }
        let shown = get(platform, &format!("/keys/{id}"));
        assert_eq!(shown.json()["name"], made["name"]);
        assert!(
            !lossy(&shown.body).contains("llmopt_"),
            "a secret is shown again"
        );
    });
}

fn get(platform: &Platform, route: &str) -> Answer {
    platform.ask(
        Request::get(format!("{API}{route}"))
            .body(Body::empty())
            .unwrap(),
    )
}

fn check_key(shown: &Value) {
    let key: KeyText = shown["key"].as_str().unwrap().parse().unwrap();
    assert_eq!(shown["id"], key.id);
}

/// The body of a job, in which `DATASET` stands for a dataset that is there.
pub(crate) fn training(bytes: &[u8]) {
    with_platform(|platform| {
        let body = lossy(bytes).replace("DATASET", &platform.dataset);
        let answer = platform.post("/training/jobs", body.as_bytes());
        check_body(body.as_bytes(), &answer);
        if !answer.status.is_success() {
            return;
        }
        let job = answer.json();
        assert_eq!(job["base_model"], BASE);
        let id = job["id"].as_str().unwrap();
        let again = platform.post("/training/jobs", body.as_bytes());
        assert_eq!(
            (again.status.as_u16(), &again.json()["id"]),
            (200, &job["id"])
        );
        let stored = platform.block_on(platform.stores.records.get(id)).unwrap();
        let identity = stored.record.spec.identity().unwrap();
        assert_eq!(
            TrainingJob::id_of(&identity),
            id,
            "a job that is read again is another"
        );
    });
}
