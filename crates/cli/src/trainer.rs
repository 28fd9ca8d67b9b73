use std::{
    env::consts::EXE_SUFFIX,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use llmopt_domain::TrainingEvent;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
    signal::unix::{SignalKind, signal},
};

use crate::failure::Failure;

/// The program that trains and evaluates: the only one that links libtorch.
#[derive(Debug)]
pub(crate) struct Trainer {
    program: PathBuf,
}

/// How the trainer ended where nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It did what it was asked for.
    Done,
    /// It was stopped and has saved what it had.
    Interrupted,
}

/// What a command does with what its trainer says.
pub(crate) trait Listener {
    /// Takes an event and the line it came in.
    fn event(&mut self, event: TrainingEvent, line: &str) -> Result<(), Failure>;
    /// Takes a line of standard error: a log, or why the trainer failed.
    fn log(&mut self, line: &str);
}

const PROGRAM: &str = "llmopt-trainer";
/// The trainer's exit code for a run that was stopped.
const INTERRUPTED: i32 = 3;

impl Trainer {
    /// Finds the trainer: where it was configured to be, else beside this program.
    pub(crate) fn find(configured: Option<&Path>) -> Result<Self, Failure> {
        let program = match configured {
            Some(path) => path.to_owned(),
            None => beside_this_program()?,
        };
        if program.is_file() {
            return Ok(Self { program });
        }
        let message = format!("there is no trainer at `{}`", program.display());
        let next = "build it with `cargo build --release -p llmopt-trainer`, or set `LLMOPT_TRAINER` to its path";
        Err(Failure::input(message).next(next))
    }

    /// Returns the program's path.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs the trainer to its end and passes on what it says.
    ///
    /// A Ctrl-C or SIGTERM that reaches this process is sent on, once each time, and the trainer is
    /// waited for: it saves a checkpoint first.
    pub(crate) async fn run(
        &self,
        arguments: &[&str],
        spec: &Path,
        listener: &mut dyn Listener,
    ) -> Result<Ended, Failure> {
        // Before the trainer exists: a signal in between would leave it behind.
        let mut signals = Signals::listen().map_err(broken)?;
        let mut child = self.spawn(arguments, spec)?;
        let status = converse(&mut child, &mut signals, listener).await?;
        outcome(status)
    }

    fn spawn(&self, arguments: &[&str], spec: &Path) -> Result<Child, Failure> {
        Command::new(&self.program)
            .args(arguments)
            .arg("--spec")
            .arg(spec)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // In a group of its own it gets a Ctrl-C from us only: a second one would end it unsaved.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                Failure::failed(format!(
                    "failed to start `{}`: {error}",
                    self.program.display()
                ))
            })
    }
}

fn beside_this_program() -> Result<PathBuf, Failure> {
    let here = std::env::current_exe().map_err(|error| {
        Failure::failed(format!("failed to find this program's own path: {error}"))
    })?;
    Ok(here.with_file_name(format!("{PROGRAM}{EXE_SUFFIX}")))
}

/// The signals that ask this process to stop.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}

fn broken(error: std::io::Error) -> Failure {
    Failure::failed(format!("failed to hear from the trainer: {error}"))
}

/// Reads both streams to their ends, passes signals on, and waits for the end.
async fn converse(
    child: &mut Child,
    signals: &mut Signals,
    listener: &mut dyn Listener,
) -> Result<ExitStatus, Failure> {
    let mut events: Option<Lines<BufReader<ChildStdout>>> = child
        .stdout
        .take()
        .map(|stream| BufReader::new(stream).lines());
    let mut logs: Option<Lines<BufReader<ChildStderr>>> = child
        .stderr
        .take()
        .map(|stream| BufReader::new(stream).lines());
    while events.is_some() || logs.is_some() {
        tokio::select! {
            line = next(&mut events) => match line.map_err(broken)? {
                Some(line) => hear(&line, listener)?,
                None => events = None,
            },
            line = next(&mut logs) => match line.map_err(broken)? {
                Some(line) => listener.log(&line),
                None => logs = None,
            },
            Some(()) = signals.interrupt.recv() => send(child, Signal::INT),
            Some(()) = signals.terminate.recv() => send(child, Signal::TERM),
        }
    }
    child.wait().await.map_err(broken)
}

/// Returns the next line of a stream, or waits for ever where it has ended.
async fn next<R>(lines: &mut Option<Lines<BufReader<R>>>) -> std::io::Result<Option<String>>
where
    R: tokio::io::AsyncRead + Unpin,
{
    match lines {
        Some(lines) => lines.next_line().await,
        None => std::future::pending().await,
    }
}

fn hear(line: &str, listener: &mut dyn Listener) -> Result<(), Failure> {
    match serde_json::from_str(line) {
        Ok(event) => listener.event(event, line),
        Err(error) => Err(Failure::failed(format!(
            "the trainer said `{line}`, which is no event: {error}"
        ))
        .next("use the `llmopt-trainer` that was built with this `llmopt`")),
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!(%error, "the trainer could not be told to stop");
    }
}

fn outcome(status: ExitStatus) -> Result<Ended, Failure> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(Ended::Done),
        (Some(INTERRUPTED), _) => Ok(Ended::Interrupted),
        // 130 is a second Ctrl-C, and a signal one that came before the trainer could save anything.
        (Some(130), _) | (None, Some(2 | 15)) => Err(Failure::interrupted(
            "the trainer was stopped before it could save a checkpoint",
        )),
        (Some(code), _) => Err(Failure::Reported(u8::try_from(code).unwrap_or(1))),
        (None, signal) => {
            let signal = signal.map_or_else(
                || "a signal".to_owned(),
                |signal| format!("signal {signal}"),
            );
            let failure = Failure::failed(format!("the trainer was ended by {signal}"));
            Err(failure.next("signal 9 often means too little memory: lower `--micro-batch-size`, then add `--resume`"))
        }
    }
}
