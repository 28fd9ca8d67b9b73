//! A function behind an API that answers whole: with what it got, or with what its path says.

#![expect(clippy::panic, reason = "part of a test")]

use lambda_http::{Body, Error, Request, RequestExt as _, Response, http::StatusCode, service_fn};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_http::run(service_fn(answer)).await
}

async fn answer(request: Request) -> Result<Response<Body>, Error> {
    match request.raw_http_path() {
        "/echo/bytes" => {
            let body = request.into_body().to_vec();
            let response = Response::builder().header("content-type", "application/octet-stream");
            Ok(response.body(Body::Binary(body))?)
        }
        "/echo/panic" => panic!("asked to panic"),
        "/echo/error" => Err("asked to fail".into()),
        _ => {
            let document = json!({
                "method": request.method().as_str(),
                "path": request.raw_http_path(),
                "x": request.query_string_parameters().all("x"),
                "proxy": request.path_parameters().first("proxy"),
                "body": str::from_utf8(request.body())?,
                "process": std::process::id(),
            });
            let response = Response::builder()
                .status(StatusCode::CREATED)
                .header("content-type", "application/json")
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2");
            Ok(response.body(document.to_string().into())?)
        }
    }
}
