use std::{
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::serve::ListenerExt as _;
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
    time::timeout,
};

use crate::{
    FunctionSpec, Launch,
    logs::Logs,
    runtime_api::{Event, Line, Said, router},
};

/// What a process may have said that is not heard yet.
const UNHEARD: usize = 64;
/// How long the last lines of a process may take that children of its own hold open.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A process of a function, with a Runtime API of its own as Lambda's processes have.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// What it is known by also after its end.
    pub(crate) id: u32,
    said: mpsc::Receiver<Said>,
    current: Arc<Mutex<Option<String>>>,
    runtime_api: AbortHandle,
    output: Vec<JoinHandle<()>>,
}

/// What there is to hear of a process.
#[derive(Debug)]
pub(crate) enum Heard {
    Said(Said),
    Exited(ExitStatus),
}

impl Process {
    pub(crate) async fn start(spec: &FunctionSpec, logs: &Arc<Logs>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (say, said) = mpsc::channel(UNHEARD);
        let current = Arc::<Mutex<Option<String>>>::default();
        let line = Line {
            said: say,
            current: Arc::clone(&current),
        };
        let mut child = command(spec, &address.to_string()).spawn()?;
        let listener = listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router(line)).await;
        });
        let mut output = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            let logs = Arc::clone(logs);
            output.push(tokio::spawn(async move { logs.keep(pipe).await }));
        }
        if let Some(pipe) = child.stderr.take() {
            let logs = Arc::clone(logs);
            output.push(tokio::spawn(async move { logs.keep(pipe).await }));
        }
        Ok(Self {
            id: child.id().unwrap_or_default(),
            child,
            said,
            current,
            runtime_api: server.abort_handle(),
            output,
        })
    }

    /// Waits for the next that it says, or for its end. What it said before its end comes first.
    pub(crate) async fn hear(&mut self) -> io::Result<Heard> {
        tokio::select! {
            biased;
            Some(said) = self.said.recv() => Ok(Heard::Said(said)),
            status = self.child.wait() => status.map(Heard::Exited),
        }
    }

    /// Lets it answer the event that it is given next.
    pub(crate) fn expect(&self, event: &Event) {
        *self.current.lock() = Some(event.request_id.clone());
    }

    /// Ends it and waits until it has gone and its last lines are kept.
    pub(crate) async fn end(mut self) {
        let _ = self.child.kill().await;
        let last_lines = async {
            for task in &mut self.output {
                let _ = task.await;
            }
        };
        let _ = timeout(LAST_LINES, last_lines).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.runtime_api.abort();
    }
}

fn command(spec: &FunctionSpec, runtime_api: &str) -> Command {
    let initialization = match spec.snap_start {
        true => "snap-start",
        false => "on-demand",
    };
    let folder = spec.program.parent().unwrap_or(Path::new("/"));
    let mut command = match spec.launch {
        // The system ends it with the thread that started it: the harness's own, which ends with it.
        Launch::Guarded => {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]).arg(&spec.program);
            command
        }
        Launch::Direct => Command::new(&spec.program),
    };
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "en_US.UTF-8")
        .env("TZ", ":UTC")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "harness")
        .env("AWS_SECRET_ACCESS_KEY", "harness")
        .env("AWS_LAMBDA_FUNCTION_NAME", &spec.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env(
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            spec.memory_mb.to_string(),
        )
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", initialization)
        .env(
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/{}", spec.name),
        )
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "[$LATEST]harness")
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("LAMBDA_RUNTIME_DIR", "/var/runtime")
        .env("LAMBDA_TASK_ROOT", folder)
        .env("_HANDLER", "bootstrap")
        .envs(&spec.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
