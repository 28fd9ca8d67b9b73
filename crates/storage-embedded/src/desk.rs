//! The connection of a database, and who uses it: what is asked at the same time is done in one transaction, so that
//! the disk is waited for once.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
        mpsc::SyncSender,
    },
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, ffi, hooks::Wal};

use crate::database::Synchronous;

/// The pages that are written ahead, of 4 KiB, before they are put in their place; that is done too when nothing was asked
/// for a while.
const WRITTEN_AHEAD: u32 = 8_000;

/// What a job does to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It reads.
    Read,
    /// It writes.
    Write(Synchronous),
}

/// How long a job may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// It looks at a few rows: it is done by whoever asks for it, where nobody else is at the database.
    Short,
    /// Nobody knows.
    Any,
}

pub(crate) type Shared = Arc<rusqlite::Error>;
/// Begins with the transaction, or why there is none.
type Run = Box<dyn FnOnce(Result<&Transaction<'_>, Shared>) -> Done + Send>;

/// Something to be done.
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) run: Run,
}

/// A job that was run, before its transaction is committed.
pub(crate) struct Done {
    /// Whether what it did is to be kept.
    pub(crate) is_kept: bool,
    /// Tells whoever waits what became of it, once it is known what became of the transaction.
    pub(crate) tell: Box<dyn FnOnce(Result<(), Shared>) + Send>,
}

/// Jobs whose transaction has ended.
struct Ended {
    done: Vec<Done>,
    committed: Result<(), Shared>,
}

/// What is said to whoever puts in its place what was written ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// It may be time for that.
    Look,
    /// Nothing more is written.
    End,
}

/// Where the connection is.
pub(crate) struct Desk {
    seat: Mutex<Seat>,
    /// Jobs that wait for the thread: nobody comes before them.
    waiting: AtomicUsize,
    /// The pages that are written ahead.
    ahead: Arc<AtomicU32>,
    /// Whether something was written since that was looked at last.
    is_busy: Arc<AtomicBool>,
    /// How long to wait for other processes.
    patience: Duration,
}

/// The connection, with what is known of it.
struct Seat {
    connection: Connection,
    /// As it is set now.
    synchronous: Option<Synchronous>,
    /// Whether nothing is written ahead: whoever writes next begins the log anew, and waits for the disk to do that.
    is_tidy: bool,
    /// Wakes who is to look whether it is.
    tidier: SyncSender<Call>,
}

impl Desk {
    /// Puts the connection where it is asked for. Waits for other processes as long as `patience`, and wakes `tidier` when
    /// it begins to write ahead and when it has got far.
    ///
    /// # Errors
    /// If it cannot tell what it writes.
    pub(crate) fn new(
        mut connection: Connection,
        patience: Duration,
        tidier: SyncSender<Call>,
    ) -> rusqlite::Result<Self> {
        let (ahead, is_busy) = (
            Arc::new(AtomicU32::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (noted, written) = (Arc::clone(&ahead), Arc::clone(&is_busy));
        let woken = tidier.clone();
        // In the place of SQLite's own, which has whoever writes put everything in its place at some time.
        connection.wal_hook(Some(move |_: &mut Wal, pages| {
            let pages = u32::try_from(pages).unwrap_or_default();
            noted.store(pages, Ordering::Relaxed);
            written.store(true, Ordering::Relaxed);
            if pages >= WRITTEN_AHEAD {
                // Whoever is awake already looks again.
                let _ = woken.try_send(Call::Look);
            }
            Ok(())
        }))?;
        Ok(Self {
            seat: Mutex::new(Seat {
                connection,
                synchronous: None,
                is_tidy: true,
                tidier,
            }),
            waiting: AtomicUsize::new(0),
            ahead,
            is_busy,
            patience,
        })
    }

    /// Notes that a job is about to be given to the thread.
    pub(crate) fn announce(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Does a short job here and now. Returns it where that cannot be, because it would hold up other tasks: others are at
    /// the database, here or in another process, or the disk is to be waited for.
    pub(crate) fn do_here(&self, job: Job) -> Option<Job> {
        let waits_for_disk = job.kind == Kind::Write(Synchronous::Full);
        if waits_for_disk || self.waiting.load(Ordering::Relaxed) > 0 {
            return Some(job);
        }
        let Some(mut seat) = self.seat.try_lock() else {
            return Some(job);
        };
        if job.kind != Kind::Read && seat.is_tidy {
            return Some(job);
        }
        let ended = match seat.begin_now(job.kind) {
            Ok(transaction) => Ended::of_one(transaction, job),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                return Some(job);
            }
            Err(error) => Ended::refused(vec![job], error),
        };
        drop(seat);
        ended.tell();
        None
    }

    /// Does jobs that were announced: `first`, and `more` that have come until it is their turn.
    pub(crate) fn do_together(&self, first: Job, more: impl Iterator<Item = Job>) {
        self.end_together(first, more).tell();
    }

    fn end_together(&self, first: Job, more: impl Iterator<Item = Job>) -> Ended {
        let mut seat = self.seat.lock();
        let jobs: Vec<Job> = iter::once(first).chain(more).collect();
        self.waiting.fetch_sub(jobs.len(), Ordering::Relaxed);
        let kind = jobs.iter().map(|job| job.kind).max().unwrap_or(Kind::Read);
        if kind != Kind::Read && seat.is_tidy {
            seat.is_tidy = false;
            let _ = seat.tidier.try_send(Call::Look);
        }
        match seat.begin(kind, self.patience) {
            Ok(transaction) => Ended::of_all(transaction, jobs),
            Err(error) => Ended::refused(jobs, error),
        }
    }

    /// Whether so much is written ahead that it is to be put in its place now.
    pub(crate) fn is_far_ahead(&self) -> bool {
        self.ahead.load(Ordering::Relaxed) >= WRITTEN_AHEAD
    }

    /// Whether nothing was written since this was asked last.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_busy.swap(false, Ordering::Relaxed)
    }

    /// Puts what was written ahead in its place: after `beside` has done so by another connection, while jobs go on, only
    /// what has come meanwhile, for which others wait.
    pub(crate) fn tidy(&self, beside: impl FnOnce()) {
        beside();
        let mut seat = self.seat.lock();
        put_in_place(&seat.connection);
        self.ahead.store(0, Ordering::Relaxed);
        seat.is_tidy = true;
    }
}

/// Puts what was written ahead in its place, which waits for the disk. Where that cannot be now, it is for later.
pub(crate) fn put_in_place(connection: &Connection) {
    let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
    if let Err(error) = connection.query_row(checkpoint, [], |_| Ok(())) {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(error, "what was written ahead stays there for now");
    }
}

impl Seat {
    fn begin(&mut self, kind: Kind, patience: Duration) -> rusqlite::Result<Transaction<'_>> {
        self.connection.busy_timeout(patience)?;
        let behavior = match kind {
            Kind::Read => TransactionBehavior::Deferred,
            Kind::Write(synchronous) => {
                if self.synchronous != Some(synchronous) {
                    synchronous.set(&self.connection)?;
                    self.synchronous = Some(synchronous);
                }
                TransactionBehavior::Immediate
            }
        };
        self.connection.transaction_with_behavior(behavior)
    }

    /// As [`begin`](Self::begin), where it fails at once if another process has the database.
    fn begin_now(&mut self, kind: Kind) -> rusqlite::Result<Transaction<'_>> {
        let transaction = self.begin(kind, Duration::ZERO)?;
        if kind == Kind::Read {
            // It begins with what it reads first, and what has begun is not busy later.
            let mut version = transaction.prepare_cached("PRAGMA schema_version")?;
            version.query_row([], |_| Ok(()))?;
        }
        Ok(transaction)
    }
}

impl Ended {
    /// Does a job that has the transaction to itself: no copy is made of what it changes.
    fn of_one(transaction: Transaction<'_>, job: Job) -> Self {
        let done = catch_unwind(AssertUnwindSafe(|| (job.run)(Ok(&transaction)))).ok();
        let committed = match done.as_ref().is_some_and(|done| done.is_kept) {
            true => transaction.commit().map_err(Arc::new),
            false => {
                // Which undoes it.
                drop(transaction);
                Ok(())
            }
        };
        Self {
            done: done.into_iter().collect(),
            committed,
        }
    }

    fn of_all(transaction: Transaction<'_>, mut jobs: Vec<Job>) -> Self {
        if jobs.len() == 1
            && let Some(job) = jobs.pop()
        {
            return Self::of_one(transaction, job);
        }
        let done = jobs.into_iter().filter_map(|job| run(&transaction, job));
        let done = done.collect();
        let committed = transaction.commit().map_err(Arc::new);
        Self { done, committed }
    }

    fn refused(jobs: Vec<Job>, error: rusqlite::Error) -> Self {
        let error = Arc::new(error);
        let done = jobs
            .into_iter()
            .map(|job| (job.run)(Err(Arc::clone(&error))));
        Self {
            done: done.collect(),
            committed: Ok(()),
        }
    }

    /// Tells all who wait, who may come back at once.
    fn tell(self) {
        for job in self.done {
            (job.tell)(self.committed.clone());
        }
    }
}

/// Runs one job of a transaction, and takes back what it did where it fails. `None` where it panicked.
fn run(transaction: &Transaction<'_>, job: Job) -> Option<Done> {
    // A full disk, for one, ends the transaction with all that was in it.
    if transaction.is_autocommit() {
        let ended = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ABORT), None);
        return Some((job.run)(Err(Arc::new(ended))));
    }
    if let Err(error) = execute(transaction, "SAVEPOINT job") {
        return Some((job.run)(Err(Arc::new(error))));
    }
    let done = catch_unwind(AssertUnwindSafe(|| (job.run)(Ok(transaction)))).ok();
    if transaction.is_autocommit() {
        return done;
    }
    let is_kept = done.as_ref().is_some_and(|done| done.is_kept);
    let ended = match is_kept {
        true => Ok(()),
        false => execute(transaction, "ROLLBACK TO job"),
    };
    if let Err(error) = ended.and_then(|()| execute(transaction, "RELEASE job")) {
        let tell = done?.tell;
        let error = Arc::new(error);
        return Some(Done {
            is_kept: false,
            tell: Box::new(move |committed| tell(committed.and(Err(error)))),
        });
    }
    done
}

fn execute(transaction: &Transaction<'_>, statement: &str) -> rusqlite::Result<()> {
    transaction.prepare_cached(statement)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests;
