//! The thread that has a database's connection: what is asked at the same time is done in one transaction, so that
//! the disk is waited for once.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, Transaction, TransactionBehavior, ffi};
use tokio::sync::oneshot;

use crate::database::{SqlFailure, Synchronous};

/// Jobs that are done in one transaction at most: others that share the file wait for its end.
const MOST: usize = 128;

/// How long nobody asks for anything before the database is tidied up.
const IDLE: Duration = Duration::from_secs(1);

/// What a job does to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It reads.
    Read,
    /// It writes.
    Write(Synchronous),
}

/// Asks the thread. It ends with this, when it has done what was asked.
pub(crate) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Shared = Arc<rusqlite::Error>;
/// Begins with the transaction, or why there is none.
type Run = Box<dyn FnOnce(Result<&Transaction<'_>, Shared>) -> Done + Send>;

struct Job {
    kind: Kind,
    run: Run,
}

/// A job that was run, before its transaction is committed.
struct Done {
    /// Whether what it did is to be kept.
    is_kept: bool,
    /// Tells whoever waits what became of it, once it is known what became of the transaction.
    tell: Box<dyn FnOnce(Result<(), Shared>) + Send>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has none.
    pub(crate) fn start(connection: Connection) -> std::io::Result<Self> {
        let (jobs, asked) = channel();
        let thread = std::thread::Builder::new().name("sqlite".to_owned());
        Ok(Self {
            thread: Some(thread.spawn(move || serve(connection, &asked))?),
            jobs: Some(jobs),
        })
    }

    /// Has `work` done: entirely, or not at all where it fails. `None` where it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        kind: Kind,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, SqlFailure> + Send + 'static,
    ) -> Option<Result<T, SqlFailure>> {
        let (sender, receiver) = oneshot::channel();
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
        self.jobs.as_ref()?.send(Job { kind, run }).ok()?;
        receiver.await.ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // Whatever it panicked with was in none of the jobs, which are told.
            let _ = thread.join();
        }
    }
}

fn serve(mut connection: Connection, asked: &Receiver<Job>) {
    let mut is_tidy = true;
    loop {
        let next = match is_tidy {
            true => asked.recv().map_err(RecvTimeoutError::from),
            false => asked.recv_timeout(IDLE),
        };
        let first = match next {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) => {
                tidy(&connection);
                is_tidy = true;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let jobs = iter::once(first).chain(asked.try_iter());
        let jobs: Vec<Job> = jobs.take(MOST).collect();
        is_tidy &= jobs.iter().all(|job| job.kind == Kind::Read);
        do_together(&mut connection, jobs);
    }
}

/// Puts what was written ahead in its place, for which somebody would have to wait otherwise. Where that cannot be now,
/// SQLite does it by itself once there is too much.
fn tidy(connection: &Connection) {
    let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
    if let Err(error) = connection.query_row(checkpoint, [], |_| Ok(())) {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(error, "what was written ahead stays there for now");
    }
}

fn do_together(connection: &mut Connection, jobs: Vec<Job>) {
    match begin(connection, &jobs) {
        Ok(transaction) => {
            let done: Vec<Done> = jobs
                .into_iter()
                .filter_map(|job| run(&transaction, job))
                .collect();
            let committed = transaction.commit().map_err(Arc::new);
            for job in done {
                (job.tell)(committed.clone());
            }
        }
        Err(error) => {
            for job in jobs {
                ((job.run)(Err(Arc::clone(&error))).tell)(Ok(()));
            }
        }
    }
}

fn begin<'c>(connection: &'c mut Connection, jobs: &[Job]) -> Result<Transaction<'c>, Shared> {
    let kinds = jobs.iter().map(|job| job.kind);
    let written = kinds.filter_map(|kind| match kind {
        Kind::Read => None,
        Kind::Write(synchronous) => Some(synchronous),
    });
    let behavior = match written.max() {
        Some(synchronous) => {
            synchronous.set(connection).map_err(Arc::new)?;
            TransactionBehavior::Immediate
        }
        None => TransactionBehavior::Deferred,
    };
    let transaction = connection.transaction_with_behavior(behavior);
    transaction.map_err(Arc::new)
}

/// Runs one job of a transaction, and takes back what it did where it fails. `None` where it panicked.
fn run(transaction: &Transaction<'_>, job: Job) -> Option<Done> {
    // A full disk, for one, ends the transaction with all that was in it.
    if transaction.is_autocommit() {
        let ended = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ABORT), None);
        return Some((job.run)(Err(Arc::new(ended))));
    }
    if let Err(error) = transaction.execute_batch("SAVEPOINT job") {
        return Some((job.run)(Err(Arc::new(error))));
    }
    let done = catch_unwind(AssertUnwindSafe(|| (job.run)(Ok(transaction)))).ok();
    let is_kept = done.as_ref().is_some_and(|done| done.is_kept);
    let end = match is_kept {
        true => "RELEASE job",
        false => "ROLLBACK TO job; RELEASE job",
    };
    if !transaction.is_autocommit()
        && let Err(error) = transaction.execute_batch(end)
    {
        let tell = done?.tell;
        let error = Arc::new(error);
        return Some(Done {
            is_kept: false,
            tell: Box::new(move |committed| tell(committed.and(Err(error)))),
        });
    }
    done
}
