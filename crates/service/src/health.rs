use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use llmopt_domain::{JobState, ObjectKey, error_chain};
use llmopt_storage::{Listing, QueueDepth, StorageError};
use llmopt_telemetry::{Meter, RequestSummary};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::{CacheStatus, JobStores, Machine, TextGenerator, machine::Memory};

/// How long a check may take before it counts as failed, and a count before it is unknown.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long checks count: whoever asks more often is told what was found before, and costs nothing.
const FRESH: Duration = Duration::from_secs(10);
/// Jobs of one state that are counted at most.
const COUNTED: u32 = 1_000;

/// How the platform fares. Nothing here loads a model, waits for long, or asks a store more often than it says.
#[derive(Clone)]
pub struct Health {
    sources: Arc<HealthSources>,
    started: Instant,
    checked: Found<Vec<Check>>,
    counted: Found<Counts>,
    is_probing: Arc<AtomicBool>,
}

/// What was found, and when.
type Found<T> = Arc<Mutex<Option<(Instant, T)>>>;

/// What health is read from.
pub struct HealthSources {
    /// The stores of the platform.
    pub stores: JobStores,
    /// Who answers in this process, if anybody does.
    pub generator: Option<Arc<dyn TextGenerator>>,
    /// Who counts requests.
    pub meter: Arc<dyn Meter>,
    /// Who looks at GPUs, if anybody does.
    pub gpus: Option<Arc<dyn GpuProbe>>,
    /// Whose disk is looked at.
    pub data_dir: PathBuf,
    /// The version of the code.
    pub version: String,
    /// What the process may take of memory, where whoever runs it says so.
    pub memory_limit_bytes: Option<u64>,
    /// How long a count of jobs and messages counts, which costs where stores are paid by the read.
    pub count_every: Duration,
}

/// That the GPUs are being asked, until it is dropped.
struct Probing(Arc<AtomicBool>);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Looks at the GPUs of the machine.
pub trait GpuProbe: Send + Sync {
    /// Returns what each does; `None` where there are none. May block.
    fn probe(&self) -> Option<Vec<Gpu>>;
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Gpu {
    /// Its name.
    pub name: String,
    /// Its memory.
    pub memory_bytes: u64,
    /// What of that is taken, by whomever.
    pub memory_used_bytes: u64,
    /// The share of the last moments in which it computed, from 0 to 1; `None` where it does not tell.
    pub utilization: Option<f64>,
}

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// What is wrong, if anything is: no more than whoever asks may know. The log says why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<&'static str>,
}

/// How everything is. What is not known is `None`, and never 0.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Status {
    /// The version of the code.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// What the process has of its machine.
    #[serde(flatten)]
    pub machine: Machine,
    /// The GPUs of the machine; `None` where there are none.
    pub gpus: Option<Vec<Gpu>>,
    /// The requests of this process since it started; `None` where others answer, too.
    pub requests: Option<Requests>,
    /// The jobs in each state; at most 1,000 of one are counted.
    pub jobs: Option<JobCounts>,
    /// The messages of the training queue.
    pub queue: Option<QueueCounts>,
    /// The models in memory; `None` where they are in another process's.
    pub model_cache: Option<CacheFigures>,
    /// What `ready` checks.
    pub checks: Vec<Check>,
}

/// The requests of a process.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Requests {
    /// Those that came to their end.
    pub total: u64,
    /// Those under way, this one included.
    pub active: u64,
    /// Those that ended, by the class of their status.
    #[serde(serialize_with = "as_map")]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub by_status: Vec<(&'static str, u64)>,
    /// How long they took, once one has ended.
    pub latency_ms: Option<Latencies>,
}

/// How long requests took at most, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Latencies {
    /// The faster half.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of a hundred.
    pub p99: f64,
}

/// The models in memory, and how often they were there.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CacheFigures {
    /// What is in memory.
    #[serde(flatten)]
    pub status: CacheStatus,
    /// The share of requests that found their model in memory; `None` before the first.
    pub hit_rate: Option<f64>,
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobCounts {
    /// Those that wait for a worker.
    pub queued: u64,
    /// Those that a worker has.
    pub running: u64,
    /// Those that were stopped.
    pub stopped: u64,
    /// Those whose model is published.
    pub succeeded: u64,
    /// Those that cannot succeed.
    pub failed: u64,
}

/// How many messages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueCounts {
    /// Those that wait.
    pub waiting: u64,
    /// Those that somebody works on.
    pub taken: u64,
    /// Dead letters.
    pub dead: u64,
}

/// What stores were asked for.
#[derive(Clone, Copy)]
struct Counts {
    jobs: Option<JobCounts>,
    queue: Option<QueueCounts>,
}

impl Health {
    /// Looks after the process with these sources from now on.
    pub fn new(sources: HealthSources) -> Self {
        Self {
            sources: Arc::new(sources),
            started: Instant::now(),
            checked: Found::default(),
            counted: Found::default(),
            is_probing: Arc::default(),
        }
    }

    /// Checks everything that a request may need, at most every 10 s however many ask.
    pub async fn checks(&self) -> Vec<Check> {
        lately(&self.checked, FRESH, self.check_all()).await
    }

    async fn check_all(&self) -> Vec<Check> {
        // A list of none asks some stores for nothing.
        let one = Listing {
            limit: 1,
            ..Listing::default()
        };
        let records = self.sources.stores.records.list(&one);
        let queue = self.sources.stores.queue.dead_letters(1);
        let bases = ObjectKey::bases();
        let folders = self.sources.stores.folders.list(&bases);
        let logs = self.sources.stores.logs.last("ready");
        let (records, logs, queue, folders) = tokio::join!(
            check("records", records),
            check("events", logs),
            check("queue", queue),
            check("folders", folders)
        );
        vec![records, logs, queue, folders]
    }

    /// Tells how everything is.
    pub async fn status(&self) -> Status {
        let sources = &*self.sources;
        let counts = lately(&self.counted, sources.count_every, self.count());
        let (machine, gpus, counts, checks) =
            tokio::join!(self.machine(), self.gpus(), counts, self.checks());
        Status {
            version: sources.version.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            machine,
            gpus,
            requests: sources.meter.requests().map(Requests::from),
            jobs: counts.jobs,
            queue: counts.queue,
            model_cache: sources
                .generator
                .as_ref()
                .and_then(|it| it.cache())
                .map(CacheFigures::from),
            checks,
        }
    }

    async fn machine(&self) -> Machine {
        let (sources, uptime) = (Arc::clone(&self.sources), self.started.elapsed());
        let read = move || {
            let mut machine = Machine::read(&sources.data_dir, uptime);
            let Memory { limit_bytes, .. } = &mut machine.memory;
            *limit_bytes = sources.memory_limit_bytes.or(*limit_bytes);
            machine
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_default()
    }

    /// Asks the GPUs, one at a time: where a driver hangs, only one thread waits for it.
    async fn gpus(&self) -> Option<Vec<Gpu>> {
        let probe = Arc::clone(self.sources.gpus.as_ref()?);
        if self.is_probing.swap(true, Ordering::AcqRel) {
            return None;
        }
        let probing = Probing(Arc::clone(&self.is_probing));
        let probed = tokio::task::spawn_blocking(move || {
            let _probing = probing;
            probe.probe()
        });
        let probed = tokio::time::timeout(PATIENCE, probed).await;
        probed.ok()?.ok()?
    }

    async fn count(&self) -> Counts {
        let (jobs, queue) = tokio::join!(
            known("jobs", self.count_jobs()),
            known("messages", self.sources.stores.queue.depth())
        );
        Counts {
            jobs,
            queue: queue.map(QueueCounts::from),
        }
    }

    async fn count_jobs(&self) -> Result<JobCounts, StorageError> {
        let (queued, running, stopped, succeeded, failed) = tokio::try_join!(
            self.in_state(JobState::Queued),
            self.in_state(JobState::Running),
            self.in_state(JobState::Stopped),
            self.in_state(JobState::Succeeded),
            self.in_state(JobState::Failed),
        )?;
        Ok(JobCounts {
            queued,
            running,
            stopped,
            succeeded,
            failed,
        })
    }

    async fn in_state(&self, state: JobState) -> Result<u64, StorageError> {
        let listing = Listing {
            group: Some(state.as_str().to_owned()),
            after: None,
            limit: COUNTED,
        };
        let found = self.sources.stores.records.list(&listing).await?;
        Ok(found.records.len() as u64)
    }
}

impl From<RequestSummary> for Requests {
    fn from(summary: RequestSummary) -> Self {
        Self {
            total: summary.total,
            active: summary.active,
            by_status: summary.by_status,
            latency_ms: summary.latency.map(|latency| Latencies {
                p50: latency.p50_ms,
                p90: latency.p90_ms,
                p99: latency.p99_ms,
            }),
        }
    }
}

impl From<CacheStatus> for CacheFigures {
    fn from(status: CacheStatus) -> Self {
        let all = status.hits + status.misses;
        Self {
            hit_rate: (all > 0).then(|| status.hits as f64 / all as f64),
            status,
        }
    }
}

impl From<QueueDepth> for QueueCounts {
    fn from(depth: QueueDepth) -> Self {
        Self {
            waiting: depth.waiting,
            taken: depth.taken,
            dead: depth.dead,
        }
    }
}

fn as_map<S: Serializer>(counts: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(counts.len()))?;
    for (name, count) in counts {
        map.serialize_entry(name, count)?;
    }
    map.end()
}

/// Returns what was found within `fresh`, else finds it anew, once for all who ask.
async fn lately<T: Clone>(found: &Found<T>, fresh: Duration, find: impl Future<Output = T>) -> T {
    let mut found = found.lock().await;
    match &*found {
        Some((at, what)) if at.elapsed() < fresh => what.clone(),
        _ => {
            let what = find.await;
            *found = Some((Instant::now(), what.clone()));
            what
        }
    }
}

/// Returns what a store counted; what it did not is unknown, and why is in the log.
async fn known<T>(
    name: &'static str,
    count: impl Future<Output = Result<T, StorageError>>,
) -> Option<T> {
    match tokio::time::timeout(PATIENCE, count).await {
        Ok(Ok(count)) => Some(count),
        Ok(Err(error)) => {
            tracing::error!(name, error = %error_chain(&error), "something cannot be counted");
            None
        }
        Err(_) => {
            tracing::error!(
                name,
                "something was not counted within {} s",
                PATIENCE.as_secs()
            );
            None
        }
    }
}

async fn check<T>(
    name: &'static str,
    work: impl Future<Output = Result<T, StorageError>>,
) -> Check {
    let failure = match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => {
            tracing::error!(name, error = %error_chain(&error), "a check failed");
            Some(match error {
                StorageError::Unavailable { .. } => "it does not answer",
                StorageError::NoSpace { .. } => "it is full",
                _ => "it cannot be used: the log says why",
            })
        }
        Err(_) => {
            tracing::error!(
                name,
                "a check had no answer within {} s",
                PATIENCE.as_secs()
            );
            Some("it does not answer")
        }
    };
    Check { name, failure }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use async_trait::async_trait;
    use llmopt_storage::{EventLog, LogEntry};

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
        for unknown in ["gpus", "requests", "model_cache"] {
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
}
