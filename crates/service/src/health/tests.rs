use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use llmopt_storage::{EventLog, LogEntry};
use llmopt_telemetry::RequestSummary;

use super::*;
use crate::testing::Stores;

/// A log that is away, and counts how often it was asked.
#[derive(Default)]
struct Away(AtomicU64);

impl Away {
    fn error(&self) -> StorageError {
        self.0.fetch_add(1, Ordering::Relaxed);
        StorageError::Unavailable {
            operation: "read",
            subject: "arn:aws:dynamodb:eu-central-1:123456789012:table/events".to_owned(),
            source: "tests".into(),
        }
    }
}

#[async_trait]
impl EventLog for Away {
    async fn append(&self, _: &str, _: u64, _: &[String]) -> Result<u64, StorageError> {
        Err(self.error())
    }

    async fn last(&self, _: &str) -> Result<u64, StorageError> {
        Err(self.error())
    }

    async fn read(&self, _: &str, _: u64, _: u32) -> Result<Vec<LogEntry>, StorageError> {
        Err(self.error())
    }

    async fn delete(&self, _: &str) -> Result<(), StorageError> {
        Err(self.error())
    }
}

/// Counts two requests, and sees one GPU.
struct Machinery;

impl Meter for Machinery {
    fn begin(&self, _: &'static str) {}

    fn request(&self, _: &llmopt_telemetry::RequestEnd<'_>) {}

    fn refusal(&self, _: llmopt_telemetry::RefusalScope) {}

    fn answer(&self, _: &llmopt_telemetry::AnswerEnd<'_>) {}

    fn requests(&self) -> Option<RequestSummary> {
        Some(RequestSummary {
            total: 2,
            by_status: vec![("2xx", 1), ("4xx", 1)],
            active: 1,
            latency: None,
        })
    }
}

impl GpuProbe for Machinery {
    fn probe(&self) -> Option<Vec<Gpu>> {
        Some(vec![Gpu {
            name: "one".to_owned(),
            memory_bytes: 2,
            memory_used_bytes: 1,
            utilization: None,
        }])
    }
}

fn health(stores: JobStores, gpus: Option<Arc<dyn GpuProbe>>) -> Health {
    Health::new(HealthSources {
        stores,
        generator: None,
        meter: Arc::new(llmopt_telemetry::Unmetered),
        gpus,
        providers: None,
        data_dir: "/".into(),
        version: "1".to_owned(),
        memory_limit_bytes: Some(1 << 27),
        count_every: FRESH,
    })
}

fn json(status: &Status) -> serde_json::Value {
    serde_json::to_value(status).unwrap()
}

#[tokio::test]
async fn what_is_not_known_is_null_and_never_zero() {
    let stores = Stores::new();
    let status = json(&health(stores.stores.clone(), None).status().await);
    for unknown in ["gpus", "requests", "model_cache", "providers"] {
        assert!(status[unknown].is_null(), "{unknown}: {status}");
    }
    assert_eq!(status["jobs"]["queued"], 0);
    assert_eq!(status["queue"]["waiting"], 0);
    assert_eq!(status["memory"]["limit_bytes"], 1 << 27);
    assert!(status["disk"]["total_bytes"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn requests_and_gpus_are_told_where_somebody_sees_them() {
    let stores = Stores::new();
    let gpus: Arc<dyn GpuProbe> = Arc::new(Machinery);
    let mut health = health(stores.stores.clone(), Some(gpus));
    Arc::get_mut(&mut health.sources).unwrap().meter = Arc::new(Machinery);
    let status = json(&health.status().await);
    assert_eq!(status["gpus"][0]["name"], "one");
    assert_eq!(status["requests"]["by_status"]["4xx"], 1);
    assert!(status["requests"]["latency_ms"].is_null());
    // A second look is as good as the first.
    assert_eq!(json(&health.status().await)["gpus"][0]["memory_bytes"], 2);
}

/// Asks one provider, which is left alone, at prices of so many days ago.
struct Asking(i64);

impl ProviderProbe for Asking {
    fn providers(&self) -> Vec<ProviderFigures> {
        vec![ProviderFigures {
            name: "openai".to_owned(),
            circuit: ProviderCircuit::Open,
            retry_after_seconds: Some(5),
        }]
    }

    fn price_age_days(&self) -> i64 {
        self.0
    }
}

#[tokio::test]
async fn providers_are_told_of_where_they_are_asked_and_old_prices_are_no_failure() {
    let stores = Stores::new();
    for (age_days, is_old) in [(-1, false), (OLD_PRICES, false), (OLD_PRICES + 1, true)] {
        let mut health = health(stores.stores.clone(), None);
        let sources = Arc::get_mut(&mut health.sources).unwrap();
        sources.providers = Some(Arc::new(Asking(age_days)));
        let status = json(&health.status().await);
        let provider = &status["providers"][0];
        assert_eq!(provider["circuit"], "open");
        assert_eq!(provider["retry_after_seconds"], 5);
        let checks = health.checks().await;
        let prices = checks.iter().find(|check| check.name == "prices").unwrap();
        assert_eq!(prices.failure, None);
        assert_eq!(prices.warning.is_some(), is_old, "{age_days}");
    }
}

/// Hangs, as a driver may.
struct Hung(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl GpuProbe for Hung {
    fn probe(&self) -> Option<Vec<Gpu>> {
        let _ = self.0.lock().unwrap().recv();
        None
    }
}

#[tokio::test]
async fn a_driver_that_hangs_holds_up_one_thread_and_no_answer() {
    let stores = Stores::new();
    let (release, held) = std::sync::mpsc::channel();
    let gpus: Arc<dyn GpuProbe> = Arc::new(Hung(std::sync::Mutex::new(held)));
    let health = health(stores.stores.clone(), Some(gpus));
    assert_eq!(health.gpus().await, None);
    assert!(health.is_probing.load(Ordering::Relaxed));
    assert_eq!(health.gpus().await, None);
    drop(release);
}

#[tokio::test]
async fn what_is_away_is_named_without_its_address_and_asked_once() {
    let stores = Stores::new();
    let away = Arc::new(Away::default());
    let stores = JobStores {
        logs: Arc::clone(&away) as Arc<dyn EventLog>,
        ..stores.stores.clone()
    };
    let health = health(stores, None);
    for _ in 0..5 {
        let checks = health.checks().await;
        let failed: Vec<&Check> = checks.iter().filter(|it| it.failure.is_some()).collect();
        assert_eq!(failed.len(), 1, "{checks:?}");
        assert_eq!(failed[0].name, "events");
        assert_eq!(failed[0].failure, Some("it does not answer"));
    }
    assert_eq!(away.0.load(Ordering::Relaxed), 1);
}
