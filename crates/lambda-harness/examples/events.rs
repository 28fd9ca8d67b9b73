//! A function of events that does what each tells it: `{"do": …}`. It cannot start with `FAIL` set, nor
//! live on after a snapshot with `FAIL_RESTORED` set.

#![expect(clippy::panic, clippy::print_stderr, reason = "part of a test")]
#![expect(
    clippy::disallowed_methods,
    reason = "its variables are what is tested"
)]

use std::{collections::BTreeMap, env, future, process, sync::Arc};

use lambda_runtime::{BoxFuture, Error, LambdaEvent, Runtime, SnapStartResource, service_fn};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if env::var_os("FAIL").is_some() {
        eprintln!("there is no way to start");
        return Err("asked to fail".into());
    }
    Runtime::new(service_fn(answer))
        .register_snapstart_resource(Arc::new(Teller))
        .run()
        .await
}

/// Tells of snapshots.
struct Teller;

impl SnapStartResource for Teller {
    fn before_snapshot(&self) -> BoxFuture<'_, Result<(), Error>> {
        eprintln!("before the snapshot");
        Box::pin(future::ready(Ok(())))
    }

    fn after_restore(&self) -> BoxFuture<'_, Result<(), Error>> {
        eprintln!("restored");
        Box::pin(future::ready(match env::var_os("FAIL_RESTORED") {
            Some(_) => Err("asked to fail".into()),
            None => Ok(()),
        }))
    }
}

async fn answer(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let LambdaEvent { payload, context } = event;
    match payload["do"].as_str().unwrap_or_default() {
        "fail" => return Err("asked to fail".into()),
        "panic" => panic!("asked to panic"),
        "abort" => process::abort(),
        "exit" => {
            eprintln!("the last words");
            #[expect(clippy::exit, reason = "what is asked for")]
            process::exit(3)
        }
        "wait" => future::pending::<()>().await,
        "be large" => return Ok("x".repeat(7_000_000).into()),
        "knock" => {
            let mut gate = TcpStream::connect(payload["gate"].as_str().unwrap_or_default()).await?;
            let _ = gate.read_u8().await;
        }
        _ => {}
    }
    Ok(json!({
        "event": payload,
        "process": process::id(),
        "request_id": context.request_id,
        "deadline_ms": context.deadline,
        "arn": context.invoked_function_arn,
        "variables": env::vars().collect::<BTreeMap<_, _>>(),
    }))
}
