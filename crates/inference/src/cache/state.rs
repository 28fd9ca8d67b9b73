use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use llmopt_service::CacheStatus;
use tokio::sync::oneshot;

use super::{Charge, Lease, Limits, Loader, lease::Reservation, ledger::Ledger};
use crate::InferenceError;

/// Is told what became of a load.
pub(super) type Waiter<L> = oneshot::Sender<Result<Lease<L>, Arc<InferenceError>>>;

/// Is given leave to load.
pub(super) type Ticket<L> = oneshot::Sender<Reservation<L>>;

/// A value in memory.
pub(super) struct Entry<L: Loader> {
    // Dropped before the reservation, which ends when the memory is free.
    value: Arc<L::Value>,
    reservation: Reservation<L>,
    users: usize,
    last_used: u64,
}

enum Slot<L: Loader> {
    /// It is being loaded for these, and is to leave after them if it was forgotten meanwhile.
    Loading {
        waiters: Vec<Waiter<L>>,
        forgotten: bool,
    },
    Ready(Entry<L>),
}

/// What a cache knows. Nothing here waits, and no value or reservation is dropped here.
pub(super) struct State<L: Loader> {
    limits: Limits,
    ledger: Ledger,
    slots: HashMap<String, Slot<L>>,
    /// Loads that wait for room.
    queue: VecDeque<(Charge, Ticket<L>)>,
    /// Values that take nobody new.
    draining: Vec<Entry<L>>,
    /// What those take that are being dropped, by number.
    leaving: HashMap<u64, Charge>,
    next_id: u64,
    clock: u64,
    hits: u64,
    misses: u64,
}

/// What is to be done after a change, without the lock.
pub(super) struct Step<L: Loader> {
    /// Loads that may begin, with their numbers.
    pub(super) granted: Vec<(u64, Charge, Ticket<L>)>,
    /// Values to drop.
    pub(super) leaving: Vec<Entry<L>>,
}

impl<L: Loader> State<L> {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            ledger: Ledger::default(),
            slots: HashMap::new(),
            queue: VecDeque::new(),
            draining: Vec::new(),
            leaving: HashMap::new(),
            next_id: 0,
            clock: 0,
            hits: 0,
            misses: 0,
        }
    }

    pub(super) fn status(&self) -> CacheStatus {
        CacheStatus {
            models: self.ledger.models(),
            max_models: self.limits.models,
            size_bytes: self.ledger.bytes(),
            hits: self.hits,
            misses: self.misses,
        }
    }

    /// Counts one more use of the value, if it is there.
    pub(super) fn use_ready(&mut self, key: &str) -> Option<(u64, Arc<L::Value>)> {
        let Some(Slot::Ready(entry)) = self.slots.get_mut(key) else {
            return None;
        };
        self.clock += 1;
        self.hits += 1;
        entry.users += 1;
        entry.last_used = self.clock;
        Some((entry.reservation.id(), Arc::clone(&entry.value)))
    }

    /// Waits for a value that is not there; returns whether its load is still to begin.
    pub(super) fn wait(&mut self, key: &str, waiter: Waiter<L>) -> bool {
        self.misses += 1;
        if let Some(Slot::Loading { waiters, .. }) = self.slots.get_mut(key) {
            waiters.push(waiter);
            return false;
        }
        let slot = Slot::Loading {
            waiters: vec![waiter],
            forgotten: false,
        };
        self.slots.insert(key.to_owned(), slot);
        true
    }

    /// Puts a load at the end of the queue.
    pub(super) fn enqueue(&mut self, charge: Charge, ticket: Ticket<L>) {
        self.queue.push_back((charge, ticket));
    }

    /// Takes a value in, with a use for each of those who waited, which are returned.
    pub(super) fn loaded(
        &mut self,
        key: &str,
        value: Arc<L::Value>,
        reservation: Reservation<L>,
    ) -> Vec<Waiter<L>> {
        self.clock += 1;
        let (waiters, forgotten) = self.take_waiters(key);
        let users = waiters.len();
        let entry = Entry {
            value,
            reservation,
            users,
            last_used: self.clock,
        };
        if forgotten {
            self.draining.push(entry);
        } else {
            self.slots.insert(key.to_owned(), Slot::Ready(entry));
        }
        waiters
    }

    /// Gives a load up and returns those who waited.
    pub(super) fn failed(&mut self, key: &str) -> Vec<Waiter<L>> {
        self.take_waiters(key).0
    }

    fn take_waiters(&mut self, key: &str) -> (Vec<Waiter<L>>, bool) {
        match self.slots.remove(key) {
            Some(Slot::Loading { waiters, forgotten }) => (waiters, forgotten),
            Some(ready @ Slot::Ready(_)) => {
                self.slots.insert(key.to_owned(), ready);
                (Vec::new(), false)
            }
            None => (Vec::new(), false),
        }
    }

    /// Takes one use back.
    pub(super) fn release(&mut self, id: u64) {
        self.clock += 1;
        let ready = self.slots.values_mut().filter_map(|slot| match slot {
            Slot::Ready(entry) => Some(entry),
            Slot::Loading { .. } => None,
        });
        let mut entries = ready.chain(&mut self.draining);
        if let Some(entry) = entries.find(|entry| entry.reservation.id() == id) {
            entry.users -= 1;
            entry.last_used = self.clock;
        }
    }

    /// Has a value take nobody new from now on.
    pub(super) fn forget(&mut self, key: &str) {
        match self.slots.get_mut(key) {
            Some(Slot::Loading { forgotten, .. }) => *forgotten = true,
            Some(Slot::Ready(_)) => self.drain(key),
            None => {}
        }
    }

    /// A reservation ended.
    pub(super) fn end(&mut self, id: u64, charge: &Charge) {
        self.leaving.remove(&id);
        self.ledger.remove(charge);
    }

    /// Lets in and out whom it can.
    pub(super) fn step(&mut self) -> Step<L> {
        let granted = self.grant();
        if let Some((charge, _)) = self.queue.front() {
            self.make_room(&charge.clone());
        }
        let idle = self.draining.extract_if(.., |entry| entry.users == 0);
        let leaving: Vec<Entry<L>> = idle.collect();
        for Entry { reservation, .. } in &leaving {
            self.leaving
                .insert(reservation.id(), reservation.charge().clone());
        }
        Step { granted, leaving }
    }

    /// Takes from the queue what there is room for, in its order.
    fn grant(&mut self) -> Vec<(u64, Charge, Ticket<L>)> {
        let mut granted = Vec::new();
        while let Some((charge, ticket)) = self.queue.pop_front() {
            if !self.ledger.fits(&charge, self.limits) {
                self.queue.push_front((charge, ticket));
                break;
            }
            self.ledger.add(&charge);
            self.next_id += 1;
            granted.push((self.next_id, charge, ticket));
        }
        granted
    }

    /// Drains as many values as it takes that there will be room for one more.
    fn make_room(&mut self, charge: &Charge) {
        let mut future = self.ledger.clone();
        self.leaving
            .values()
            .for_each(|charge| future.remove(charge));
        let draining = self.draining.iter().map(|entry| entry.reservation.charge());
        draining.for_each(|charge| future.remove(charge));
        while !future.fits(charge, self.limits)
            && let Some((key, charge)) = self.least_recently_used()
        {
            future.remove(&charge);
            self.drain(&key);
        }
    }

    /// Those that nobody uses come first.
    fn least_recently_used(&self) -> Option<(String, Charge)> {
        let ready = self.slots.iter().filter_map(|(key, slot)| match slot {
            Slot::Ready(entry) => Some((key, entry)),
            Slot::Loading { .. } => None,
        });
        let least = ready.min_by_key(|(_, entry)| (entry.users > 0, entry.last_used));
        least.map(|(key, entry)| (key.clone(), entry.reservation.charge().clone()))
    }

    fn drain(&mut self, key: &str) {
        match self.slots.remove(key) {
            Some(Slot::Ready(entry)) => self.draining.push(entry),
            Some(loading @ Slot::Loading { .. }) => {
                self.slots.insert(key.to_owned(), loading);
            }
            None => {}
        }
    }
}
