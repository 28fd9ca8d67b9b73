use std::{sync::Arc, time::Duration};

use llmopt_domain::{JobState, StateEvent, TrainingJob};
use llmopt_storage::{Delivery, StorageError};

use crate::{
    JobStores, ServiceError,
    clock::now_ms,
    job_claim::left,
    job_log::JobLog,
    training_jobs::{active_jobs, note_announced, stored},
};

/// How long a message is relied on: a queue keeps one for 14 days.
const MESSAGE_LIFE: Duration = Duration::from_secs(13 * 24 * 3600);

/// Hands jobs to those who start workers, and sees to it that none is forgotten.
#[derive(Clone)]
pub struct Dispatcher {
    stores: JobStores,
    log: JobLog,
    lease: Duration,
}

/// A job to start a worker for.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The job.
    pub job: String,
    delivery: Delivery,
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// In good order: the job's record says what came of it.
    Orderly,
    /// It died, of this.
    Crashed(String),
    /// A store did not answer, which says nothing of the job: another tries a while later.
    Hindered(String),
}

impl WorkerEnd {
    fn reason(&self) -> &str {
        match self {
            Self::Orderly => "the trainer left it",
            Self::Crashed(reason) | Self::Hindered(reason) => reason,
        }
    }
}

impl Dispatcher {
    /// Hands out the jobs in `stores`; claims hold for `lease`.
    pub fn new(stores: JobStores, lease: Duration) -> Self {
        Self {
            log: JobLog::new(Arc::clone(&stores.logs)),
            stores,
            lease,
        }
    }

    /// Returns a job that waits for a worker, if there is one.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn next(&self) -> Result<Option<Dispatch>, ServiceError> {
        while let Some(delivery) = self.stores.queue.receive(self.lease).await? {
            let dispatch = Dispatch {
                job: delivery.body.clone(),
                delivery,
            };
            match stored(&*self.stores.records, &dispatch.job).await {
                Ok(stored) => match waits(&stored.record) {
                    Wait::Not => return Ok(Some(dispatch)),
                    Wait::For(time) => self.hide(&dispatch, time).await?,
                    Wait::Forever => self.done(&dispatch).await?,
                },
                Err(ServiceError::UnknownTrainingJob(_)) => {
                    tracing::warn!(
                        job = dispatch.job,
                        "a message names no job: it is a dead letter now"
                    );
                    self.stores.queue.bury(&dispatch.delivery).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Keeps others from starting a worker for the job meanwhile; to be called within each lease.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn keep(&self, dispatch: &Dispatch) -> Result<(), ServiceError> {
        self.hide(dispatch, self.lease).await
    }

    /// Returns whether the worker called `worker` should have renewed its claim long ago and has not.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn is_silent(&self, dispatch: &Dispatch, worker: &str) -> Result<bool, ServiceError> {
        let job = stored(&*self.stores.records, &dispatch.job).await?.record;
        Ok(job
            .claim
            .is_some_and(|claim| claim.worker == worker && self.is_long_past(claim.expires_ms)))
    }

    /// Takes in that the worker called `worker` has ended: a job that it still had waits for another.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn ended(
        &self,
        dispatch: &Dispatch,
        worker: &str,
        end: &WorkerEnd,
    ) -> Result<(), ServiceError> {
        let job = self.take_from(&dispatch.job, worker, end).await?;
        match (waits(&job), end) {
            // It cannot be worked on now.
            (Wait::Not, WorkerEnd::Orderly | WorkerEnd::Hindered(_)) => {
                self.hide(dispatch, self.lease).await
            }
            (Wait::Not, WorkerEnd::Crashed(_)) => self.hide(dispatch, Duration::ZERO).await,
            (Wait::For(time), _) => self.hide(dispatch, time).await,
            // What killed so many workers is kept for those who look for the reason.
            (Wait::Forever, _) if job.is_exhausted() => {
                Ok(self.stores.queue.bury(&dispatch.delivery).await?)
            }
            (Wait::Forever, _) => self.done(dispatch).await,
        }
    }

    /// Sends a message for each job that nobody was told of, or whose worker has been gone for longer
    /// than a lease. To be called now and then: a process that dies between writing a record and sending
    /// its message leaves a job without.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn sweep(&self) -> Result<(), ServiceError> {
        for job in active_jobs(&*self.stores.records).await? {
            let job = match &job.claim {
                Some(claim) if self.is_long_past(claim.expires_ms) => {
                    let end = WorkerEnd::Crashed("its claim expired".to_owned());
                    self.take_from(&job.id, &claim.worker, &end).await?
                }
                // Lists lag.
                _ => stored(&*self.stores.records, &job.id).await?.record,
            };
            let is_owed = if job.announced {
                is_past(job.updated_ms, MESSAGE_LIFE)
            } else {
                self.is_long_past(job.updated_ms)
            };
            if is_owed && matches!(waits(&job), Wait::Not) {
                self.announce(&job.id).await?;
            }
        }
        Ok(())
    }

    /// Takes in that what ran the workers of a job has given up, of `reason`: a job that waits for them
    /// has failed. `worker` is what their names begin with, `begun_ms` when they were asked for.
    ///
    /// # Errors
    /// [`ServiceError::UnknownTrainingJob`], or [`ServiceError::Storage`].
    pub async fn given_up(
        &self,
        id: &str,
        worker: &str,
        begun_ms: u64,
        reason: &str,
    ) -> Result<(), ServiceError> {
        loop {
            let known = stored(&*self.stores.records, id).await?;
            let job = &known.record;
            if !job.state.is_active() || !job.depends_on(worker, begun_ms) {
                return Ok(());
            }
            let message = format!("{reason}; mend what caused it, then resume the job");
            let failed = job.failed(message.clone(), now_ms());
            match self.stores.records.replace(known.revision, &failed).await {
                Ok(_) => return self.log.state(id, StateEvent::Failed { message }).await,
                Err(StorageError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn announce(&self, id: &str) -> Result<(), ServiceError> {
        self.stores.queue.send(id).await?;
        note_announced(&*self.stores.records, id).await
    }

    fn is_long_past(&self, time_ms: u64) -> bool {
        is_past(time_ms, self.lease)
    }

    async fn take_from(
        &self,
        id: &str,
        worker: &str,
        end: &WorkerEnd,
    ) -> Result<TrainingJob, ServiceError> {
        loop {
            let known = stored(&*self.stores.records, id).await?;
            let job = match (known.record.released(worker, now_ms()), end) {
                (Ok(job), _) => job,
                (Err(_), WorkerEnd::Crashed(reason)) if known.record.state == JobState::Queued => {
                    known.record.never_begun(reason, now_ms())
                }
                // It ended in good order, or lost the job before.
                (Err(_), _) => return Ok(known.record),
            };
            match self.stores.records.replace(known.revision, &job).await {
                Ok(_) => {
                    self.log.state(id, left(&job, end.reason())).await?;
                    return Ok(job);
                }
                Err(StorageError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn hide(&self, dispatch: &Dispatch, time: Duration) -> Result<(), ServiceError> {
        match self
            .stores
            .queue
            .extend(&dispatch.delivery.receipt, time)
            .await
        {
            // Someone else has the message; the record decides who has the job.
            Ok(()) | Err(StorageError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn done(&self, dispatch: &Dispatch) -> Result<(), ServiceError> {
        let receipt = &dispatch.delivery.receipt;
        Ok(self.stores.queue.acknowledge(receipt).await?)
    }
}

/// Returns whether `time_ms` was longer ago than `time`.
fn is_past(time_ms: u64, time: Duration) -> bool {
    Duration::from_millis(time_ms) + time < Duration::from_millis(now_ms())
}

/// How long a job is not to be given to a worker.
enum Wait {
    Not,
    For(Duration),
    Forever,
}

fn waits(job: &TrainingJob) -> Wait {
    match (job.state, &job.claim) {
        (JobState::Queued, _) | (JobState::Running, None) => Wait::Not,
        (JobState::Running, Some(claim)) => match claim.expires_ms.checked_sub(now_ms()) {
            Some(left @ 1..) => Wait::For(Duration::from_millis(left)),
            _ => Wait::Not,
        },
        (JobState::Stopped | JobState::Succeeded | JobState::Failed, _) => Wait::Forever,
    }
}

#[cfg(test)]
mod tests;
