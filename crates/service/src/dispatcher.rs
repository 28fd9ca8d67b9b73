use std::{sync::Arc, time::Duration};

use llmopt_domain::{JobState, TrainingJob};
use llmopt_storage::{Receipt, StorageError};

use crate::{
    JobStores, ServiceError,
    clock::now_ms,
    job_claim::left,
    job_log::JobLog,
    training_jobs::{active_jobs, stored},
};

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
    receipt: Receipt,
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// In good order: the job's record says what came of it.
    Orderly,
    /// It died, of this.
    Crashed(String),
}

impl WorkerEnd {
    fn reason(&self) -> &str {
        match self {
            Self::Orderly => "the trainer left it",
            Self::Crashed(reason) => reason,
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
                job: delivery.body,
                receipt: delivery.receipt,
            };
            match stored(&*self.stores.records, &dispatch.job).await {
                Ok(stored) => match waits(&stored.record) {
                    Wait::Not => return Ok(Some(dispatch)),
                    Wait::For(time) => self.hide(&dispatch, time).await?,
                    Wait::Forever => self.done(&dispatch).await?,
                },
                Err(ServiceError::UnknownTrainingJob(_)) => self.done(&dispatch).await?,
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
        Ok(job.claim.is_some_and(|claim| {
            claim.worker == worker && Duration::from_millis(claim.expires_ms) + self.lease < now()
        }))
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
            // It was given back because it cannot be worked on now.
            (Wait::Not, WorkerEnd::Orderly) => self.hide(dispatch, self.lease).await,
            (Wait::Not, WorkerEnd::Crashed(_)) => self.hide(dispatch, Duration::ZERO).await,
            (Wait::For(time), _) => self.hide(dispatch, time).await,
            (Wait::Forever, _) => self.done(dispatch).await,
        }
    }

    /// Sends a message for each job that waits for a worker. To be called where no message is there:
    /// a process that dies between writing a record and sending its message leaves a job without.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn sweep(&self) -> Result<(), ServiceError> {
        for job in active_jobs(&*self.stores.records).await? {
            if matches!(waits(&job), Wait::Not) {
                self.stores.queue.send(&job.id).await?;
            }
        }
        Ok(())
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
        match self.stores.queue.extend(&dispatch.receipt, time).await {
            // Someone else has the message; the record decides who has the job.
            Ok(()) | Err(StorageError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn done(&self, dispatch: &Dispatch) -> Result<(), ServiceError> {
        Ok(self.stores.queue.acknowledge(&dispatch.receipt).await?)
    }
}

fn now() -> Duration {
    Duration::from_millis(now_ms())
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
