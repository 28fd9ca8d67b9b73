use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use tokio::time::{sleep, timeout};

use super::*;

/// Counts what is in memory, and fails the test where that is more than may be.
#[derive(Default)]
struct Memory {
    now: AtomicUsize,
    most: AtomicUsize,
    loads: AtomicUsize,
}

struct Value {
    name: &'static str,
    memory: Arc<Memory>,
}

impl Drop for Value {
    fn drop(&mut self) {
        thread::sleep(Duration::from_millis(2));
        self.memory.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is loaded: `SLOW`, `BROKEN` and `PANICS` are what they say.
#[derive(Clone, Debug)]
struct Source {
    name: &'static str,
    charge: Charge,
}

const SLOW: &str = "slow";
const BROKEN: &str = "broken";
const PANICS: &str = "panics";

#[derive(Clone, Default)]
struct Fake {
    memory: Arc<Memory>,
}

impl Loader for Fake {
    type Source = Source;
    type Prepared = &'static str;
    type Value = Value;

    fn prepare(&self, source: &Source) -> Result<(&'static str, Charge), InferenceError> {
        Ok((source.name, source.charge.clone()))
    }

    fn load(&self, name: &'static str) -> Result<Value, InferenceError> {
        self.memory.loads.fetch_add(1, Ordering::SeqCst);
        match name {
            BROKEN => {
                return Err(InferenceError::io("read", name)(
                    io::ErrorKind::NotFound.into(),
                ));
            }
            PANICS => panic!("as was asked for"),
            SLOW => thread::sleep(Duration::from_millis(50)),
            _ => thread::sleep(Duration::from_millis(2)),
        }
        let now = self.memory.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.memory.most.fetch_max(now, Ordering::SeqCst);
        Ok(Value {
            name,
            memory: Arc::clone(&self.memory),
        })
    }
}

struct House {
    cache: Arc<Cache<Fake>>,
    memory: Arc<Memory>,
}

impl House {
    fn new(models: u32, bytes: Option<u64>) -> Self {
        let fake = Fake::default();
        let memory = Arc::clone(&fake.memory);
        let cache = Arc::new(Cache::new(fake, Limits { models, bytes }).unwrap());
        Self { cache, memory }
    }

    /// Acquires a value of 100 bytes with weights of its own.
    async fn acquire(&self, name: &'static str) -> Result<Acquired<Fake>, Arc<InferenceError>> {
        acquire(&self.cache, name, name, 100).await
    }

    async fn lease(&self, name: &'static str) -> Lease<Fake> {
        let acquired = timeout(LONG, self.acquire(name))
            .await
            .expect("within the time");
        acquired.expect("loads").lease
    }

    fn loads(&self) -> usize {
        self.memory.loads.load(Ordering::SeqCst)
    }

    /// Begins to acquire a value and gives that time to get as far as it can.
    async fn begin(&self, name: &'static str) -> task::JoinHandle<Lease<Fake>> {
        let cache = Arc::clone(&self.cache);
        let work = async move { acquire(&cache, name, name, 100).await.unwrap().lease };
        let begun = tokio::spawn(work);
        sleep(SHORT).await;
        begun
    }

    /// Waits until so many models are in memory.
    async fn settle(&self, models: u32) {
        let settled = async {
            while self.cache.status().models != models {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LONG, settled).await.expect("settles");
        assert_eq!(self.memory.now.load(Ordering::SeqCst), models as usize);
    }
}

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(20);

async fn acquire(
    cache: &Cache<Fake>,
    name: &'static str,
    weights: &str,
    weights_bytes: u64,
) -> Result<Acquired<Fake>, Arc<InferenceError>> {
    let charge = Charge {
        weights: weights.to_owned(),
        weights_bytes,
        own_bytes: 10,
    };
    cache.acquire(name, &Source { name, charge }).await
}

#[tokio::test]
async fn a_value_is_loaded_once_and_found_again() {
    let house = House::new(2, None);
    let first = house.acquire("a").await.unwrap();
    assert!(!first.cached);
    drop(first);
    let again = house.acquire("a").await.unwrap();
    assert!(again.cached);
    assert_eq!((again.lease.name, house.loads()), ("a", 1));
    let status = house.cache.status();
    let expected = CacheStatus {
        models: 1,
        max_models: 2,
        size_bytes: 110,
        hits: 1,
        misses: 1,
    };
    assert_eq!(status, expected);
}

#[tokio::test]
async fn a_hundred_first_requests_load_once() {
    let house = House::new(2, None);
    let requests = (0..100).map(|_| {
        let cache = Arc::clone(&house.cache);
        tokio::spawn(async move {
            acquire(&cache, SLOW, SLOW, 100)
                .await
                .map(|found| found.cached)
        })
    });
    for request in requests.collect::<Vec<_>>() {
        assert!(!request.await.unwrap().unwrap());
    }
    assert_eq!((house.loads(), house.cache.status().misses), (1, 100));
}

#[tokio::test]
async fn the_least_recently_used_leaves() {
    let house = House::new(2, None);
    for name in ["a", "b", "a", "c"] {
        drop(house.lease(name).await);
    }
    assert!(house.acquire("a").await.unwrap().cached);
    assert!(house.acquire("c").await.unwrap().cached);
    assert!(!house.acquire("b").await.unwrap().cached);
}

#[tokio::test]
async fn bytes_are_bounded_and_shared_weights_count_once() {
    let house = House::new(9, Some(230));
    for (name, weights) in [("a", "base"), ("b", "base"), ("c", "other")] {
        drop(acquire(&house.cache, name, weights, 100).await.unwrap());
    }
    let status = house.cache.status();
    assert_eq!((status.models, status.size_bytes), (3, 230));
    drop(house.lease("d").await);
    let status = house.cache.status();
    assert_eq!(
        (status.models, status.size_bytes),
        (2, 220),
        "both with the base have left"
    );
}

#[tokio::test]
async fn a_value_larger_than_the_bound_is_refused() {
    let house = House::new(2, Some(109));
    let error = house.acquire("a").await.map(|_| ()).unwrap_err();
    let InferenceError::TooLarge {
        size_bytes,
        limit_bytes,
    } = *error
    else {
        panic!("{error}")
    };
    assert_eq!((size_bytes, limit_bytes, house.loads()), (110, 109, 0));
}

#[tokio::test]
async fn a_failed_load_is_told_to_all_who_wait_and_tried_again() {
    let house = House::new(1, None);
    let (first, second) = tokio::join!(house.acquire(BROKEN), house.acquire(BROKEN));
    for result in [first, second] {
        assert!(matches!(
            *result.map(|_| ()).unwrap_err(),
            InferenceError::Io { .. }
        ));
    }
    assert_eq!(house.loads(), 1);
    assert!(house.acquire(BROKEN).await.is_err());
    assert_eq!((house.loads(), house.cache.status().models), (2, 0));
}

#[tokio::test]
async fn a_load_that_panics_is_an_error_and_holds_up_nobody() {
    let house = House::new(1, None);
    let error = house.acquire(PANICS).await.map(|_| ()).unwrap_err();
    assert!(matches!(*error, InferenceError::Interrupted));
    assert_eq!(house.lease("a").await.name, "a");
}

#[tokio::test]
async fn a_load_waits_while_all_values_are_in_use_and_the_oldest_takes_nobody_new() {
    let house = House::new(2, None);
    let (a, b) = (house.lease("a").await, house.lease("b").await);
    let waiting = house.begin("c").await;
    assert!(!waiting.is_finished());
    let again = house.begin("a").await;
    assert!(!again.is_finished(), "`a` is to leave");
    assert!(house.acquire("b").await.unwrap().cached, "`b` is not");
    drop(a);
    let c = timeout(LONG, waiting).await.unwrap().unwrap();
    assert_eq!(c.name, "c");
    assert!(!again.is_finished(), "`b` and `c` are in use");
    drop((b, c));
    assert_eq!(timeout(LONG, again).await.unwrap().unwrap().name, "a");
    assert_eq!(house.memory.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn loads_that_wait_are_served_in_their_order() {
    let house = House::new(1, None);
    let first = house.lease("a").await;
    let waiting = [
        house.begin("b").await,
        house.begin("c").await,
        house.begin("d").await,
    ];
    drop(first);
    for (load, name) in waiting.into_iter().zip(["b", "c", "d"]) {
        let lease = timeout(LONG, load).await.unwrap().unwrap();
        assert_eq!(lease.name, name);
    }
    assert_eq!(house.loads(), 4);
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_nothing_behind() {
    let house = House::new(1, None);
    let lease = house.lease("a").await;
    let given_up = house.begin("b").await;
    given_up.abort();
    drop(lease);
    assert_eq!(house.lease("c").await.name, "c");
    drop(house.lease("a").await);
    house.settle(1).await;
}

#[tokio::test]
async fn what_is_forgotten_leaves_when_it_is_idle() {
    let house = House::new(2, None);
    drop(house.lease("a").await);
    house.cache.forget("a");
    house.settle(0).await;

    let lease = house.lease("a").await;
    house.cache.forget("a");
    sleep(SHORT).await;
    assert_eq!((house.cache.status().models, lease.name), (1, "a"));
    drop(lease);
    house.settle(0).await;

    let loading = house.begin(SLOW).await;
    house.cache.forget(SLOW);
    assert_eq!(timeout(LONG, loading).await.unwrap().unwrap().name, SLOW);
    house.settle(0).await;
    house.cache.forget("never heard of");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_any_load_the_bound_holds_and_everybody_is_served() {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let house = House::new(3, None);
    let users = (0..40).map(|user| {
        let cache = Arc::clone(&house.cache);
        tokio::spawn(async move {
            let mut random = ChaCha8Rng::seed_from_u64(user);
            for _ in 0..25 {
                let name = NAMES[random.next_u32() as usize % NAMES.len()];
                let found = timeout(LONG, acquire(&cache, name, name, 100))
                    .await
                    .expect("served");
                assert_eq!(found.unwrap().lease.name, name);
                if random.next_u32().is_multiple_of(10) {
                    cache.forget(name);
                }
                sleep(Duration::from_micros(u64::from(random.next_u32() % 3_000))).await;
            }
        })
    });
    for user in users.collect::<Vec<_>>() {
        user.await.unwrap();
    }
    assert_eq!(house.memory.most.load(Ordering::SeqCst), 3);
    let status = house.cache.status();
    assert_eq!(status.hits + status.misses, 1_000);
}
