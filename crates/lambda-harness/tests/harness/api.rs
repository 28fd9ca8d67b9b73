use llmopt_lambda_harness::Harness;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::support::{Gate, function};

async fn harness() -> Harness {
    Harness::builder()
        .function(function("echo_http"))
        .function(function("stream_http"))
        .function(function("events"))
        .route("/echo", "echo_http")
        .route("/stream", "stream_http")
        .route("/events", "events")
        .start()
        .await
        .unwrap()
}

async fn get(harness: &Harness, path: &str) -> Response {
    reqwest::get(format!("{}{path}", harness.url()))
        .await
        .unwrap()
}

fn cookies(response: &Response) -> Vec<&str> {
    let cookies = response.headers().get_all("set-cookie").iter();
    cookies.map(|cookie| cookie.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_request_reaches_the_function_of_its_route_and_its_answer_comes_back() {
    let harness = harness().await;
    let response = Client::new()
        .post(format!("{}/echo/a%2Fb/c?x=1&x=2%203", harness.url()))
        .body("grüße")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(cookies(&response), ["a=1", "b=2"]);
    let mut answer: Value = response.json().await.unwrap();
    assert!(answer.as_object_mut().unwrap().remove("process").is_some());
    assert_eq!(
        answer,
        json!({
            "method": "POST",
            "path": "/echo/a%2Fb/c",
            "x": ["1", "2 3"],
            "proxy": "a%2Fb/c",
            "body": "grüße",
        })
    );
}

#[tokio::test]
async fn bytes_arrive_and_return_as_they_were() {
    let harness = harness().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let response = Client::new()
        .post(format!("{}/echo/bytes", harness.url()))
        .header("content-type", "application/octet-stream")
        .body(bytes.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(response.bytes().await.unwrap(), bytes);
}

#[tokio::test]
async fn a_streamed_answer_comes_bit_by_bit() {
    let harness = harness().await;
    let gate = Gate::new().await;
    let mut response = get(&harness, &format!("/stream?gate={}", gate.address)).await;
    assert_eq!(response.status(), 203);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(cookies(&response), ["a=1", "b=2"]);
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one");
    // The function is not let on before its first part is here.
    gate.knocked().await.open().await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "two");
    assert_eq!(response.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn a_stream_whose_function_dies_is_cut() {
    let harness = harness().await;
    let gate = Gate::new().await;
    let path = format!("/stream?gate={}&then=abort", gate.address);
    let mut response = get(&harness, &path).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one");
    gate.knocked().await.open().await;
    assert!(response.chunk().await.is_err());
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_the_function() {
    let harness = harness().await;
    let gate = Gate::new().await;
    let mut response = get(&harness, &format!("/stream?gate={}", gate.address)).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one");
    let process = harness.processes("stream_http").unwrap();
    let waiting = gate.knocked().await;
    drop(response);
    waiting.open().await;
    // Its process is free again and takes the next request.
    let again = get(&harness, &format!("/stream?gate={}", gate.address)).await;
    gate.knocked().await.open().await;
    assert_eq!(again.text().await.unwrap(), "onetwo");
    assert!(
        harness
            .processes("stream_http")
            .unwrap()
            .starts_with(&process)
    );
}

#[tokio::test]
async fn a_path_without_a_route_is_refused() {
    let harness = harness().await;
    let response = get(&harness, "/elsewhere").await;
    assert_eq!(response.status(), 403);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer, json!({"message": "Missing Authentication Token"}));
}

#[tokio::test]
async fn a_request_that_is_too_large_never_reaches_a_function() {
    let harness = harness().await;
    let megabyte = 1024 * 1024;
    for (content_type, size) in [
        ("text/plain", 10 * megabyte + 1),
        // An API takes these, and their events are above what Lambda takes.
        ("text/plain", 7 * megabyte),
        ("application/octet-stream", 5 * megabyte),
    ] {
        let response = Client::new()
            .post(format!("{}/echo", harness.url()))
            .header("content-type", content_type)
            .body("x".repeat(size))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 413, "{size} bytes of {content_type}");
    }
    assert!(harness.processes("echo_http").unwrap().is_empty());
}

#[tokio::test]
async fn a_function_that_fails_is_a_bad_gateway_and_goes_on() {
    let harness = harness().await;
    // That of `events` is no answer that an API can read.
    for path in ["/echo/panic", "/echo/error", "/events"] {
        let response = get(&harness, path).await;
        assert_eq!(response.status(), 502, "{path}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer, json!({"message": "Internal server error"}));
    }
    let process = harness.processes("echo_http").unwrap();
    let answer: Value = get(&harness, "/echo").await.json().await.unwrap();
    assert_eq!(json!(process), json!([answer["process"]]));
}
