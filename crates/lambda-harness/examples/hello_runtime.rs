//! The least that a function can be: the answer of an API's function without the parts that read events.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(answer)).await
}

async fn answer(_: LambdaEvent<Value>) -> Result<Value, Error> {
    Ok(json!({
        "statusCode": 200,
        "multiValueHeaders": {"content-type": ["application/json"]},
        "body": r#"{"hello":"world"}"#,
    }))
}
