use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use llmopt_service::{Dispatch, Dispatcher, ServiceError, WorkerEnd};
use rustix::process::{Pid, Signal, kill_process, setpriority_process};
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::Platform;
use crate::context::Context;

/// How often it is looked for a job where none waits.
const POLL: Duration = Duration::from_millis(200);
/// How long to leave a store alone that did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a trainer may take to save a checkpoint.
const GRACE: Duration = Duration::from_secs(60);
/// The trainer's priority: 0 is that of every other process, 19 the least.
const NICENESS: i32 = 10;
/// Looks, a third of a lease apart, that find a trainer silent before it is ended: where the whole
/// machine was asleep, the first comes before the trainer can say anything.
const PATIENCE: u32 = 3;
/// The trainer's exit code for a job that it gave back.
const LEFT: i32 = 3;

/// Starts a trainer for each job that waits, one after the other.
pub(crate) struct Supervisor {
    dispatcher: Dispatcher,
    program: PathBuf,
    data_dir: PathBuf,
    lease: Duration,
    started: u64,
}

impl Supervisor {
    pub(crate) fn new(platform: &Platform, program: &Path, context: &Context) -> Self {
        let lease = context.settings.job_lease;
        Self {
            dispatcher: Dispatcher::new(platform.stores.clone(), lease),
            program: program.to_owned(),
            data_dir: context.data_dir.clone(),
            lease,
            started: 0,
        }
    }

    /// Works until it is asked to stop; a trainer at work is then told to save what it has.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut swept: Option<Instant> = None;
        while !*stop.borrow() {
            let worked = match self.dispatcher.next().await {
                Ok(Some(dispatch)) => self.work(&dispatch, &mut stop).await,
                Ok(None) => {
                    if swept.is_none_or(|at| at.elapsed() >= self.lease) {
                        swept = Some(Instant::now());
                        self.dispatcher.sweep().await
                    } else {
                        pause(POLL, &mut stop).await;
                        Ok(())
                    }
                }
                Err(error) => Err(error),
            };
            if let Err(error) = worked {
                tracing::warn!(%error, "the jobs cannot be looked after now");
                pause(PAUSE, &mut stop).await;
            }
        }
    }

    async fn work(
        &mut self,
        dispatch: &Dispatch,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), ServiceError> {
        let worker = self.next_worker();
        let end = match self.start(&dispatch.job, &worker) {
            Ok(child) => {
                yield_to_answers(&child);
                self.attend(dispatch, &worker, child, stop).await
            }
            Err(error) => WorkerEnd::Crashed(format!(
                "failed to start `{}`: {error}",
                self.program.display()
            )),
        };
        if let WorkerEnd::Crashed(reason) = &end {
            tracing::warn!(job = dispatch.job, reason, "a trainer died");
        }
        self.dispatcher.ended(dispatch, &worker, &end).await
    }

    fn start(&self, job: &str, worker: &str) -> std::io::Result<Child> {
        tracing::info!(job, worker, "starting a trainer");
        Command::new(&self.program)
            .args(["run", "--job", job, "--worker", worker])
            .env(llmopt_config::variables::DATA_DIR.name, &self.data_dir)
            .env(
                llmopt_config::variables::JOB_LEASE_SECONDS.name,
                self.lease.as_secs().max(1).to_string(),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // In a group of its own it hears of a Ctrl-C from us only. It outlives us where we die: the
            // job is then at its end, or its claim expires.
            .process_group(0)
            .spawn()
    }

    /// Keeps the job for the trainer until it ends.
    async fn attend(
        &self,
        dispatch: &Dispatch,
        worker: &str,
        mut child: Child,
        stop: &mut watch::Receiver<bool>,
    ) -> WorkerEnd {
        let mut silent = 0;
        loop {
            tokio::select! {
                status = child.wait() => return end(status),
                () = sleep(self.lease / 3) => {
                    if let Err(error) = self.dispatcher.keep(dispatch).await {
                        tracing::warn!(%error, "a job's message cannot be kept");
                    }
                    silent = if self.is_silent(dispatch, worker).await { silent + 1 } else { 0 };
                    if silent == PATIENCE {
                        let _ = child.kill().await;
                        return WorkerEnd::Crashed("the trainer gave no sign of life".to_owned());
                    }
                }
                () = stopped(stop) => {
                    terminate(&child);
                    return match timeout(GRACE, child.wait()).await {
                        Ok(status) => end(status),
                        Err(_) => {
                            let _ = child.kill().await;
                            WorkerEnd::Crashed("the trainer did not end in time".to_owned())
                        }
                    };
                }
            }
        }
    }

    async fn is_silent(&self, dispatch: &Dispatch, worker: &str) -> bool {
        let silent = self.dispatcher.is_silent(dispatch, worker).await;
        // Where the record cannot be read, the trainer cannot write it either.
        silent.unwrap_or(false)
    }

    fn next_worker(&mut self) -> String {
        self.started += 1;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        // Another process may have had our number before.
        format!(
            "{}-{}-{}",
            std::process::id(),
            since.as_millis(),
            self.started
        )
    }
}

/// Waits until a stop is asked for.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Where nobody is left to ask for it, it has come.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn pause(time: Duration, stop: &mut watch::Receiver<bool>) {
    let _ = timeout(time, stopped(stop)).await;
}

/// Has the trainer take the processors that answers leave: those wait for a token at a time, and
/// training for hours.
fn yield_to_answers(child: &Child) {
    if let Some(pid) = pid(child)
        && let Err(error) = setpriority_process(Some(pid), NICENESS)
    {
        tracing::debug!(%error, "the trainer runs as important as answers");
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| Pid::from_raw(id.cast_signed()))
}

fn terminate(child: &Child) {
    if let Some(pid) = pid(child)
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        tracing::warn!(%error, "the trainer could not be told to stop");
    }
}

fn end(status: std::io::Result<ExitStatus>) -> WorkerEnd {
    match status {
        Err(error) => WorkerEnd::Crashed(format!("the trainer cannot be waited for: {error}")),
        Ok(status) => match (status.code(), status.signal()) {
            (Some(0 | LEFT), _) => WorkerEnd::Orderly,
            (Some(code), _) => WorkerEnd::Crashed(format!("the trainer ended with code {code}")),
            (None, signal) => {
                let signal = signal.map_or_else(String::new, |signal| format!(" {signal}"));
                WorkerEnd::Crashed(format!("the trainer was ended by signal{signal}"))
            }
        },
    }
}
