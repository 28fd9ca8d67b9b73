use std::{io, sync::Arc};

use axum::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{
    FunctionSpec, HarnessError,
    invocation::{self, Answer, Caller},
    logs::Logs,
    process::Process,
};

/// What an event may have whose answer is waited for.
pub(crate) const EVENT_LIMIT: usize = 6 * 1024 * 1024;
/// What an event may have that nobody waits for.
pub(crate) const ASYNCHRONOUS_EVENT_LIMIT: usize = 1024 * 1024;

/// A function and its processes.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) spec: FunctionSpec,
    pub(crate) logs: Arc<Logs>,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Process>>,
    alive: Mutex<Vec<u32>>,
}

impl Function {
    pub(crate) fn new(spec: FunctionSpec) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(spec.concurrency)),
            spec,
            logs: Arc::default(),
            idle: Mutex::default(),
            alive: Mutex::default(),
        }
    }

    /// Invokes it, and returns when its answer is there or begins. It goes on if nobody waits.
    pub(crate) async fn invoke(self: &Arc<Self>, payload: Bytes) -> Result<Answer, HarnessError> {
        check_size(&payload, EVENT_LIMIT)?;
        let slot = Arc::clone(&self.slots)
            .try_acquire_owned()
            .map_err(|_| HarnessError::Throttled(self.spec.name.clone()))?;
        let (caller, answer) = Caller::new();
        let function = Arc::clone(self);
        tokio::spawn(async move { invocation::run(&function, slot, payload, caller).await });
        answer.await.map_err(|_| HarnessError::Stopped)
    }

    /// Invokes it for an event that nobody waits for, as soon as it has a process to spare.
    pub(crate) fn invoke_later(self: &Arc<Self>, payload: Bytes) -> Result<(), HarnessError> {
        check_size(&payload, ASYNCHRONOUS_EVENT_LIMIT)?;
        let function = Arc::clone(self);
        tokio::spawn(async move {
            if let Ok(slot) = Arc::clone(&function.slots).acquire_owned().await {
                invocation::run(&function, slot, payload, Caller::nobody()).await;
            }
        });
        Ok(())
    }

    pub(crate) async fn start(&self) -> io::Result<Process> {
        let process = Process::start(&self.spec, &self.logs).await?;
        self.alive.lock().push(process.id);
        Ok(process)
    }

    /// Returns the process that was used last, of those that wait.
    pub(crate) fn take_idle(&self) -> Option<Process> {
        self.idle.lock().pop()
    }

    pub(crate) fn keep(&self, process: Process) {
        self.idle.lock().push(process);
    }

    pub(crate) async fn end(&self, process: Process) {
        let id = process.id;
        process.end().await;
        self.alive.lock().retain(|alive| *alive != id);
    }

    pub(crate) async fn end_idle(&self) {
        while let Some(process) = self.take_idle() {
            self.end(process).await;
        }
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        self.alive.lock().clone()
    }
}

fn check_size(payload: &Bytes, limit_bytes: usize) -> Result<(), HarnessError> {
    let size_bytes = payload.len();
    if size_bytes > limit_bytes {
        return Err(HarnessError::EventTooLarge {
            size_bytes,
            limit_bytes,
        });
    }
    Ok(())
}
