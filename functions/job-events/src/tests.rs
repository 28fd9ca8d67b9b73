use std::{num::NonZeroU32, sync::Arc, time::Duration};

use llmopt_domain::{JobSpec, JobState, TrainingJob};
use llmopt_service::{Claimed, JobStores, JobWorker};
use llmopt_storage_embedded::{
    Database, FileFolderStore, SqliteEventLog, SqliteMessageQueue, SqliteRecordStore,
};
use serde_json::json;

use super::*;

const LEASE: Duration = Duration::from_secs(60);

struct Place {
    stores: JobStores,
    _folder: tempfile::TempDir,
}

impl Place {
    /// Keeps one job, which was submitted long ago and is called `j`.
    async fn with_a_job() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join(Database::FILE_NAME)).unwrap();
        let receives = NonZeroU32::new(5).unwrap();
        let stores = JobStores {
            folders: Arc::new(FileFolderStore::open(folder.path()).unwrap()),
            records: Arc::new(SqliteRecordStore::new(database.clone())),
            logs: Arc::new(SqliteEventLog::new(database.clone())),
            queue: Arc::new(SqliteMessageQueue::new(database, "jobs", receives)),
        };
        let job = TrainingJob::new("j", spec(), vec!["d".to_owned()], 1);
        stores.records.create(&job).await.unwrap();
        Self {
            stores,
            _folder: folder,
        }
    }

    async fn claim(&self, worker: &str) {
        let worker = JobWorker {
            records: Arc::clone(&self.stores.records),
            logs: Arc::clone(&self.stores.logs),
            name: worker.to_owned(),
            lease: LEASE,
        };
        let claimed = worker.claim("j").await.unwrap();
        assert!(matches!(claimed, Claimed::Mine(_)));
    }

    async fn take_in(&self, event: Value) {
        let dispatcher = Dispatcher::new(self.stores.clone(), LEASE);
        super::take_in(&dispatcher, &event).await.unwrap();
    }

    async fn job(&self) -> TrainingJob {
        self.stores.records.get("j").await.unwrap().record
    }
}

/// What some job was asked to do.
fn spec() -> JobSpec {
    let golden = include_str!("../../../crates/domain/golden/training_job.v1.json");
    serde_json::from_str::<TrainingJob>(golden).unwrap().spec
}

fn batch(status: &str, batch_job: &str, job: &str) -> Value {
    json!({
        "source": "aws.batch",
        "detail-type": "Batch Job State Change",
        "detail": {
            "jobId": batch_job,
            "jobName": "training",
            "status": status,
            "statusReason": "Host EC2 (instance i-0123) terminated.",
            "parameters": { "job": job },
            "attempts": [],
        }
    })
}

#[tokio::test]
async fn a_job_that_batch_gave_up_has_failed_with_the_reason() {
    let place = Place::with_a_job().await;
    place.claim("batch-b1-1").await;
    place.take_in(batch("FAILED", "b1", "j")).await;
    let job = place.job().await;
    assert_eq!(job.state, JobState::Failed);
    let message = job.failure.unwrap().message;
    assert!(
        message.contains("Host EC2") && message.contains("`b1`"),
        "{message}"
    );
}

#[tokio::test]
async fn a_job_that_no_trainer_had_yet_has_failed_too() {
    let place = Place::with_a_job().await;
    place.take_in(batch("FAILED", "b1", "j")).await;
    assert_eq!(place.job().await.state, JobState::Failed);
}

#[tokio::test]
async fn a_job_that_another_trainer_has_goes_on() {
    let place = Place::with_a_job().await;
    place.claim("batch-b2-1").await;
    place.take_in(batch("FAILED", "b1", "j")).await;
    assert_eq!(place.job().await.state, JobState::Running);
}

#[tokio::test]
async fn what_is_no_failure_of_a_job_of_ours_changes_nothing() {
    let place = Place::with_a_job().await;
    let before = place.job().await;
    place.take_in(batch("SUCCEEDED", "b1", "j")).await;
    place.take_in(batch("FAILED", "b1", "unknown")).await;
    place
        .take_in(json!({"source": "aws.batch", "detail": {"jobId": "b"}}))
        .await;
    assert_eq!(place.job().await, before);
}

#[tokio::test]
async fn a_schedule_finds_a_job_that_nobody_was_told_of_once() {
    let place = Place::with_a_job().await;
    for _ in 0..3 {
        place.take_in(json!({"source": "aws.scheduler"})).await;
    }
    let received = place.stores.queue.receive(LEASE).await.unwrap();
    assert_eq!(received.unwrap().body, "j");
    let second = place.stores.queue.receive(LEASE).await.unwrap();
    assert!(second.is_none(), "{second:?}");
}
