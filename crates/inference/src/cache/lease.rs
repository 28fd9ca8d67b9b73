use std::{
    ops::Deref,
    sync::{Arc, Weak},
};

use super::{Charge, Loader, Shared};

/// Keeps a value in memory as long as it lives.
pub(crate) struct Lease<L: Loader> {
    // Dropped before the use is given back, so that the cache's own is then the last reference.
    value: Arc<L::Value>,
    _usage: Usage<L>,
}

struct Usage<L: Loader> {
    id: u64,
    shared: Arc<Shared<L>>,
}

impl<L: Loader> Lease<L> {
    /// Takes over a use of the value with the number `id` that was counted.
    pub(super) fn new(shared: &Arc<Shared<L>>, (id, value): (u64, Arc<L::Value>)) -> Self {
        let shared = Arc::clone(shared);
        Self {
            value,
            _usage: Usage { id, shared },
        }
    }
}

impl<L: Loader> Deref for Lease<L> {
    type Target = L::Value;

    fn deref(&self) -> &L::Value {
        &self.value
    }
}

impl<L: Loader> Drop for Usage<L> {
    fn drop(&mut self) {
        self.shared.update(|state| state.release(self.id));
    }
}

/// Leave to take as much memory as was asked for, until it is dropped: never while the state is locked.
pub(super) struct Reservation<L: Loader> {
    id: u64,
    charge: Charge,
    /// Weak, because the state it is a part of is part of it.
    shared: Weak<Shared<L>>,
}

impl<L: Loader> Reservation<L> {
    /// Takes over what is in the ledger.
    pub(super) fn new(shared: &Arc<Shared<L>>, id: u64, charge: Charge) -> Self {
        Self {
            id,
            charge,
            shared: Arc::downgrade(shared),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn charge(&self) -> &Charge {
        &self.charge
    }
}

impl<L: Loader> Drop for Reservation<L> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.update(|state| state.end(self.id, &self.charge));
        }
    }
}
