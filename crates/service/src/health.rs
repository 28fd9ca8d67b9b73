use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use llmopt_domain::{JobState, ObjectKey};
use llmopt_storage::Listing;
use serde::Serialize;

use crate::{CacheStatus, JobStores, ServiceError, TextGenerator};

/// How long a check may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Jobs of one state that are counted at most.
const COUNTED: u32 = 1_000;

/// How the platform fares. Nothing here spends money, loads a model or waits for long.
#[derive(Clone)]
pub struct Health {
    stores: JobStores,
    generator: Option<Arc<dyn TextGenerator>>,
    version: String,
    started: Instant,
}

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// How everything is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The version of the code.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_seconds: u64,
    /// The process's resident memory in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
    /// The jobs in each state; at most 1,000 of one are counted.
    pub jobs: JobCounts,
    /// The models in memory; `None` where they are in another process's.
    pub model_cache: Option<CacheStatus>,
    /// What `ready` checks.
    pub checks: Vec<Check>,
}

/// How many jobs there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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

impl Health {
    /// Looks after the process that has these stores, and this generator if one, from now on.
    pub fn new(
        stores: JobStores,
        generator: Option<Arc<dyn TextGenerator>>,
        version: &str,
    ) -> Self {
        Self {
            stores,
            generator,
            version: version.to_owned(),
            started: Instant::now(),
        }
    }

    /// Checks everything that a request may need.
    pub async fn checks(&self) -> Vec<Check> {
        // A list of none asks some stores for nothing.
        let one = Listing {
            limit: 1,
            ..Listing::default()
        };
        let records = self.stores.records.list(&one);
        let queue = self.stores.queue.dead_letters(1);
        let bases = ObjectKey::bases();
        let folders = self.stores.folders.places(&bases);
        let (records, queue, folders) = tokio::join!(
            check("records", records),
            check("queue", queue),
            check("folders", folders)
        );
        vec![records, queue, folders]
    }

    /// Tells how everything is.
    ///
    /// # Errors
    /// [`ServiceError::Storage`] if the jobs cannot be counted.
    pub async fn status(&self) -> Result<Status, ServiceError> {
        Ok(Status {
            version: self.version.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            memory_bytes: resident_bytes().await,
            jobs: self.count().await?,
            model_cache: self.generator.as_ref().and_then(|it| it.cache()),
            checks: self.checks().await,
        })
    }

    async fn count(&self) -> Result<JobCounts, ServiceError> {
        Ok(JobCounts {
            queued: self.in_state(JobState::Queued).await?,
            running: self.in_state(JobState::Running).await?,
            stopped: self.in_state(JobState::Stopped).await?,
            succeeded: self.in_state(JobState::Succeeded).await?,
            failed: self.in_state(JobState::Failed).await?,
        })
    }

    async fn in_state(&self, state: JobState) -> Result<u64, ServiceError> {
        let listing = Listing {
            group: Some(state.as_str().to_owned()),
            after: None,
            limit: COUNTED,
        };
        Ok(self.stores.records.list(&listing).await?.records.len() as u64)
    }
}

async fn check<T, E: std::fmt::Display>(
    name: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Check {
    let failure = match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    Check { name, failure }
}

/// Reads the process's resident memory, which Linux tells in KiB.
async fn resident_bytes() -> Option<u64> {
    let text = tokio::fs::read_to_string("/proc/self/status").await.ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes * 1024)
}
