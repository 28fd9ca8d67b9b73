use super::*;
use crate::{BaseModel, ColumnMap, DatasetFile, Digest, TrainingConfig};

const LEASE: u64 = 1_000;

fn job() -> TrainingJob {
    let digest = Digest::of_bytes(b"x");
    let spec = JobSpec {
        format: 1,
        model: "ft:gpt2:orders".parse().unwrap(),
        base: BaseModel {
            name: "gpt2".to_owned(),
            digest: digest.clone(),
            path: "/data/bases/gpt2".into(),
        },
        dataset: DatasetFile {
            digest,
            path: "/data/datasets/a/rows.jsonl".into(),
            columns: ColumnMap::default(),
        },
        evaluation: None,
        config: TrainingConfig::default(),
        code_version: "0.1.0".to_owned(),
        data_dir: "/data".into(),
    };
    TrainingJob::new("0123456789ab", spec, vec!["a".to_owned()], 10)
}

fn at_checkpoint(step: u64) -> JobProgress {
    JobProgress {
        step,
        checkpoint: Some(step),
        ..JobProgress::default()
    }
}

#[test]
fn one_worker_at_a_time_has_a_job() {
    let claimed = job().claimed("a", 100, LEASE).unwrap();
    assert_eq!(claimed.state, JobState::Running);
    assert_eq!(
        claimed.claimed("b", 1_099, LEASE),
        Err(JobRefusal::Claimed { until_ms: 1_100 })
    );
    let renewed = claimed.renewed("a", at_checkpoint(3), 900, LEASE).unwrap();
    assert!(renewed.claimed("b", 1_100, LEASE).is_err());
    let taken = renewed.claimed("b", 1_900, LEASE).unwrap();
    assert_eq!(taken.claim.as_ref().unwrap().worker, "b");
    assert_eq!(
        taken.renewed("a", at_checkpoint(3), 1_901, LEASE),
        Err(JobRefusal::Lost)
    );
    assert_eq!(taken.succeeded("a", 1, 1_901), Err(JobRefusal::Lost));
    assert_eq!(taken.reserved("a", 1, 1_901), Err(JobRefusal::Lost));
}

#[test]
fn a_job_whose_trainers_die_without_a_checkpoint_is_given_up() {
    let mut job = job();
    for attempt in 0..5 {
        job = job.claimed("a", attempt, LEASE).unwrap();
        job = job.released("a", attempt).unwrap();
    }
    assert_eq!(job.claimed("a", 9, LEASE), Err(JobRefusal::Exhausted));
    let failed = job.failed("given up", 9);
    let again = failed.resumed(None, None, 10).unwrap();
    assert_eq!(
        (again.state, again.failure.clone()),
        (JobState::Queued, None)
    );
    assert!(again.claimed("a", 11, LEASE).is_ok());
}

#[test]
fn a_job_whose_trainers_never_start_is_given_up_with_the_reason() {
    let mut job = job();
    for attempt in 0..4 {
        job = job.never_begun("no libtorch", attempt);
        assert_eq!(job.state, JobState::Queued);
    }
    let failed = job.never_begun("no libtorch", 9);
    assert_eq!(failed.state, JobState::Failed);
    assert!(failed.failure.unwrap().message.ends_with(": no libtorch"));
}

#[test]
fn a_checkpoint_lets_a_job_try_again() {
    let mut job = job();
    for attempt in 1..50 {
        job = job.claimed("a", attempt, LEASE).unwrap();
        let progress = at_checkpoint(attempt / 4);
        job = job.renewed("a", progress, attempt, LEASE).unwrap();
        job = job.released("a", attempt).unwrap();
    }
    assert_eq!(job.state, JobState::Queued);
}

#[test]
fn a_stop_takes_effect_at_once_unless_someone_works_on_the_job() {
    let queued = job();
    assert_eq!(queued.stopped(20).unwrap().state, JobState::Stopped);
    let running = queued.claimed("a", 100, LEASE).unwrap();
    let asked = running.stopped(200).unwrap();
    assert!(asked.stop_requested && asked.state == JobState::Running);
    let stopped = asked.released("a", 300).unwrap();
    assert_eq!(stopped.state, JobState::Stopped);
    assert!(!stopped.stop_requested);
    assert_eq!(running.stopped(1_100).unwrap().state, JobState::Stopped);
    assert_eq!(
        stopped.stopped(400),
        Err(JobRefusal::State(JobState::Stopped))
    );
}

#[test]
fn a_job_that_has_ended_is_not_claimed_and_one_that_is_active_is_not_resumed() {
    let running = job().claimed("a", 100, LEASE).unwrap();
    let done = running.succeeded("a", 4, 200).unwrap();
    assert_eq!(done.version, Some(4));
    assert_eq!(
        done.claimed("b", 9_999, LEASE),
        Err(JobRefusal::State(JobState::Succeeded))
    );
    for active in [&job(), &running, &done] {
        assert_eq!(
            active.resumed(None, None, 300),
            Err(JobRefusal::State(active.state))
        );
    }
}

#[test]
fn a_job_is_queued_anew_where_what_it_published_is_gone() {
    let running = job().claimed("a", 100, LEASE).unwrap();
    let moved = JobSpec {
        data_dir: "/elsewhere".into(),
        ..running.spec.clone()
    };
    let done = running.succeeded("a", 1, 200).unwrap();
    assert_eq!(done.resubmitted(moved.clone(), || false, 300), done);
    let anew = done.resubmitted(moved.clone(), || true, 300);
    assert_eq!((anew.state, anew.version), (JobState::Queued, None));
    assert_eq!(anew.created_ms, done.created_ms);
    let failed = running
        .failed("bad", 200)
        .resubmitted(moved.clone(), || true, 300);
    assert_eq!((failed.state, &failed.spec), (JobState::Failed, &moved));
    assert_eq!(running.resubmitted(moved, || true, 300), running);
}

#[test]
fn a_resumed_job_shows_the_checkpoint_it_goes_on_from() {
    let running = job().claimed("a", 100, LEASE).unwrap();
    let renewed = running.renewed("a", at_checkpoint(8), 150, LEASE).unwrap();
    let stopped = renewed.stopped(200).unwrap().released("a", 210).unwrap();
    let resumed = stopped.resumed(Some(6), Some(8), 300).unwrap();
    assert_eq!(resumed.progress.step, 6);
    assert_eq!(resumed.progress.checkpoint, Some(6));
    assert_eq!(resumed.resume_from, Some(6));
    let claimed = resumed.claimed("b", 400, LEASE).unwrap();
    assert_eq!(claimed.rewound("b", 410).unwrap().resume_from, None);
    let last = stopped.resumed(None, Some(8), 300).unwrap();
    assert_eq!((last.progress.step, last.resume_from), (8, None));
}

#[test]
fn the_record_of_format_1_is_written_and_read() {
    let job = job()
        .claimed("worker-1", 20, LEASE)
        .unwrap()
        .renewed("worker-1", at_checkpoint(3), 30, LEASE)
        .unwrap();
    let golden = include_str!("../../golden/training_job.v1.json");
    assert_eq!(serde_json::to_string_pretty(&job).unwrap() + "\n", golden);
    assert_eq!(serde_json::from_str::<TrainingJob>(golden).unwrap(), job);
    let mut earlier = job;
    (earlier.queued_ms, earlier.last_worker) = (0, None);
    let without = golden.replacen("  \"queued_ms\": 10,\n", "", 1).replacen(
        "  \"last_worker\": \"worker-1\",\n",
        "",
        1,
    );
    assert_eq!(
        serde_json::from_str::<TrainingJob>(&without).unwrap(),
        earlier
    );
    let later = golden.replacen("\"format\": 1", "\"format\": 2", 1);
    let error = serde_json::from_str::<TrainingJob>(&later).unwrap_err();
    assert!(error.to_string().contains("expected 1"), "{error}");
}

#[test]
fn events_of_both_kinds_are_told_apart_when_they_are_read() {
    let bodies = [
        JobEventBody::State(StateEvent::Queued),
        JobEventBody::State(StateEvent::Resumed { step: Some(3) }),
        JobEventBody::Training(TrainingEvent::Checkpoint { step: 7 }),
        JobEventBody::Training(TrainingEvent::Preparing {
            what: "tokenizing".to_owned(),
        }),
    ];
    for body in bodies {
        let event = JobEvent { time_ms: 5, body };
        let json = serde_json::to_string(&event).unwrap();
        assert!(json.starts_with("{\"time_ms\":5,\"event\":"), "{json}");
        assert_eq!(serde_json::from_str::<JobEvent>(&json).unwrap(), event);
    }
}
