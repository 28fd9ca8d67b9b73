//! A function behind an API that sends `one`, knocks at the gate that its request names, and when
//! the gate opens, sends `two`, or dies where the request says `then=abort`.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use futures::{StreamExt as _, stream};
use lambda_http::{Error, Request, RequestExt as _, Response, service_fn};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_http::run_with_streaming_response(service_fn(answer)).await
}

async fn answer(request: Request) -> Result<Response<Body>, Error> {
    let query = request.query_string_parameters();
    let gate = query.first("gate").unwrap_or_default().to_owned();
    let dies = query.first("then") == Some("abort");
    let second = stream::once(async move {
        opened(&gate).await;
        if dies {
            std::process::abort();
        }
        Bytes::from("two")
    });
    let parts = stream::iter([Bytes::from("one")]).chain(second);
    let response = Response::builder()
        .status(203)
        .header("content-type", "text/event-stream")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2");
    Ok(response.body(Body::from_stream(Box::pin(parts.map(Ok::<_, Infallible>))))?)
}

/// Waits until the gate is opened or torn down.
async fn opened(gate: &str) {
    if let Ok(mut gate) = TcpStream::connect(gate).await {
        let _ = gate.read_u8().await;
    }
}
