use super::*;
use crate::{Claimed, ClaimedJob, JobWorker, testing::Stores};

const LEASE: Duration = Duration::from_millis(300);

fn dispatcher(stores: &Stores) -> Dispatcher {
    Dispatcher::new(stores.stores.clone(), LEASE)
}

async fn claim(stores: &Stores, name: &str) -> ClaimedJob {
    let worker = JobWorker {
        records: Arc::clone(&stores.stores.records),
        logs: Arc::clone(&stores.stores.logs),
        name: name.to_owned(),
        lease: LEASE,
    };
    match worker.claim("j").await.unwrap() {
        Claimed::Mine(job) => *job,
        _ => panic!("the job is not free"),
    }
}

fn crashed() -> WorkerEnd {
    WorkerEnd::Crashed("signal 9".to_owned())
}

#[tokio::test]
async fn a_job_whose_message_was_never_sent_is_found_by_a_sweep() {
    let stores = Stores::new();
    stores.job("j").await;
    let dispatcher = dispatcher(&stores);
    assert!(dispatcher.next().await.unwrap().is_none());
    dispatcher.sweep().await.unwrap();
    assert_eq!(dispatcher.next().await.unwrap().unwrap().job, "j");
}

#[tokio::test]
async fn messages_of_jobs_that_are_over_or_unknown_are_taken_out() {
    let stores = Stores::new();
    stores.job("j").await;
    claim(&stores, "w").await.fail("bad").await.unwrap();
    for job in ["j", "unknown"] {
        stores.stores.queue.send(job).await.unwrap();
    }
    let dispatcher = dispatcher(&stores);
    assert!(dispatcher.next().await.unwrap().is_none());
    tokio::time::sleep(LEASE * 2).await;
    let left = stores.stores.queue.receive(LEASE).await.unwrap();
    assert!(left.is_none(), "{left:?}");
}

#[tokio::test]
async fn a_job_that_another_has_is_handed_out_when_its_claim_has_expired() {
    let stores = Stores::new();
    stores.job("j").await;
    stores.stores.queue.send("j").await.unwrap();
    let _silent = claim(&stores, "w").await;
    let dispatcher = dispatcher(&stores);
    assert!(dispatcher.next().await.unwrap().is_none());
    tokio::time::sleep(LEASE * 2).await;
    assert_eq!(dispatcher.next().await.unwrap().unwrap().job, "j");
}

#[tokio::test]
async fn a_job_whose_worker_died_is_handed_out_at_once() {
    let stores = Stores::new();
    stores.job("j").await;
    stores.stores.queue.send("j").await.unwrap();
    let dispatcher = dispatcher(&stores);
    let dispatch = dispatcher.next().await.unwrap().unwrap();
    let _dead = claim(&stores, "w").await;
    dispatcher.keep(&dispatch).await.unwrap();
    dispatcher.ended(&dispatch, "w", &crashed()).await.unwrap();
    assert_eq!(stores.record("j").await.state, JobState::Queued);
    assert_eq!(stores.events("j").await, ["claimed", "requeued"]);
    assert!(dispatcher.next().await.unwrap().is_some());
}

#[tokio::test]
async fn a_job_that_a_worker_gave_back_is_left_alone_for_a_while() {
    let stores = Stores::new();
    stores.job("j").await;
    stores.stores.queue.send("j").await.unwrap();
    let dispatcher = dispatcher(&stores);
    let dispatch = dispatcher.next().await.unwrap().unwrap();
    claim(&stores, "w").await.release("not now").await.unwrap();
    let ended = dispatcher.ended(&dispatch, "w", &WorkerEnd::Orderly).await;
    ended.unwrap();
    assert!(dispatcher.next().await.unwrap().is_none());
    tokio::time::sleep(LEASE * 2).await;
    assert!(dispatcher.next().await.unwrap().is_some());
}

#[tokio::test]
async fn a_job_whose_workers_die_before_they_claim_it_fails_with_the_reason() {
    let stores = Stores::new();
    stores.job("j").await;
    stores.stores.queue.send("j").await.unwrap();
    let dispatcher = dispatcher(&stores);
    let mut deaths = 0;
    while let Some(dispatch) = dispatcher.next().await.unwrap() {
        dispatcher.ended(&dispatch, "w", &crashed()).await.unwrap();
        deaths += 1;
    }
    assert_eq!(deaths, 5);
    let record = stores.record("j").await;
    assert_eq!(record.state, JobState::Failed);
    assert!(record.failure.unwrap().message.contains("signal 9"));
    assert_eq!(stores.events("j").await.last().unwrap(), "failed");
}

#[tokio::test]
async fn a_job_that_was_to_stop_is_stopped_when_its_worker_dies() {
    let stores = Stores::new();
    stores.job("j").await;
    stores.stores.queue.send("j").await.unwrap();
    let dispatcher = dispatcher(&stores);
    let dispatch = dispatcher.next().await.unwrap().unwrap();
    let _dead = claim(&stores, "w").await;
    let known = stores.stores.records.get("j").await.unwrap();
    let asked = known.record.stopped(now_ms()).unwrap();
    let replaced = stores.stores.records.replace(known.revision, &asked).await;
    replaced.unwrap();
    dispatcher.ended(&dispatch, "w", &crashed()).await.unwrap();
    assert_eq!(stores.record("j").await.state, JobState::Stopped);
    assert!(dispatcher.next().await.unwrap().is_none());
}
