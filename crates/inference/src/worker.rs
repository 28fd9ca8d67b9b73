use std::{
    io,
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
};

use crate::answer::{Answerer, Job};

/// A thread that answers the requests for one model in the order in which they come.
pub(crate) struct Worker {
    queue: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the operating system gives none.
    pub(crate) fn start(mut answerer: Answerer) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel();
        let work = move || jobs.into_iter().for_each(|job| answerer.answer(job));
        let thread = thread::Builder::new()
            .name("generate".to_owned())
            .spawn(work)?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Puts a job at the end of the queue; returns whether there is somebody to do it.
    pub(crate) fn submit(&self, job: Job) -> bool {
        self.queue
            .as_ref()
            .is_some_and(|queue| queue.send(job).is_ok())
    }
}

impl Drop for Worker {
    /// Waits until the model is out of memory.
    fn drop(&mut self) {
        self.queue = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        // The last job may be what kept the engine alive; its thread cannot wait for itself.
        if thread.thread().id() != thread::current().id() {
            // A panic was its own report, and the model is gone either way.
            let _ = thread.join();
        }
    }
}
