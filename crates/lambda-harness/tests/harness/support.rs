use std::{env, fs, path::PathBuf, time::Duration};

use llmopt_lambda_harness::{FunctionSpec, Harness, HarnessError};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

/// How long what must happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where a function waits until the test lets it go on.
pub(crate) struct Gate {
    listener: TcpListener,
    pub(crate) address: String,
}

impl Gate {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, address }
    }

    /// Waits until a function stands before the gate.
    pub(crate) async fn knocked(&self) -> Waiting {
        let knocked = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        Waiting(knocked.expect("a function comes").unwrap().0)
    }

    /// An event for the function `events` that makes it wait here.
    pub(crate) fn event(&self) -> Value {
        json!({"do": "knock", "gate": self.address})
    }
}

/// A function before a gate.
pub(crate) struct Waiting(TcpStream);

impl Waiting {
    pub(crate) async fn open(mut self) {
        self.0.write_u8(1).await.unwrap();
    }
}

/// Returns where cargo puts an example, beside the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join(name)
}

/// Returns a function that is one of the examples and called as it.
pub(crate) fn function(name: &str) -> FunctionSpec {
    FunctionSpec::new(name, example(name))
}

pub(crate) async fn start(spec: FunctionSpec) -> Harness {
    Harness::builder().function(spec).start().await.unwrap()
}

/// Returns the error that an invocation of a function must end with.
pub(crate) async fn failure(harness: &Harness, name: &str, event: Value) -> (String, String) {
    match harness.invoke(name, event).await {
        Err(HarnessError::Function(error)) => (error.error_type, error.error_message),
        other => panic!("expected a failure of the function, found {other:?}"),
    }
}

/// Waits until a process has gone, its remains in the table of processes apart.
pub(crate) async fn gone(process: u32) {
    let ended = async {
        while is_alive(process) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("the process ends");
}

pub(crate) fn is_alive(process: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{process}/stat")) else {
        return false;
    };
    let state = status.rsplit_once(") ").map(|(_, rest)| &rest[..1]);
    !matches!(state, Some("Z" | "X"))
}
