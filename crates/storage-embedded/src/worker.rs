//! The thread that has a database's connection when it is asked for more than moments, or by several at once.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Transaction;
use tokio::sync::oneshot;

use crate::{
    database::SqlFailure,
    desk::{Desk, Done, Job, Kind, Length, Shared},
};

/// Jobs that are done in one transaction at most: others that share the file wait for its end.
const MOST: usize = 128;

/// How long nobody asks for anything before the database is tidied up.
const IDLE: Duration = Duration::from_secs(1);

/// Asks for what is to be done. The thread ends with this, when it has done what was asked.
pub(crate) struct Worker {
    desk: Arc<Desk>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has none.
    pub(crate) fn start(desk: Desk) -> std::io::Result<Self> {
        let (jobs, asked) = channel();
        let desk = Arc::new(desk);
        let shared = Arc::clone(&desk);
        let thread = std::thread::Builder::new().name("sqlite".to_owned());
        Ok(Self {
            thread: Some(thread.spawn(move || serve(&shared, &asked))?),
            jobs: Some(jobs),
            desk,
        })
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
        if let Some(thread) = self.thread.take() {
            // Whatever it panicked with was in none of the jobs, which are told.
            let _ = thread.join();
        }
    }
}

fn serve(desk: &Desk, asked: &Receiver<Job>) {
    let (mut is_tidy, mut look) = (true, Instant::now());
    loop {
        let next = match is_tidy {
            true => asked.recv().map_err(RecvTimeoutError::from),
            false => asked.recv_timeout(look.saturating_duration_since(Instant::now())),
        };
        is_tidy = match next {
            Ok(first) => {
                if is_tidy {
                    look = Instant::now() + IDLE;
                }
                desk.do_together(first, asked.try_iter().take(MOST - 1))
            }
            Err(RecvTimeoutError::Timeout) => is_tidy,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // Whatever is asked meanwhile: reads do not put it off.
        if !is_tidy && look <= Instant::now() {
            look = Instant::now() + IDLE;
            is_tidy = desk.tidy_if_idle();
        }
    }
}
