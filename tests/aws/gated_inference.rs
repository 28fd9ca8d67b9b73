//! Stands in for the function `inference`: says `one`, then waits at the gate that the question names
//! before it says ` two` and ends.

use std::convert::Infallible;

use futures::{StreamExt as _, stream};
use lambda_runtime::{Error, LambdaEvent, StreamResponse, service_fn};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(answer)).await
}

async fn answer(
    event: LambdaEvent<Value>,
) -> Result<StreamResponse<impl stream::Stream<Item = Result<String, Infallible>> + Unpin>, Error> {
    let turns = event.payload["conversation"]["messages"]
        .as_array()
        .cloned();
    let question = turns.unwrap_or_default().pop().unwrap_or_default();
    let gate = question["content"].as_str().unwrap_or_default().to_owned();
    let line = |event: Value| format!("{}\n", json!({ "event": event }));
    let one = line(json!({ "event": "text", "text": "one" }));
    let rest = [
        line(json!({ "event": "text", "text": " two" })),
        line(json!({
            "event": "finished", "finish_reason": "stop", "prompt_tokens": 3,
            "completion_tokens": 2, "cached": true, "first_token_ms": 1,
        })),
    ];
    let rest = stream::once(async move {
        if let Ok(mut gate) = TcpStream::connect(gate).await {
            let _ = gate.read_u8().await;
        }
        rest.concat()
    });
    let parts = stream::iter([one]).chain(rest).map(Ok);
    Ok(StreamResponse::from(Box::pin(parts)))
}
