//! The thread that has a database's connection when it is asked for more than moments, or by several at once, and the
//! one that puts in its place what was written ahead.

use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use llmopt_storage::StorageError;
use rusqlite::{Connection, OpenFlags, Transaction};
use tokio::sync::oneshot;

use crate::{
    database::SqlFailure,
    desk::{Call, Desk, Done, Job, Kind, Length, Shared, put_in_place},
    error::io_error,
};

/// Jobs that are done in one transaction at most: others that share the file wait for its end.
const MOST: usize = 128;

/// How long nobody asks for anything before the database is tidied up.
const IDLE: Duration = Duration::from_secs(1);

/// Asks for what is to be done. The threads end with this, when they have done what was asked.
pub(crate) struct Worker {
    desk: Arc<Desk>,
    jobs: Option<Sender<Job>>,
    tidier: SyncSender<Call>,
    threads: Vec<JoinHandle<()>>,
}

impl Worker {
    /// Starts the threads for the database `path`, to which `connection` is. Waits for other processes as long as
    /// `patience`.
    ///
    /// # Errors
    /// If the connection cannot tell what it writes, or the system has no threads.
    pub(crate) fn start(
        connection: Connection,
        patience: Duration,
        path: &Path,
    ) -> Result<Self, SqlFailure> {
        // One call that waits is as good as many.
        let (tidier, calls) = sync_channel(1);
        let (jobs, asked) = channel();
        let desk = Arc::new(Desk::new(connection, patience, tidier.clone())?);
        let mut worker = Self {
            desk: Arc::clone(&desk),
            jobs: Some(jobs),
            tidier,
            threads: Vec::new(),
        };
        let shared = Arc::clone(&desk);
        worker.spawn("sqlite", path, move || serve(&shared, &asked))?;
        let beside = path.to_owned();
        worker.spawn("sqlite-tidy", path, move || {
            keep_tidy(&desk, &beside, &calls)
        })?;
        Ok(worker)
    }

    fn spawn(
        &mut self,
        name: &str,
        path: &Path,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), StorageError> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        let started = thread.spawn(work);
        let started = started.map_err(io_error("open", &path.display().to_string()))?;
        self.threads.push(started);
        Ok(())
    }

    /// Has `work` done: entirely, or not at all where it fails. `None` where it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        (kind, length): (Kind, Length),
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Option<Result<T, SqlFailure>> {
        let (job, told) = job(kind, work);
        // To hand it over and to be told wakes two threads, which takes longer than a short job.
        let left = match length {
            Length::Short => self.desk.do_here(job),
            Length::Any => Some(job),
        };
        if let Some(job) = left {
            self.desk.announce();
            self.jobs.as_ref()?.send(job).ok()?;
        }
        told.await.ok()
    }
}

/// Makes a job of `work`, and the place where it tells what it came to.
fn job<T: Send + 'static>(
    kind: Kind,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
) -> (Job, oneshot::Receiver<Result<T, SqlFailure>>) {
    let (sender, told) = oneshot::channel();
    let run = Box::new(move |transaction: Result<&Transaction<'_>, Shared>| {
        let result = transaction.map_err(SqlFailure::Shared).and_then(work);
        Done {
            is_kept: result.is_ok(),
            tell: Box::new(move |committed| {
                let committed = committed.map_err(SqlFailure::Shared);
                // Nobody may wait for it any more.
                let _ = sender.send(result.and_then(|value| committed.map(|()| value)));
            }),
        }
    });
    (Job { kind, run }, told)
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // Who has not begun has nothing to end.
        let _ = self.tidier.send(Call::End);
        for thread in self.threads.drain(..) {
            // Whatever it panicked with was in none of the jobs, which are told.
            let _ = thread.join();
        }
    }
}

fn serve(desk: &Desk, asked: &Receiver<Job>) {
    while let Ok(first) = asked.recv() {
        desk.do_together(first, asked.try_iter().take(MOST - 1));
    }
}

/// Puts what was written ahead in its place when it is much, or when nothing was asked for a while.
fn keep_tidy(desk: &Desk, path: &Path, calls: &Receiver<Call>) {
    let mut beside = None;
    while let Ok(Call::Look) = calls.recv() {
        loop {
            let is_time = match calls.recv_timeout(IDLE) {
                Ok(Call::Look) => desk.is_far_ahead(),
                // Reads do not put it off.
                Err(RecvTimeoutError::Timeout) => desk.is_idle(),
                Ok(Call::End) | Err(RecvTimeoutError::Disconnected) => return,
            };
            if is_time {
                break;
            }
        }
        if beside.is_none() {
            beside = open_beside(path);
        }
        desk.tidy(|| {
            if let Some(connection) = &beside {
                put_in_place(connection);
            }
        });
    }
}

/// Opens the database once more; it is not made where it is gone. Without that, all wait for what is put in its place.
fn open_beside(path: &Path) -> Option<Connection> {
    match Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE) {
        Ok(connection) => Some(connection),
        Err(error) => {
            let (path, error) = (path.display(), &error as &dyn std::error::Error);
            tracing::warn!(%path, error, "the database cannot be opened once more: others wait while it is tidied up");
            None
        }
    }
}
