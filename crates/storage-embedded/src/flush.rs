//! The thread that waits for the disk, while whoever wrote goes on and others write.

use std::{
    fs::OpenOptions,
    io, iter,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use llmopt_storage::StorageError;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::error::{Trouble, io_error};

type Told = oneshot::Sender<Result<(), Arc<io::Error>>>;

/// What the thread and those who ask it know of each other.
struct State {
    /// What is to be kept, for errors.
    subject: String,
    /// Those who are not told yet.
    waiting: AtomicUsize,
    /// How the disk failed, if it did.
    failed: OnceLock<Arc<io::Error>>,
}

/// Has a file's content reach the disk. The thread ends with this, when it has done what was asked.
pub(crate) struct Flusher {
    asked: Option<Sender<Told>>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// The disk did not keep what it was given. What it lost of that nobody knows, and it may well say next time that all is
/// there: nothing is taken to be kept any more.
#[derive(Debug, Error)]
#[error("the disk failed to keep what was written: see to the disk, and start llmopt again")]
struct NotKept(#[source] Arc<io::Error>);

impl Flusher {
    /// Starts the thread for the file `path`, which is there.
    ///
    /// # Errors
    /// If it cannot be opened, or the system has no threads.
    pub(crate) fn start(path: &Path) -> Result<Self, StorageError> {
        let subject = path.display().to_string();
        let file = OpenOptions::new().write(true).open(path);
        let file = file.map_err(io_error("open", &subject))?;
        Self::start_with(subject, move || file.sync_data())
    }

    pub(crate) fn start_with(
        subject: String,
        sync: impl FnMut() -> io::Result<()> + Send + 'static,
    ) -> Result<Self, StorageError> {
        let (sender, asked) = channel();
        let state = Arc::new(State {
            subject,
            waiting: AtomicUsize::new(0),
            failed: OnceLock::new(),
        });
        let shared = Arc::clone(&state);
        let thread = thread::Builder::new().name("flush".to_owned());
        let thread = thread.spawn(move || serve(sync, &asked, &shared));
        let thread = thread.map_err(io_error("open", &state.subject))?;
        Ok(Self {
            asked: Some(sender),
            state,
            thread: Some(thread),
        })
    }

    /// Whether the disk is waited for by nobody: who asks is the first.
    pub(crate) fn is_idle(&self) -> bool {
        self.state.waiting.load(Ordering::Relaxed) == 0
    }

    /// Whether what is written can be taken to be kept.
    ///
    /// # Errors
    /// If the disk has ever failed to.
    pub(crate) fn trust(&self) -> Result<(), StorageError> {
        let failed = self.state.failed.get();
        failed.map_or(Ok(()), |error| Err(self.state.not_kept(error.clone())))
    }

    /// Has what was written until now reach the disk, and returns what ends when it is there. It is done whether anybody
    /// waits for that or not.
    pub(crate) fn flush(
        &self,
    ) -> impl Future<Output = Result<(), StorageError>> + Send + Sync + use<> + 'static {
        let (told, kept) = oneshot::channel();
        if let Some(asked) = &self.asked {
            self.state.waiting.fetch_add(1, Ordering::Relaxed);
            // Where the thread is gone, nobody is told.
            let _ = asked.send(told);
            // Where it is to run on this processor, the disk begins now, and not after all that is done here meanwhile.
            thread::yield_now();
        }
        let state = Arc::clone(&self.state);
        async move {
            let gone = || Err(Arc::new(io::Error::other("its thread is gone")));
            let kept = kept.await.unwrap_or_else(|_| gone());
            kept.map_err(|error| state.not_kept(error))
        }
    }
}

impl State {
    fn not_kept(&self, error: Arc<io::Error>) -> StorageError {
        Trouble::of(error.kind()).during("keep", &self.subject, NotKept(error))
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        drop(self.asked.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing that could panic.
            let _ = thread.join();
        }
    }
}

fn serve(mut sync: impl FnMut() -> io::Result<()>, asked: &Receiver<Told>, state: &State) {
    while let Ok(first) = asked.recv() {
        // Whoever comes later may have written later.
        let all: Vec<Told> = iter::once(first).chain(asked.try_iter()).collect();
        if state.failed.get().is_none()
            && let Err(error) = sync()
        {
            // Nobody else sets it.
            let _ = state.failed.set(Arc::new(error));
        }
        state.waiting.fetch_sub(all.len(), Ordering::Relaxed);
        for told in all {
            // Nobody may wait for it any more.
            let _ = told.send(state.failed.get().cloned().map_or(Ok(()), Err));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::sync_channel, time::Duration};

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn what_is_asked_while_the_disk_works_waits_for_its_next_turn() {
        let (begun, begins) = sync_channel(0);
        let (end, ends) = sync_channel(0);
        let sync = move || {
            begun.send(()).unwrap();
            ends.recv().unwrap();
            Ok(())
        };
        let flusher = Flusher::start_with("a".to_owned(), sync).unwrap();
        let first = flusher.flush();
        begins.recv().unwrap();
        assert!(!flusher.is_idle());
        let later = [(); 9].map(|()| tokio::spawn(flusher.flush()));
        end.send(()).unwrap();
        first.await.unwrap();
        begins.recv().unwrap();
        tokio::task::yield_now().await;
        assert!(later.iter().all(|it| !it.is_finished()));
        // One turn is enough for all of them: there is none to end but this.
        end.send(()).unwrap();
        for kept in join_all(later).await {
            kept.unwrap().unwrap();
        }
        assert!(flusher.is_idle());
    }

    #[tokio::test]
    async fn after_a_failure_nothing_is_taken_to_be_kept() {
        let mut results = [Ok(()), Err(io::Error::other("EIO")), Ok(())].into_iter();
        let sync = move || results.next().unwrap_or(Ok(()));
        let flusher = Flusher::start_with("spending.db-wal".to_owned(), sync).unwrap();
        flusher.flush().await.unwrap();
        flusher.trust().unwrap();
        for _ in 0..2 {
            let error = flusher.flush().await.unwrap_err();
            assert!(matches!(error, StorageError::Internal { .. }), "{error:?}");
            let said = llmopt_domain::error_chain(&error);
            for part in ["spending.db-wal", "start llmopt again", "EIO"] {
                assert!(said.contains(part), "{said}");
            }
        }
        assert!(flusher.trust().is_err());
    }

    #[tokio::test]
    async fn what_was_asked_is_done_before_the_thread_ends() {
        let (done, count) = sync_channel(9);
        let sync = move || {
            std::thread::sleep(Duration::from_millis(5));
            done.send(()).unwrap();
            Ok(())
        };
        let flusher = Flusher::start_with("a".to_owned(), sync).unwrap();
        let kept = flusher.flush();
        drop(flusher);
        assert_eq!(count.try_iter().count(), 1);
        kept.await.unwrap();
    }
}
