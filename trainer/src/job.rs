//! A job that has a record: claimed, tended while it is trained, and ended in the record.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use llmopt_domain::error_chain;
use llmopt_service::{
    Claimed, ClaimedJob, JobWorker, Jobs, ServiceError, Tended, check_unchanged, localise,
};
use llmopt_storage::FolderStore;
use tokio::{runtime::Runtime, sync::oneshot, task::JoinHandle, time::timeout};

use crate::{Events, Outcome, StopSignal, TrainerError, Worker, run_job};

/// How often the record is looked at.
const BEAT: Duration = Duration::from_millis(250);

/// Where a worker does its job.
pub struct JobPlace<'a> {
    /// Checkpoints and artifacts.
    pub folders: &'a dyn FolderStore,
    /// The folder of everything.
    pub data_dir: &'a Path,
    /// What drives the stores.
    pub runtime: &'a Runtime,
    /// Asks the worker to end after the step it is at.
    pub stop: &'a StopSignal,
    /// The version of the code that trains.
    pub code_version: &'a str,
}

/// How long to wait for a job that another worker has, beyond the end of its claim.
const MARGIN: Duration = Duration::from_secs(1);

/// How a worker's part of a job ended; the record says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// The job is over: published, failed or stopped, now or before.
    Over,
    /// It was given back, and waits for another worker.
    Left,
    /// Another worker has it.
    Elsewhere,
}

/// Claims the job called `id`, trains it and notes the end in its record.
///
/// # Errors
/// If the stores do not answer, or anything else that passes ([`TrainerError::is_passing`]): the job is
/// another worker's once the claim has expired.
pub fn run_claimed(
    worker: &JobWorker,
    id: &str,
    place: &JobPlace<'_>,
) -> Result<JobEnd, TrainerError> {
    match place.runtime.block_on(worker.claim(id))? {
        Claimed::Mine(claimed) => run(*claimed, place),
        Claimed::Busy(_) => Ok(JobEnd::Elsewhere),
        Claimed::Over(_) => Ok(JobEnd::Over),
    }
}

/// As [`run_claimed`], but where another worker has the job, waits whether it still renews its claim:
/// whoever started this process starts none again, and the other may have died with its machine.
///
/// # Errors
/// As [`run_claimed`].
pub fn run_patiently(
    worker: &JobWorker,
    id: &str,
    place: &JobPlace<'_>,
) -> Result<JobEnd, TrainerError> {
    let mut busy_until = None;
    while !place.stop.requested() {
        let claimed = place.runtime.block_on(worker.claim(id))?;
        match claimed {
            Claimed::Mine(claimed) => return run(*claimed, place),
            Claimed::Over(_) => return Ok(JobEnd::Over),
            Claimed::Busy(until) if busy_until.is_some_and(|before| before != until) => {
                // It lives, and has the job.
                return Ok(JobEnd::Elsewhere);
            }
            Claimed::Busy(until) => {
                busy_until = Some(until);
                wait_until(until, place.stop);
            }
        }
    }
    Ok(JobEnd::Left)
}

fn wait_until(until_ms: u64, stop: &StopSignal) {
    let until = UNIX_EPOCH + Duration::from_millis(until_ms) + MARGIN;
    while !stop.requested() && SystemTime::now() < until {
        std::thread::sleep(BEAT);
    }
}

fn run(claimed: ClaimedJob, place: &JobPlace<'_>) -> Result<JobEnd, TrainerError> {
    let claimed = Arc::new(claimed);
    let (ended, end_of_training) = oneshot::channel();
    // Its owner stops this job, not the process.
    let stop = place.stop.part();
    let tending = tend(Arc::clone(&claimed), place, &stop, end_of_training);
    let trained = train(&claimed, place, &stop);
    drop(ended);
    // Waited for: what it is at must not be cut off, nor come after the end.
    let _ = place.runtime.block_on(tending);
    end(&claimed, trained, place.runtime)
}

fn train(
    claimed: &ClaimedJob,
    place: &JobPlace<'_>,
    stop: &StopSignal,
) -> Result<Outcome, TrainerError> {
    let record = place.runtime.block_on(claimed.record());
    let spec = localise(&record, place.folders, place.data_dir);
    let spec = place.runtime.block_on(spec)?;
    check_unchanged(&spec, None, place.code_version)?;
    let job = spec
        .identity()
        .map_err(|source| TrainerError::Event(source.into()))?;
    let jobs = Jobs::new(place.folders, place.data_dir);
    let _lock = jobs.lock(&job)?;
    jobs.save(&job, &spec)?;
    if let Some(step) = record.resume_from {
        place.runtime.block_on(jobs.rewind(&job, step))?;
        place.runtime.block_on(claimed.rewound())?;
    }
    let worker = Worker {
        store: place.folders,
        runtime: place.runtime,
        stop,
        claim: Some(claimed),
    };
    run_job(&spec, true, &worker, &mut Events::Job(claimed))
}

/// Tends the job until training ends. A worker that has lost its job stops as if it were asked to,
/// and cannot publish.
fn tend(
    claimed: Arc<ClaimedJob>,
    place: &JobPlace<'_>,
    stop: &StopSignal,
    mut end_of_training: oneshot::Receiver<()>,
) -> JoinHandle<()> {
    let stop = stop.clone();
    place.runtime.spawn(async move {
        while timeout(BEAT, &mut end_of_training).await.is_err() {
            match claimed.tend().await {
                Ok(Tended::GoOn) => {}
                Ok(Tended::Stop) => stop.request(),
                Ok(Tended::Lost) => {
                    tracing::warn!("another worker has this job now");
                    return stop.request();
                }
                Err(error) => tracing::warn!(%error, "the job's record cannot be reached"),
            }
        }
    })
}

fn end(
    claimed: &ClaimedJob,
    trained: Result<Outcome, TrainerError>,
    runtime: &Runtime,
) -> Result<JobEnd, TrainerError> {
    let (noted, end) = match trained {
        Ok(Outcome::Published) => (runtime.block_on(claimed.succeed()), JobEnd::Over),
        Ok(Outcome::Interrupted) => {
            let reason = "the trainer was asked to stop";
            let released = runtime.block_on(claimed.release(reason));
            // Whose owner asked for it has stopped.
            let waits = runtime.block_on(claimed.record()).state.is_active();
            (released, if waits { JobEnd::Left } else { JobEnd::Over })
        }
        Err(error) => match service_error(&error) {
            Some(ServiceError::ClaimLost { .. }) => (Ok(()), JobEnd::Elsewhere),
            _ if error.is_passing() => return Err(error),
            _ => {
                let message = explanation(&error);
                tracing::error!(message, "the job failed");
                (runtime.block_on(claimed.fail(&message)), JobEnd::Over)
            }
        },
    };
    match noted {
        Ok(()) => Ok(end),
        Err(ServiceError::ClaimLost { .. }) => Ok(JobEnd::Elsewhere),
        Err(error) => Err(error.into()),
    }
}

/// Says why a job failed, and what to do next.
fn explanation(error: &TrainerError) -> String {
    let text = error_chain(error);
    match service_error(error).and_then(ServiceError::next_step) {
        Some(next) => format!("{text}; {next}"),
        None => text,
    }
}

fn service_error(error: &TrainerError) -> Option<&ServiceError> {
    match error {
        TrainerError::Service(error) => Some(error),
        _ => None,
    }
}
