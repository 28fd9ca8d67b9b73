use axum::{
    body::{Body, to_bytes},
    extract::Path,
    http::Request,
    routing::get,
};
use llmopt_service::ServiceError;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::Parameters;

async fn refuse() -> Problem {
    Problem::new(Code::InUse, "another has it")
}

async fn echo(Path(number): Path<u32>) -> String {
    number.to_string()
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    size: u32,
}

async fn size(Parameters(Query { size }): Parameters<Query>) -> String {
    size.to_string()
}

async fn ask(method: Method, path: &str, id: &str) -> (Response, Value) {
    let routes = Router::new()
        .route("/refuse", get(refuse))
        .route("/echo/{number}", get(echo))
        .route("/size", get(size));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-request-id", id);
    let request = request.body(Body::empty()).unwrap();
    let response = platform(routes, Access::open())
        .oneshot(request)
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    (Response::from_parts(parts, Body::empty()), json)
}

/// Asserts that an answer is a problem with this status and code, for the request `r1`.
async fn refused(method: Method, path: &str, status: u16, code: &str) {
    let (response, problem) = ask(method, path, "r1").await;
    assert_eq!(response.status(), status, "{path}");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.headers()["x-request-id"], "r1");
    assert_eq!(problem["code"], code, "{path}");
    assert_eq!(problem["request_id"], "r1");
}

#[tokio::test]
async fn whatever_refuses_a_request_answers_with_a_problem() {
    refused(Method::GET, "/api/v1/refuse", 409, "in_use").await;
    refused(Method::GET, "/api/v1/nowhere", 404, "no_route").await;
    refused(Method::GET, "/elsewhere", 404, "no_route").await;
    refused(Method::POST, "/api/v1/refuse", 405, "method_not_allowed").await;
    refused(Method::GET, "/api/v1/echo/x", 400, "invalid_request").await;
    refused(Method::GET, "/api/v1/size?size=x", 400, "invalid_request").await;
    refused(
        Method::GET,
        "/api/v1/size?size=1&more=2",
        400,
        "invalid_request",
    )
    .await;
}

#[tokio::test]
async fn an_answer_carries_the_requests_id() {
    let (response, _) = ask(Method::GET, "/api/v1/echo/7", "mine").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-request-id"], "mine");
    let (response, _) = ask(Method::GET, "/api/v1/echo/7", "not plain!").await;
    let id = response.headers()["x-request-id"].to_str().unwrap();
    assert!(id.starts_with("req_"), "{id}");
}

/// Asks for what fails for a reason of ours, and returns the answer.
async fn fail(tells_causes: bool, accept: &str) -> (Response, Value) {
    async fn fails() -> Problem {
        let error = ServiceError::File {
            operation: "read",
            path: "/secret/place".into(),
            source: std::io::Error::other("a disk is broken"),
        };
        error.into()
    }
    let routes = Router::new().route("/fails", get(fails));
    let access = Access {
        tells_causes,
        ..Access::open()
    };
    let request = Request::get("/api/v1/fails").header("accept", accept);
    let response = platform(routes, access)
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let json = serde_json::from_slice(&body).unwrap();
    (Response::from_parts(parts, Body::empty()), json)
}

#[tokio::test]
async fn why_a_fault_came_about_is_told_in_development_alone() {
    let (response, problem) = fail(true, "*/*").await;
    assert_eq!(response.status(), 500);
    let cause = problem["cause"].as_str().unwrap();
    assert!(
        cause.contains("/secret/place") && cause.ends_with("a disk is broken"),
        "{cause}"
    );
    let (_, problem) = fail(false, "*/*").await;
    assert!(!problem.to_string().contains("secret"), "{problem}");
}

#[tokio::test]
async fn a_problem_is_plain_json_for_those_who_take_no_other() {
    let (response, problem) = fail(false, "application/json").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(problem["code"], "internal");
    let (response, _) = fail(false, "application/json, */*").await;
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
}
