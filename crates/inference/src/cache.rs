use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread,
};

use llmopt_service::CacheStatus;
use parking_lot::Mutex;
use tokio::{sync::oneshot, task};

mod lease;
mod ledger;
mod load;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use lease::Lease;
use lease::Reservation;
pub(crate) use ledger::{Charge, Limits};
use load::LoadTask;
use state::{Entry, State};

use crate::InferenceError;

/// Makes what a cache keeps, in two steps: only the second takes memory that counts.
pub(crate) trait Loader: Send + Sync + 'static {
    /// What a value is made from.
    type Source: Clone + Send + Sync + 'static;
    /// What the first step gives.
    type Prepared: Send + 'static;
    /// What is kept. Its memory is free when it was dropped.
    type Value: Send + Sync + 'static;

    /// Does what can be done before there is room, and tells how much will be needed.
    fn prepare(&self, source: &Self::Source) -> Result<(Self::Prepared, Charge), InferenceError>;

    /// Takes the memory.
    fn load(&self, prepared: Self::Prepared) -> Result<Self::Value, InferenceError>;
}

/// Keeps the values that were used last, strictly within its limits.
///
/// A value counts from before it is loaded until it was dropped, also while it is in use. Loads wait
/// for room in the order in which they are prepared; the first makes room: it has the least recently
/// used value leave that nobody uses, else the least recently used of all, which then serves whom it
/// serves and takes nobody new. So every load gets its turn, whatever else is asked for. Requests for
/// a value that is being loaded wait for the same load.
pub(crate) struct Cache<L: Loader> {
    shared: Arc<Shared<L>>,
}

struct Shared<L: Loader> {
    loader: Arc<L>,
    limits: Limits,
    state: Mutex<State<L>>,
    /// To the thread that drops values, since that may take a while.
    leaving: Sender<Entry<L>>,
}

/// A value to use, and whether it was there when it was asked for.
pub(crate) struct Acquired<L: Loader> {
    pub(crate) lease: Lease<L>,
    pub(crate) cached: bool,
}

impl<L: Loader> Cache<L> {
    /// Makes an empty cache.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub(crate) fn new(loader: L, limits: Limits) -> io::Result<Self> {
        let (leaving, left) = mpsc::channel();
        let shared = Arc::new(Shared {
            loader: Arc::new(loader),
            limits,
            state: Mutex::new(State::new(limits)),
            leaving,
        });
        let thread = thread::Builder::new().name("unload".to_owned());
        thread.spawn(move || left.into_iter().for_each(drop))?;
        Ok(Self { shared })
    }

    /// Returns the value called `key`, once it is there; `source` is what it is made from.
    ///
    /// # Errors
    /// What loading failed with, the same for all who waited for it. The next request tries again.
    pub(crate) async fn acquire(
        &self,
        key: &str,
        source: &L::Source,
    ) -> Result<Acquired<L>, Arc<InferenceError>> {
        let loaded = {
            let mut state = self.shared.state.lock();
            if let Some(used) = state.use_ready(key) {
                let lease = Lease::new(&self.shared, used);
                return Ok(Acquired {
                    lease,
                    cached: true,
                });
            }
            let (waiter, loaded) = oneshot::channel();
            if state.wait(key, waiter) {
                let load = LoadTask::new(&self.shared, key);
                // Of its own, because others may wait for it when this request is given up.
                task::spawn(load.run(source.clone()));
            }
            loaded
        };
        let lease = loaded
            .await
            .unwrap_or_else(|_| Err(Arc::new(InferenceError::Interrupted)))?;
        Ok(Acquired {
            lease,
            cached: false,
        })
    }

    /// Has the value called `key` leave as soon as nobody uses it; who asks for it from now on gets it
    /// loaded anew.
    pub(crate) fn forget(&self, key: &str) {
        self.shared.update(|state| state.forget(key));
    }

    pub(crate) fn status(&self) -> CacheStatus {
        self.shared.state.lock().status()
    }
}

impl<L: Loader> Shared<L> {
    /// Changes the state and does what follows from it.
    fn update(self: &Arc<Self>, change: impl FnOnce(&mut State<L>)) {
        let step = {
            let mut state = self.state.lock();
            change(&mut state);
            state.step()
        };
        for (id, charge, ticket) in step.granted {
            // Where nobody waits any more the reservation comes back and ends here.
            drop(ticket.send(Reservation::new(self, id, charge)));
        }
        for entry in step.leaving {
            drop(self.leaving.send(entry));
        }
    }
}
