use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use llmopt_domain::{NoSlot, Rate, Slots};
use llmopt_storage::{RateStore, StorageError};

/// What is taken in advance is so small a part of what is free that nobody else is near the limit.
const SHARE: u32 = 16;
/// Slots taken in advance at most.
const MOST: u32 = 4_096;
/// Ids that are remembered at most.
const REMEMBERED: usize = 10_000;

/// Says who has to wait: as many processes as share a store keep to one limit together.
///
/// Where the limit is far away and requests come one soon after the other, some slots are taken in advance
/// and given out without asking the store. Those are slots as any: each is used before it begins or lost, so
/// the limit holds exactly; at most the slots taken in advance are granted less.
#[derive(Clone)]
pub struct Limiter {
    store: Arc<dyn RateStore>,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

/// What the store gave last.
#[derive(Clone, Copy)]
struct Known {
    rate: Rate,
    at_us: u64,
    /// What was taken in advance and is left.
    slots: Slots,
    /// When the first slot begins that nobody has, as the store said.
    free_us: u64,
    /// Whether the store is being asked for slots in advance.
    is_asked: bool,
}

/// A request that may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// How many more may go on at once.
    pub left: u32,
    /// Microseconds until the whole burst is there again.
    pub reset_us: u64,
}

impl Limiter {
    /// Keeps to rates by `store`.
    pub fn new(store: Arc<dyn RateStore>) -> Self {
        Self {
            store,
            known: Arc::default(),
        }
    }

    /// Lets one request of `id` go on now, or says how long it has to wait.
    ///
    /// # Errors
    /// Those of [`RateStore::take`].
    pub async fn take(
        &self,
        id: &str,
        rate: Rate,
    ) -> Result<Result<Granted, NoSlot>, StorageError> {
        self.take_at(id, rate, now_us()).await
    }

    /// As [`Limiter::take`], at `now_us` (microseconds since 1970).
    ///
    /// # Errors
    /// Those of [`RateStore::take`].
    pub async fn take_at(
        &self,
        id: &str,
        rate: Rate,
        now_us: u64,
    ) -> Result<Result<Granted, NoSlot>, StorageError> {
        if let Some(granted) = self.take_known(id, rate, now_us) {
            return Ok(Ok(granted));
        }
        let asking = self.ask_in_advance(id, rate, now_us);
        let advance = asking.as_ref().map_or(0, |asking| asking.count);
        let wanted = NonZeroU32::MIN.saturating_add(advance);
        let mut taken = self.store.take(id, rate, now_us, wanted).await?;
        if taken.is_err() && advance > 0 {
            taken = self.store.take(id, rate, now_us, NonZeroU32::MIN).await?;
        }
        let slots = match taken {
            Ok(slots) => slots,
            Err(refused) => return Ok(Err(refused)),
        };
        let rest = Slots {
            begin_us: slots.begin_us + rate.period_us.get(),
            ..slots
        };
        self.note(id, rate, now_us, rest);
        Ok(Ok(granted(rate, rest, slots.end_us, now_us)))
    }

    fn take_known(&self, id: &str, rate: Rate, now_us: u64) -> Option<Granted> {
        let mut all = self.known();
        let known = all.get_mut(id).filter(|known| known.rate == rate)?;
        known.slots.next(now_us, rate)?;
        Some(granted(rate, known.slots, known.free_us, now_us))
    }

    /// Returns how many slots to ask the store for in advance, where requests come so fast that they would be
    /// used in time; one of those who come at once asks for them.
    fn ask_in_advance<'a>(&'a self, id: &'a str, rate: Rate, now_us: u64) -> Option<Asking<'a>> {
        let mut all = self.known();
        let known = all.get_mut(id).filter(|known| known.rate == rate)?;
        let count = (rate.free(known.free_us, now_us) / SHARE).min(MOST);
        let is_fast = now_us.saturating_sub(known.at_us) <= rate.span_us(count);
        // Another may have brought some since this one looked.
        let has_some = known.slots.begin_us.max(now_us) < known.slots.end_us;
        if count == 0 || !is_fast || known.is_asked || has_some {
            return None;
        }
        known.is_asked = true;
        Some(Asking {
            limiter: self,
            id,
            count,
        })
    }

    /// Notes what the store gave, beside what is left of what it gave before.
    fn note(&self, id: &str, rate: Rate, now_us: u64, rest: Slots) {
        let mut all = self.known();
        if let Some(known) = all.get_mut(id).filter(|known| known.rate == rate) {
            known.at_us = now_us;
            known.free_us = known.free_us.max(rest.end_us);
            if rest.begin_us < rest.end_us {
                known.slots = rest;
            }
            return;
        }
        if all.len() >= REMEMBERED {
            // What was taken in advance is lost, which only makes us ask again.
            all.clear();
        }
        let known = Known {
            rate,
            at_us: now_us,
            slots: rest,
            free_us: rest.end_us,
            is_asked: false,
        };
        all.insert(id.to_owned(), known);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Someone who asks the store for slots in advance, until it is dropped: its request may be given up.
struct Asking<'a> {
    limiter: &'a Limiter,
    id: &'a str,
    count: u32,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(known) = self.limiter.known().get_mut(self.id) {
            known.is_asked = false;
        }
    }
}

/// Says what whoever got a slot finds after it: what was taken in advance, and what the store has.
fn granted(rate: Rate, rest: Slots, free_us: u64, now_us: u64) -> Granted {
    let ours = rest.end_us.saturating_sub(rest.begin_us.max(now_us)) / rate.period_us.get();
    let ours = u32::try_from(ours).unwrap_or(u32::MAX);
    Granted {
        left: rate.free(free_us, now_us).saturating_add(ours),
        reset_us: free_us.saturating_sub(now_us),
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
