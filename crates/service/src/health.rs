mod figures;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use llmopt_domain::{JobState, ObjectKey, error_chain};
use llmopt_storage::{Listing, StorageError};
use llmopt_telemetry::Meter;
use tokio::sync::Mutex;

use crate::{JobStores, Machine, TextGenerator, machine::Memory};

pub use figures::{
    CacheFigures, Check, Gpu, JobCounts, Latencies, ProviderCircuit, ProviderFigures, QueueCounts,
    Requests, Status,
};

/// How long a check may take before it counts as failed, and a count before it is unknown.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long checks count: whoever asks more often is told what was found before, and costs nothing.
const FRESH: Duration = Duration::from_secs(10);
/// Jobs of one state that are counted at most.
const COUNTED: u32 = 1_000;
/// The age of a table of prices, in days, after which somebody should look for a newer one: what `llmopt prices check`
/// takes for old.
const OLD_PRICES: i64 = 90;

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
    /// Who asks providers of commercial models in this process, if anybody does.
    pub providers: Option<Arc<dyn ProviderProbe>>,
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

/// Looks at the providers of commercial models, and at their prices. Asks nobody.
pub trait ProviderProbe: Send + Sync {
    /// Returns how each provider that is configured has done lately, as this process saw it.
    fn providers(&self) -> Vec<ProviderFigures>;

    /// Returns how many days ago the prices were changed last.
    fn price_age_days(&self) -> i64;
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
        let mut checks = vec![records, logs, queue, folders];
        let providers = self.sources.providers.as_deref();
        checks.extend(providers.map(|it| check_prices(it.price_age_days())));
        checks
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
            providers: sources.providers.as_ref().map(|it| it.providers()),
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
    Check {
        name,
        failure,
        warning: None,
    }
}

/// Prices that are old are better than none, so that they are no failure.
fn check_prices(age_days: i64) -> Check {
    let is_old = age_days > OLD_PRICES;
    if is_old {
        tracing::warn!(
            age_days,
            "the table of prices is old: what is billed may be another amount"
        );
    }
    Check {
        name: "prices",
        failure: None,
        warning: is_old.then_some("they are old: put a newer table of prices there"),
    }
}

#[cfg(test)]
mod tests;
