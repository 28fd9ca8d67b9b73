use std::sync::Arc;

use tokio::{sync::oneshot, task};

use super::{Lease, Loader, Shared, lease::Reservation};
use crate::InferenceError;

/// The load of a value; whatever becomes of it, those who wait are told.
pub(super) struct LoadTask<L: Loader> {
    shared: Arc<Shared<L>>,
    key: String,
    told: bool,
}

impl<L: Loader> LoadTask<L> {
    pub(super) fn new(shared: &Arc<Shared<L>>, key: &str) -> Self {
        Self {
            shared: Arc::clone(shared),
            key: key.to_owned(),
            told: false,
        }
    }

    pub(super) async fn run(mut self, source: L::Source) {
        match self.load(source).await {
            Ok((value, reservation)) => self.publish(value, reservation),
            Err(error) => self.fail(error),
        }
    }

    async fn load(&self, source: L::Source) -> Result<(L::Value, Reservation<L>), InferenceError> {
        let loader = Arc::clone(&self.shared.loader);
        let (prepared, charge) = blocking(move || loader.prepare(&source)).await?;
        if let Some(limit_bytes) = self.shared.limits.bytes
            && charge.total_bytes() > limit_bytes
        {
            let size_bytes = charge.total_bytes();
            return Err(InferenceError::TooLarge {
                size_bytes,
                limit_bytes,
            });
        }
        let (ticket, granted) = oneshot::channel();
        self.shared.update(|state| state.enqueue(charge, ticket));
        let reservation = granted.await.map_err(|_| InferenceError::Interrupted)?;
        let loader = Arc::clone(&self.shared.loader);
        let value = blocking(move || loader.load(prepared)).await?;
        Ok((value, reservation))
    }

    fn publish(&mut self, value: L::Value, reservation: Reservation<L>) {
        self.told = true;
        let (id, value) = (reservation.id(), Arc::new(value));
        let used = Arc::clone(&value);
        let waiters = self
            .shared
            .state
            .lock()
            .loaded(&self.key, value, reservation);
        for waiter in waiters {
            let lease = Lease::new(&self.shared, (id, Arc::clone(&used)));
            // Where nobody waits any more the lease comes back and ends here.
            drop(waiter.send(Ok(lease)));
        }
        drop(used);
        self.shared.update(|_| ());
    }

    fn fail(&mut self, error: InferenceError) {
        self.told = true;
        let error = Arc::new(error);
        let waiters = self.shared.state.lock().failed(&self.key);
        for waiter in waiters {
            drop(waiter.send(Err(Arc::clone(&error))));
        }
    }
}

impl<L: Loader> Drop for LoadTask<L> {
    fn drop(&mut self) {
        if !self.told {
            self.fail(InferenceError::Interrupted);
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, InferenceError> + Send + 'static,
) -> Result<T, InferenceError> {
    task::spawn_blocking(work)
        .await
        .unwrap_or(Err(InferenceError::Interrupted))
}
