//! A worker that waits for jobs: it takes them from the queue, one after the other.

use std::{
    process,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use llmopt_domain::error_chain;
use llmopt_service::{Dispatch, Dispatcher, JobWorker, ServiceError, WorkerEnd};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::{JobPlace, TrainerError, run_claimed};

/// How long to wait between two looks at a queue that has nothing, beyond what the queue itself waits.
const POLL: Duration = Duration::from_millis(200);
/// How long to leave a store alone that did not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// Trains the jobs that `dispatcher` hands out until the process is asked to stop. Each is claimed under
/// a name of its own, which begins with that of `worker`.
///
/// # Errors
/// None for a job: its record tells. Stores that do not answer are asked again.
pub fn work(
    worker: &JobWorker,
    dispatcher: &Dispatcher,
    place: &JobPlace<'_>,
) -> Result<(), TrainerError> {
    let mut swept: Option<Instant> = None;
    let mut taken = 0_u64;
    while !place.stop.requested() {
        match place.runtime.block_on(dispatcher.next()) {
            Ok(Some(dispatch)) => {
                taken += 1;
                let worker = JobWorker {
                    name: format!("{}-{taken}", worker.name),
                    ..worker.clone()
                };
                if let Err(error) = train(&worker, dispatcher, &dispatch, place) {
                    out_of_reach(&error);
                }
            }
            Ok(None) => {
                if swept.is_none_or(|at| at.elapsed() >= worker.lease) {
                    swept = Some(Instant::now());
                    if let Err(error) = place.runtime.block_on(dispatcher.sweep()) {
                        out_of_reach(&error);
                    }
                }
                std::thread::sleep(POLL);
            }
            Err(error) => out_of_reach(&error),
        }
    }
    Ok(())
}

/// Returns a name that no other worker has: another process may have had our number before.
pub fn worker_name() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default().as_millis();
    format!("worker-{}-{since}", process::id())
}

fn train(
    worker: &JobWorker,
    dispatcher: &Dispatcher,
    dispatch: &Dispatch,
    place: &JobPlace<'_>,
) -> Result<(), ServiceError> {
    let (ended, end_of_job) = oneshot::channel();
    let keeping = keep(
        dispatcher.clone(),
        dispatch.clone(),
        worker.lease,
        end_of_job,
        place,
    );
    let ran = run_claimed(worker, &dispatch.job, place);
    drop(ended);
    let _ = place.runtime.block_on(keeping);
    let end = match ran {
        Ok(_) => WorkerEnd::Orderly,
        Err(error) if error.is_passing() => WorkerEnd::Hindered(error_chain(&error)),
        Err(error) => WorkerEnd::Crashed(error_chain(&error)),
    };
    place
        .runtime
        .block_on(dispatcher.ended(dispatch, &worker.name, &end))
}

/// Keeps the message hidden from other workers until the job has ended.
fn keep(
    dispatcher: Dispatcher,
    dispatch: Dispatch,
    lease: Duration,
    mut end_of_job: oneshot::Receiver<()>,
    place: &JobPlace<'_>,
) -> JoinHandle<()> {
    place.runtime.spawn(async move {
        while timeout(lease / 3, &mut end_of_job).await.is_err() {
            if let Err(error) = dispatcher.keep(&dispatch).await {
                tracing::warn!(%error, "a job's message cannot be kept");
            }
        }
    })
}

fn out_of_reach(error: &ServiceError) {
    tracing::warn!(
        error = error_chain(error),
        "the jobs cannot be looked after now"
    );
    std::thread::sleep(PAUSE);
}
