use super::*;
use crate::testing::Stores;

const LEASE: Duration = Duration::from_millis(300);

fn worker(stores: &Stores, name: &str) -> JobWorker {
    JobWorker {
        records: Arc::clone(&stores.stores.records),
        logs: Arc::clone(&stores.stores.logs),
        name: name.to_owned(),
        lease: LEASE,
    }
}

async fn claim(stores: &Stores, name: &str) -> ClaimedJob {
    match worker(stores, name).claim("j").await.unwrap() {
        Claimed::Mine(job) => *job,
        Claimed::Busy(_) => panic!("another has it"),
        Claimed::Over(state) => panic!("it is {}", state.as_str()),
    }
}

fn step(step: u64) -> TrainingEvent {
    TrainingEvent::Step {
        step,
        total_steps: 9,
        loss: 1.0,
        gradient_norm: 1.0,
        learning_rate: 0.1,
        tokens: 10,
        tokens_per_second: 5.0,
        peak_memory_bytes: 1,
        peak_gpu_memory_bytes: None,
        seconds_left: 2.0,
    }
}

fn published(version: u32) -> TrainingEvent {
    TrainingEvent::Published {
        key: "k".to_owned(),
        version,
        seconds: 1.0,
    }
}

#[tokio::test]
async fn a_worker_that_is_silent_for_a_lease_has_lost_its_job() {
    let stores = Stores::new();
    stores.job("j").await;
    let first = claim(&stores, "first").await;
    let second = worker(&stores, "second").claim("j").await.unwrap();
    assert!(matches!(second, Claimed::Busy(until) if until > now_ms()));
    tokio::time::sleep(LEASE * 2).await;
    let second = claim(&stores, "second").await;
    assert_eq!(first.tend().await.unwrap(), Tended::Lost);
    assert!(matches!(
        first.reserve(1, None).await,
        Err(ServiceError::ClaimLost { .. })
    ));
    first.report(&published(1));
    assert!(first.succeed().await.is_err());
    assert!(first.fail("late").await.is_err());
    assert!(first.release("late").await.is_err());
    assert_eq!(second.tend().await.unwrap(), Tended::GoOn);
    assert_eq!(stores.record("j").await.state, JobState::Running);
}

#[tokio::test]
async fn exactly_one_of_a_hundred_workers_gets_a_job() {
    let stores = Stores::new();
    stores.job("j").await;
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..100 {
        let worker = JobWorker {
            lease: Duration::from_secs(60),
            ..worker(&stores, &format!("w{number}"))
        };
        workers.spawn(async move { worker.claim("j").await.unwrap() });
    }
    let claims = workers.join_all().await;
    let mine = claims.iter().filter(|it| matches!(it, Claimed::Mine(_)));
    assert_eq!(mine.count(), 1);
    assert_eq!(stores.events("j").await, ["claimed"]);
}

#[tokio::test]
async fn a_worker_that_tends_its_job_keeps_it() {
    let stores = Stores::new();
    stores.job("j").await;
    let first = claim(&stores, "first").await;
    for _ in 0..12 {
        tokio::time::sleep(LEASE / 6).await;
        assert_eq!(first.tend().await.unwrap(), Tended::GoOn);
        let second = worker(&stores, "second").claim("j").await.unwrap();
        assert!(matches!(second, Claimed::Busy(_)));
    }
}

#[tokio::test]
async fn what_was_reported_is_in_the_log_and_in_the_record_at_the_end() {
    let stores = Stores::new();
    stores.job("j").await;
    let job = claim(&stores, "first").await;
    job.report(&step(1));
    job.report(&TrainingEvent::Checkpoint { step: 1 });
    job.tend().await.unwrap();
    job.report(&step(2));
    assert_eq!(job.reserve(4, None).await.unwrap(), 4);
    job.report(&published(4));
    job.succeed().await.unwrap();
    let record = stores.record("j").await;
    assert_eq!(record.state, JobState::Succeeded);
    assert_eq!((record.version, record.claim), (Some(4), None));
    assert_eq!(record.progress.step, 2);
    assert_eq!(record.progress.checkpoint, Some(1));
    assert_eq!(
        stores.events("j").await,
        [
            "claimed",
            "step",
            "checkpoint",
            "step",
            "published",
            "succeeded"
        ]
    );
    let again = worker(&stores, "second").claim("j").await.unwrap();
    assert!(matches!(again, Claimed::Over(JobState::Succeeded)));
}

#[tokio::test]
async fn a_worker_sees_that_the_owner_wants_the_job_stopped() {
    let stores = Stores::new();
    stores.job("j").await;
    let job = claim(&stores, "first").await;
    let known = stores.stores.records.get("j").await.unwrap();
    let asked = known.record.stopped(now_ms()).unwrap();
    let replaced = stores.stores.records.replace(known.revision, &asked).await;
    replaced.unwrap();
    assert_eq!(job.tend().await.unwrap(), Tended::Stop);
    job.release("asked to").await.unwrap();
    assert_eq!(stores.record("j").await.state, JobState::Stopped);
    assert_eq!(stores.events("j").await, ["claimed", "stopped"]);
}

#[tokio::test]
async fn a_version_that_was_fixed_before_is_kept_unless_it_is_taken() {
    let stores = Stores::new();
    stores.job("j").await;
    let first = claim(&stores, "first").await;
    assert_eq!(first.reserve(3, None).await.unwrap(), 3);
    first.release("going").await.unwrap();
    let second = claim(&stores, "second").await;
    assert_eq!(second.reserve(5, None).await.unwrap(), 3);
    assert_eq!(second.reserve(6, Some(3)).await.unwrap(), 6);
}

#[tokio::test]
async fn a_number_that_json_does_not_have_makes_no_record_unreadable() {
    let stores = Stores::new();
    stores.job("j").await;
    let known = stores.stores.records.get("j").await.unwrap();
    let mut job = known.record.clone();
    job.progress.evaluation = Some(llmopt_domain::EvaluationMetrics {
        rows: 1,
        loss: f64::NAN,
        perplexity: f64::INFINITY,
        exact_match: None,
    });
    let replaced = stores.stores.records.replace(known.revision, &job).await;
    assert!(replaced.is_err(), "{replaced:?}");
    assert_eq!(stores.record("j").await, known.record);
}

#[tokio::test]
async fn a_trainer_that_ends_without_a_model_has_failed() {
    let stores = Stores::new();
    stores.job("j").await;
    let job = claim(&stores, "first").await;
    job.succeed().await.unwrap();
    let record = stores.record("j").await;
    assert_eq!(record.state, JobState::Failed);
    let message = record.failure.unwrap().message;
    assert!(message.contains("without publishing"), "{message}");
}

/// What happens to appends to a log.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// They are done, and nobody is told.
    Unanswered,
    /// They are not done.
    Away,
}

struct FaultyLog {
    inner: Arc<dyn EventLog>,
    fault: Arc<Mutex<Fault>>,
}

#[async_trait::async_trait]
impl EventLog for FaultyLog {
    async fn append(&self, log: &str, last: u64, bodies: &[String]) -> Result<u64, StorageError> {
        let fault = *self.fault.lock().unwrap();
        if fault != Fault::Away {
            let appended = self.inner.append(log, last, bodies).await?;
            if fault == Fault::None {
                return Ok(appended);
            }
        }
        Err(StorageError::Unavailable {
            operation: "append to",
            subject: log.to_owned(),
            source: "tests".into(),
        })
    }

    async fn last(&self, log: &str) -> Result<u64, StorageError> {
        self.inner.last(log).await
    }

    async fn read(
        &self,
        log: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<llmopt_storage::LogEntry>, StorageError> {
        self.inner.read(log, after, limit).await
    }

    async fn delete(&self, log: &str) -> Result<(), StorageError> {
        self.inner.delete(log).await
    }
}

/// Claims the job with a log on which `fault` decides from then on.
async fn claim_with_faults(stores: &Stores) -> (ClaimedJob, Arc<Mutex<Fault>>) {
    let fault = Arc::new(Mutex::new(Fault::None));
    let log = FaultyLog {
        inner: Arc::clone(&stores.stores.logs),
        fault: Arc::clone(&fault),
    };
    let worker = JobWorker {
        logs: Arc::new(log),
        ..worker(stores, "first")
    };
    match worker.claim("j").await.unwrap() {
        Claimed::Mine(job) => (*job, fault),
        Claimed::Busy(_) | Claimed::Over(_) => panic!("it is free"),
    }
}

#[tokio::test]
async fn an_event_whose_writing_was_not_answered_is_in_the_log_once() {
    let stores = Stores::new();
    stores.job("j").await;
    let (job, fault) = claim_with_faults(&stores).await;
    *fault.lock().unwrap() = Fault::Unanswered;
    job.report(&step(1));
    assert!(job.tend().await.is_err());
    job.report(&TrainingEvent::Checkpoint { step: 1 });
    // Someone else writes in between.
    let log = JobLog::new(Arc::clone(&stores.stores.logs));
    log.state("j", StateEvent::Stopped).await.unwrap();
    *fault.lock().unwrap() = Fault::None;
    job.tend().await.unwrap();
    job.report(&step(2));
    job.tend().await.unwrap();
    assert_eq!(
        stores.events("j").await,
        ["claimed", "step", "stopped", "checkpoint", "step"]
    );
}

#[tokio::test]
async fn a_worker_keeps_its_job_while_the_log_is_away_and_tells_later() {
    let stores = Stores::new();
    stores.job("j").await;
    let (job, fault) = claim_with_faults(&stores).await;
    *fault.lock().unwrap() = Fault::Away;
    for number in 0..9 {
        job.report(&step(number));
        tokio::time::sleep(LEASE / 3).await;
        assert!(job.tend().await.is_err());
    }
    let second = worker(&stores, "second").claim("j").await.unwrap();
    assert!(matches!(second, Claimed::Busy(_)));
    *fault.lock().unwrap() = Fault::None;
    job.release("going").await.unwrap();
    let mut expected = vec!["claimed"];
    expected.extend(["step"; 9]);
    expected.push("requeued");
    assert_eq!(stores.events("j").await, expected);
}

#[tokio::test]
async fn a_worker_that_lost_its_job_writes_nothing_more() {
    let stores = Stores::new();
    stores.job("j").await;
    let first = claim(&stores, "first").await;
    tokio::time::sleep(LEASE * 2).await;
    let _second = claim(&stores, "second").await;
    first.report(&step(7));
    assert!(first.release("late").await.is_err());
    assert!(first.fail("late").await.is_err());
    assert_eq!(stores.events("j").await, ["claimed", "claimed"]);
}
