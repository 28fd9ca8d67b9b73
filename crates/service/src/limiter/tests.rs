use std::{
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;

use super::*;

const NOW: u64 = 1_000_000_000_000;
const PERIOD: u64 = 1_000;

/// A store that counts how often it is asked.
#[derive(Default)]
struct Memory {
    free: Mutex<HashMap<String, u64>>,
    asked: AtomicU64,
}

#[async_trait]
impl RateStore for Memory {
    async fn take(
        &self,
        id: &str,
        rate: Rate,
        now_us: u64,
        count: NonZeroU32,
    ) -> Result<Result<Slots, NoSlot>, StorageError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut free = self.free.lock().unwrap();
        let free = free.entry(id.to_owned()).or_default();
        let taken = rate.take(*free, now_us, count);
        if let Ok(slots) = taken {
            *free = slots.end_us;
        }
        Ok(taken)
    }

    async fn hold(&self, _: &str, _: u64) -> Result<(), StorageError> {
        panic!("nothing here holds")
    }
}

fn rate(burst: u32) -> Rate {
    Rate {
        period_us: NonZeroU64::new(PERIOD).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

/// So many processes on one store.
fn processes(count: usize) -> (Arc<Memory>, Vec<Limiter>) {
    let store = Arc::new(Memory::default());
    let limiter = |_| Limiter::new(Arc::clone(&store) as Arc<dyn RateStore>);
    (Arc::clone(&store), (0..count).map(limiter).collect())
}

async fn passes(limiter: &Limiter, burst: u32, now_us: u64) -> bool {
    let taken = limiter.take_at("a", rate(burst), now_us).await;
    taken.unwrap().is_ok()
}

#[tokio::test]
async fn with_the_clock_frozen_all_processes_together_pass_exactly_the_burst() {
    for burst in [1, 7, 100, 5_000] {
        let (_, limiters) = processes(4);
        let mut passed = 0;
        for call in 0..8 * burst as usize {
            passed += u32::from(passes(&limiters[call % 4], burst, NOW).await);
        }
        assert_eq!(passed, burst);
    }
}

#[tokio::test]
async fn no_window_has_more_than_burst_and_rate_and_a_busy_one_hardly_less() {
    let burst = 200;
    let (_, limiters) = processes(4);
    let mut granted = Vec::new();
    let mut now = NOW;
    for call in 0..20_000_u64 {
        // Twice as many as may pass, in clumps, now by one process and now by another.
        now += if call % 40 == 0 { 20_000 } else { 0 };
        let limiter = &limiters[(call / 7 % 4) as usize];
        if passes(limiter, burst, now).await {
            granted.push(now);
        }
    }
    let time = now - NOW;
    for (at, first) in granted.iter().enumerate().step_by(17) {
        for (further, last) in granted[at..].iter().enumerate() {
            let most = u64::from(burst) + (last - first) / PERIOD;
            assert!((further as u64) < most, "{further} from {first} to {last}");
        }
    }
    let least = (u64::from(burst) + time / PERIOD) * 95 / 100;
    assert!(
        granted.len() as u64 >= least,
        "{} of {least}",
        granted.len()
    );
}

#[tokio::test]
async fn far_from_the_limit_the_store_is_asked_for_few_requests() {
    let (store, limiters) = processes(1);
    for call in 0..10_000 {
        assert!(passes(&limiters[0], 10_000, NOW + call * PERIOD / 2).await);
    }
    let asked = store.asked.load(Ordering::Relaxed);
    assert!(asked < 200, "{asked}");
}

#[tokio::test]
async fn whoever_comes_now_and_then_takes_nothing_in_advance() {
    let (store, limiters) = processes(1);
    for call in 0..100 {
        assert!(passes(&limiters[0], 160, NOW + call * 20 * PERIOD).await);
    }
    assert_eq!(store.asked.load(Ordering::Relaxed), 100);
    let free = store.free.lock().unwrap()["a"];
    assert_eq!(free, NOW + 99 * 20 * PERIOD + PERIOD);
}

#[tokio::test]
async fn those_who_come_at_once_lose_no_slots() {
    /// Answers after everybody has asked.
    struct Slow(Memory);

    #[async_trait]
    impl RateStore for Slow {
        async fn take(
            &self,
            id: &str,
            rate: Rate,
            now_us: u64,
            count: NonZeroU32,
        ) -> Result<Result<Slots, NoSlot>, StorageError> {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            self.0.take(id, rate, now_us, count).await
        }

        async fn hold(&self, id: &str, until_us: u64) -> Result<(), StorageError> {
            self.0.hold(id, until_us).await
        }
    }

    let limiter = Limiter::new(Arc::new(Slow(Memory::default())));
    let burst = 120;
    let mut passed = 0;
    for _ in 0..10 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let limiter = limiter.clone();
            calls.spawn(async move { passes(&limiter, burst, NOW).await });
        }
        let together = calls.join_all().await;
        passed += together.iter().filter(|passed| **passed).count();
    }
    assert_eq!(passed, burst as usize);
}

#[tokio::test]
async fn who_passes_learns_what_is_left_and_who_does_not_how_long_to_wait() {
    let (_, limiters) = processes(1);
    let take = |now_us| limiters[0].take_at("a", rate(2), now_us);
    let first = take(NOW).await.unwrap().unwrap();
    assert_eq!((first.left, first.reset_us), (1, PERIOD));
    let second = take(NOW).await.unwrap().unwrap();
    assert_eq!((second.left, second.reset_us), (0, 2 * PERIOD));
    let wait_us = PERIOD;
    assert_eq!(take(NOW).await.unwrap(), Err(NoSlot { wait_us }));
}

#[tokio::test]
async fn a_limit_that_is_changed_holds_at_once() {
    let (_, limiters) = processes(1);
    assert!(passes(&limiters[0], 1_000, NOW).await);
    assert!(!passes(&limiters[0], 1, NOW).await);
}
