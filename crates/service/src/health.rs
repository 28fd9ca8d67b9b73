use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use llmopt_domain::{JobState, ObjectKey, error_chain};
use llmopt_storage::{Listing, StorageError};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::{CacheStatus, JobStores, ServiceError, TextGenerator};

/// How long a check may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long checks count: whoever asks more often is told what was found before, and costs nothing.
const FRESH: Duration = Duration::from_secs(10);
/// Jobs of one state that are counted at most.
const COUNTED: u32 = 1_000;

/// How the platform fares. Nothing here spends money, loads a model or waits for long.
#[derive(Clone)]
pub struct Health {
    stores: JobStores,
    generator: Option<Arc<dyn TextGenerator>>,
    version: String,
    started: Instant,
    checked: Arc<Mutex<Option<Checked>>>,
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

/// What was found, and when.
type Checked = (Instant, Vec<Check>);

/// How everything is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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
            checked: Arc::default(),
        }
    }

    /// Checks everything that a request may need, at most every 10 s however many ask.
    pub async fn checks(&self) -> Vec<Check> {
        let mut checked = self.checked.lock().await;
        match &*checked {
            Some((at, checks)) if at.elapsed() < FRESH => checks.clone(),
            _ => {
                let checks = self.check_all().await;
                *checked = Some((Instant::now(), checks.clone()));
                checks
            }
        }
    }

    async fn check_all(&self) -> Vec<Check> {
        // A list of none asks some stores for nothing.
        let one = Listing {
            limit: 1,
            ..Listing::default()
        };
        let records = self.stores.records.list(&one);
        let queue = self.stores.queue.dead_letters(1);
        let bases = ObjectKey::bases();
        let folders = self.stores.folders.places(&bases);
        let logs = self.stores.logs.last("ready");
        let (records, logs, queue, folders) = tokio::join!(
            check("records", records),
            check("events", logs),
            check("queue", queue),
            check("folders", folders)
        );
        vec![records, logs, queue, folders]
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

/// Reads the process's resident memory, which Linux tells in KiB.
async fn resident_bytes() -> Option<u64> {
    let text = tokio::fs::read_to_string("/proc/self/status").await.ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

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

    #[tokio::test]
    async fn what_is_away_is_named_without_its_address_and_asked_once() {
        let stores = Stores::new();
        let away = Arc::new(Away::default());
        let stores = JobStores {
            logs: Arc::clone(&away) as Arc<dyn EventLog>,
            ..stores.stores.clone()
        };
        let health = Health::new(stores, None, "1");
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
