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
/// Where the limit is far away, some slots are taken in advance and given out without asking the store.
/// Those are slots as any: each is used before it begins or lost, so the limit holds exactly; at most the
/// slots taken in advance are granted less.
#[derive(Clone)]
pub struct Limiter {
    store: Arc<dyn RateStore>,
    leases: Arc<Mutex<HashMap<String, Lease>>>,
}

struct Lease {
    rate: Rate,
    slots: Slots,
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
            leases: Arc::default(),
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
        if let Some(granted) = self.take_leased(id, rate, now_us) {
            return Ok(Ok(granted));
        }
        let one = self.store.take(id, rate, now_us, NonZeroU32::MIN).await?;
        let Ok(slots) = one else {
            return Ok(one.map(|slots| granted(rate, slots.end_us, now_us)));
        };
        let free = rate.free(slots.end_us, now_us);
        if let Some(count) = NonZeroU32::new((free / SHARE).min(MOST)) {
            // This one may go on, whatever comes of the next.
            if let Ok(Ok(slots)) = self.store.take(id, rate, now_us, count).await {
                self.lease(id, Lease { rate, slots });
            }
        }
        Ok(Ok(granted(rate, slots.end_us, now_us)))
    }

    fn take_leased(&self, id: &str, rate: Rate, now_us: u64) -> Option<Granted> {
        let mut leases = self.leases();
        let lease = leases.get_mut(id).filter(|lease| lease.rate == rate)?;
        let Some(begin_us) = lease.slots.next(now_us, rate) else {
            leases.remove(id);
            return None;
        };
        Some(granted(rate, begin_us + rate.period_us.get(), now_us))
    }

    fn lease(&self, id: &str, lease: Lease) {
        let mut leases = self.leases();
        if leases.len() >= REMEMBERED {
            // What others took in advance is lost to them, which only makes them ask again.
            leases.clear();
        }
        leases.insert(id.to_owned(), lease);
    }

    fn leases(&self) -> std::sync::MutexGuard<'_, HashMap<String, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn granted(rate: Rate, free_us: u64, now_us: u64) -> Granted {
    Granted {
        left: rate.free(free_us, now_us),
        reset_us: free_us.saturating_sub(now_us),
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
