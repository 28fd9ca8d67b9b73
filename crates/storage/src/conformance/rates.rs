use std::{
    num::{NonZeroU32, NonZeroU64},
    path::Path,
    sync::Arc,
};

use llmopt_domain::{LONGEST_HOLD_US, NoSlot, Rate, Slots};
use tokio::task::JoinSet;

use super::root;
use crate::RateStore;

/// Opens the rates that live below a folder; opening them twice is another process, or a restart.
pub type OpenRates = fn(&Path) -> Arc<dyn RateStore>;

/// Generates the suite of [`RateStore`] as tests of the calling module; `$open` is an
/// [`OpenRates`](crate::conformance::OpenRates).
#[macro_export]
macro_rules! rate_store_conformance {
    ($open:expr) => {
        $crate::conformance_cases!($open;
            slots_are_given_one_after_the_other_until_the_burst_is_used_up
            slots_are_taken_all_or_none
            an_idle_rate_has_its_burst_again_and_no_more
            each_id_has_slots_of_its_own
            a_hundred_concurrent_callers_get_exactly_the_burst
            what_is_held_is_not_free_and_never_sooner_than_before
            a_restart_keeps_what_was_taken
            what_a_wrong_clock_wrote_holds_up_nobody
        );
    };
}

const NOW: u64 = 1_800_000_000_000_000;
const PERIOD: u64 = 1_000_000;

fn rate(burst: u32) -> Rate {
    Rate {
        period_us: NonZeroU64::new(PERIOD).expect("not 0"),
        burst: count(burst),
    }
}

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("not 0")
}

async fn take(
    store: &Arc<dyn RateStore>,
    id: &str,
    burst: u32,
    now_us: u64,
    wanted: u32,
) -> Result<Slots, NoSlot> {
    let taken = store.take(id, rate(burst), now_us, count(wanted)).await;
    taken.expect("the store is there")
}

fn slots(first: u64, count: u64) -> Result<Slots, NoSlot> {
    let begin_us = NOW + first * PERIOD;
    Ok(Slots {
        begin_us,
        end_us: begin_us + count * PERIOD,
    })
}

/// Who comes too early is told how long to wait.
pub async fn slots_are_given_one_after_the_other_until_the_burst_is_used_up(open: OpenRates) {
    let root = root();
    let store = open(root.path());
    for slot in 0..3 {
        assert_eq!(take(&store, "a", 3, NOW, 1).await, slots(slot, 1));
    }
    let wait_us = PERIOD;
    assert_eq!(take(&store, "a", 3, NOW, 1).await, Err(NoSlot { wait_us }));
    let wait_us = 1;
    let early = NOW + PERIOD - 1;
    assert_eq!(
        take(&store, "a", 3, early, 1).await,
        Err(NoSlot { wait_us })
    );
    assert_eq!(take(&store, "a", 3, NOW + PERIOD, 1).await, slots(3, 1));
}

/// Several are a block, and a refusal takes nothing.
pub async fn slots_are_taken_all_or_none(open: OpenRates) {
    let root = root();
    let store = open(root.path());
    assert_eq!(take(&store, "a", 10, NOW, 6).await, slots(0, 6));
    let wait_us = 2 * PERIOD;
    assert_eq!(take(&store, "a", 10, NOW, 6).await, Err(NoSlot { wait_us }));
    assert_eq!(take(&store, "a", 10, NOW, 4).await, slots(6, 4));
    assert!(take(&store, "b", 3, NOW, 4).await.is_err());
}

/// Slots that passed unused are not kept.
pub async fn an_idle_rate_has_its_burst_again_and_no_more(open: OpenRates) {
    let root = root();
    let store = open(root.path());
    assert_eq!(take(&store, "a", 3, NOW, 3).await, slots(0, 3));
    let later = NOW + 100 * PERIOD;
    assert_eq!(take(&store, "a", 3, later, 3).await, slots(100, 3));
    assert!(take(&store, "a", 3, later, 1).await.is_err());
}

/// One caller's haste is not another's wait.
pub async fn each_id_has_slots_of_its_own(open: OpenRates) {
    let root = root();
    let store = open(root.path());
    assert_eq!(take(&store, "address#::1", 1, NOW, 1).await, slots(0, 1));
    assert_eq!(take(&store, "address#::2", 1, NOW, 1).await, slots(0, 1));
    assert!(take(&store, "address#::1", 1, NOW, 1).await.is_err());
}

/// The clock is frozen: the burst passes, nobody else.
pub async fn a_hundred_concurrent_callers_get_exactly_the_burst(open: OpenRates) {
    let root = root();
    drop(open(root.path()));
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let store = open(root.path());
        tasks.spawn(async move { take(&store, "a", 37, NOW, 1).await });
    }
    let results = tasks.join_all().await;
    let mut begins: Vec<u64> = results.iter().flatten().map(|it| it.begin_us).collect();
    begins.sort_unstable();
    let expected: Vec<u64> = (0..37).map(|slot| NOW + slot * PERIOD).collect();
    assert_eq!(begins, expected);
}

/// Somebody else's limit is kept to.
pub async fn what_is_held_is_not_free_and_never_sooner_than_before(open: OpenRates) {
    let root = root();
    let store = open(root.path());
    let until = |slots: u64| NOW + slots * PERIOD;
    store.hold("a", until(5)).await.expect("the store is there");
    let wait_us = 3 * PERIOD;
    assert_eq!(take(&store, "a", 3, NOW, 1).await, Err(NoSlot { wait_us }));
    store.hold("a", until(2)).await.expect("the store is there");
    assert_eq!(take(&store, "a", 3, NOW, 1).await, Err(NoSlot { wait_us }));
    assert_eq!(take(&store, "a", 3, until(3), 1).await, slots(5, 1));
}

/// What was taken stays taken.
pub async fn a_restart_keeps_what_was_taken(open: OpenRates) {
    let root = root();
    let store = open(root.path());
    assert_eq!(take(&store, "a", 3, NOW, 2).await, slots(0, 2));
    drop(store);
    let store = open(root.path());
    assert_eq!(take(&store, "a", 3, NOW, 1).await, slots(2, 1));
    assert!(take(&store, "a", 3, NOW, 1).await.is_err());
}

/// Somebody's clock was a day ahead.
pub async fn what_a_wrong_clock_wrote_holds_up_nobody(open: OpenRates) {
    let root = root();
    let store = open(root.path());
    let day = 24 * LONGEST_HOLD_US;
    assert!(take(&store, "a", 3, NOW + day, 1).await.is_ok());
    assert_eq!(take(&store, "a", 3, NOW, 2).await, slots(0, 2));
    assert_eq!(take(&store, "a", 3, NOW, 1).await, slots(2, 1));
    assert!(take(&store, "a", 3, NOW, 1).await.is_err());
}
