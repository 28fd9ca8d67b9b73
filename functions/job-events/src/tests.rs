use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use llmopt_domain::{JobSpec, JobState, Picodollars, TrainingJob};
use llmopt_service::{Claimed, ClaimedJob, JobStores, JobWorker};
use llmopt_spending::{Ask, BudgetLimits, LogAlerts, Outcome};
use llmopt_storage::spend::{Asked, BudgetScope, RequestId};
use llmopt_storage_embedded::{
    Database, FileFolderStore, SqliteEventLog, SqliteMessageQueue, SqliteRecordStore,
    SqliteSpendStore,
};
use serde_json::json;

use super::*;

const LEASE: Duration = Duration::from_secs(60);

struct Place {
    stores: JobStores,
    spending: Spending,
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
        let spending = folder.path().join(SqliteSpendStore::FILE_NAME);
        let spending = SqliteSpendStore::open(&spending).unwrap();
        let job = TrainingJob::new("j", spec(), vec!["d".to_owned()], 1);
        stores.records.create(&job).await.unwrap();
        Self {
            stores,
            spending: Spending::new(Arc::new(spending), Arc::new(LogAlerts)),
            _folder: folder,
        }
    }

    async fn claim(&self, worker: &str) -> Box<ClaimedJob> {
        let worker = JobWorker {
            records: Arc::clone(&self.stores.records),
            logs: Arc::clone(&self.stores.logs),
            name: worker.to_owned(),
            lease: LEASE,
        };
        match worker.claim("j").await.unwrap() {
            Claimed::Mine(claimed) => claimed,
            Claimed::Busy(_) | Claimed::Over(_) => panic!("the job is another's"),
        }
    }

    async fn take_in(&self, event: Value) {
        let dispatcher = Dispatcher::new(self.stores.clone(), LEASE);
        let taken = super::take_in(&dispatcher, &self.spending, &event);
        taken.await.unwrap();
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
    batch_of(status, batch_job, job, now_ms())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}

fn batch_of(status: &str, batch_job: &str, job: &str, created_ms: u64) -> Value {
    json!({
        "source": "aws.batch",
        "detail-type": "Batch Job State Change",
        "detail": {
            "jobId": batch_job,
            "createdAt": created_ms,
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

#[tokio::test]
async fn a_job_that_its_trainer_gave_back_waits_for_that_ones_batch_job_alone() {
    let place = Place::with_a_job().await;
    // A pipe told two Batch jobs of it; one has it, and its machine is taken away.
    let claimed = place.claim("batch-b1-1").await;
    claimed.release("the machine goes").await.unwrap();
    place.take_in(batch("FAILED", "b2", "j")).await;
    assert_eq!(place.job().await.state, JobState::Queued);
    place.take_in(batch("FAILED", "b1", "j")).await;
    assert_eq!(place.job().await.state, JobState::Failed);
}

#[tokio::test]
async fn a_late_event_does_not_fail_a_job_that_was_resumed() {
    let place = Place::with_a_job().await;
    drop(place.claim("batch-b1-1").await);
    let begun = now_ms() - 600_000;
    let event = batch_of("FAILED", "b1", "j", begun);
    place.take_in(event.clone()).await;
    let failed = place.stores.records.get("j").await.unwrap();
    let resumed = failed.record.resumed(None, None, now_ms()).unwrap();
    let replaced = place.stores.records.replace(failed.revision, &resumed);
    replaced.await.unwrap();
    place.take_in(event).await;
    assert_eq!(place.job().await.state, JobState::Queued);
    place.take_in(batch("FAILED", "b3", "j")).await;
    assert_eq!(place.job().await.state, JobState::Failed);
}

#[tokio::test]
async fn nobody_is_told_of_a_job_that_batch_starts_again_by_itself() {
    let place = Place::with_a_job().await;
    let job = place.stores.records.get("j").await.unwrap();
    let announced = job.record.announced(1);
    let replaced = place.stores.records.replace(job.revision, &announced);
    replaced.await.unwrap();
    place
        .claim("batch-b1-1")
        .await
        .release("spot")
        .await
        .unwrap();
    let mut job = place.stores.records.get("j").await.unwrap();
    // Long ago, but not so long that a message would have expired.
    job.record.updated_ms = now_ms() - 24 * 3_600_000;
    let replaced = place.stores.records.replace(job.revision, &job.record);
    let mut job = replaced.await.unwrap();
    place.take_in(json!({"source": "aws.scheduler"})).await;
    assert!(place.stores.queue.receive(LEASE).await.unwrap().is_none());
    job.record.updated_ms = now_ms() - 14 * 24 * 3_600_000;
    let replaced = place.stores.records.replace(job.revision, &job.record);
    replaced.await.unwrap();
    place.take_in(json!({"source": "aws.scheduler"})).await;
    assert!(place.stores.queue.receive(LEASE).await.unwrap().is_some());
}

/// A request that was sent to a provider, and whose process died.
async fn abandon(spending: &Spending) {
    let scope = BudgetScope::try_from("all".to_owned()).unwrap();
    let limits = BudgetLimits {
        total: Picodollars::new(100),
        ..BudgetLimits::default()
    };
    spending.set_budget(&scope, &limits, 1).await.unwrap();
    let ask = Ask {
        request: RequestId::try_from("r1".to_owned()).unwrap(),
        bound: Picodollars::new(7).unwrap(),
        scopes: vec![scope],
        asked: Asked {
            key: String::new(),
            model: "m".to_owned(),
            provider: "p".to_owned(),
            price_version: "v".to_owned(),
        },
        now_ms: now_ms() - 2_000,
        expires_ms: now_ms() - 1_000,
    };
    let Outcome::Reserved(reservation) = spending.reserve(&ask).await.unwrap() else {
        panic!("the budget is enough");
    };
    spending.mark_sent(&reservation).await.unwrap();
}

/// What is spent of the budget, and how many requests hold some of it.
async fn stands(spending: &Spending) -> (u64, usize) {
    let scope = BudgetScope::try_from("all".to_owned()).unwrap();
    let standing = spending.standing(&scope, now_ms()).await.unwrap();
    let row = &standing[0].row;
    (row.spent.get(), row.holds.len())
}

#[tokio::test]
async fn what_was_abandoned_at_a_provider_costs_its_bound_when_a_sweep_is_asked_for() {
    let place = Place::with_a_job().await;
    abandon(&place.spending).await;
    place.take_in(json!({"source": "aws.scheduler"})).await;
    assert_eq!(stands(&place.spending).await, (0, 1));
    for _ in 0..2 {
        place.take_in(json!({"sweep": "spending"})).await;
        assert_eq!(stands(&place.spending).await, (7, 0));
    }
    // It is no look for jobs.
    let told = place.stores.queue.receive(LEASE).await.unwrap();
    assert_eq!(told.unwrap().body, "j", "of the first event");
    assert!(place.stores.queue.receive(LEASE).await.unwrap().is_none());
}
