use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use llmopt_domain::{
    JobEvent, JobEventBody, JobProgress, JobRefusal, JobState, StateEvent, TrainingEvent,
    TrainingJob,
};
use llmopt_storage::{EventLog, RecordStore, StorageError, Stored};
use tokio::sync::Mutex as AsyncMutex;

use crate::{ServiceError, clock::now_ms, job_log::JobLog, training_jobs::stored};

/// Events that are written at once: after a store was away for long there are more than it takes.
const PART: usize = 500;

/// Someone who trains: what it works with, whatever the job.
#[derive(Clone)]
pub struct JobWorker {
    /// The jobs.
    pub records: Arc<dyn RecordStore<TrainingJob>>,
    /// Their logs.
    pub logs: Arc<dyn EventLog>,
    /// The worker's name, which no other has.
    pub name: String,
    /// How long a claim holds without another word.
    pub lease: Duration,
}

/// What came of asking for a job.
pub enum Claimed {
    /// The worker has it.
    Mine(Box<ClaimedJob>),
    /// Another has it, until this many milliseconds since 1970 at least.
    Busy(u64),
    /// There is nothing to do.
    Over(JobState),
}

/// A job that this worker has, for as long as it tends it.
pub struct ClaimedJob {
    worker: JobWorker,
    log: JobLog,
    stored: AsyncMutex<Stored<TrainingJob>>,
    reported: Mutex<Reported>,
}

/// What the trainer said and the stores do not know yet.
#[derive(Default)]
struct Reported {
    events: Vec<JobEvent>,
    /// Of the first events, whose writing failed: how many they are, and which number of the log they were
    /// to follow. They may be there.
    tried: Option<(usize, u64)>,
    progress: JobProgress,
    version: Option<u32>,
}

impl Reported {
    /// Takes the first events out, at most `count`, or those that were tried before with their place.
    fn take(&mut self, count: usize) -> (Vec<JobEvent>, Option<u64>) {
        let (count, place) = match self.tried.take() {
            Some((count, place)) => (count, Some(place)),
            None => (count, None),
        };
        let count = count.min(self.events.len());
        (self.events.drain(..count).collect(), place)
    }

    /// Puts events back before what was said meanwhile.
    fn put_back(&mut self, events: Vec<JobEvent>, place: Option<u64>) {
        self.tried = place.map(|place| (events.len(), place));
        let later = mem::replace(&mut self.events, events);
        self.events.extend(later);
    }
}

/// What a worker is to do after it has tended its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tended {
    /// To go on.
    GoOn,
    /// To save a checkpoint and stop: the job's owner asks for it.
    Stop,
    /// To stop at once and publish nothing: another has the job, or it was stopped meanwhile.
    Lost,
}

impl JobWorker {
    /// Takes the job for this worker.
    ///
    /// # Errors
    /// [`ServiceError::UnknownTrainingJob`], or [`ServiceError::Storage`].
    pub async fn claim(&self, id: &str) -> Result<Claimed, ServiceError> {
        let log = JobLog::new(Arc::clone(&self.logs));
        loop {
            let stored = stored(&*self.records, id).await?;
            let now = now_ms();
            let (next, event) = match stored.record.claimed(&self.name, now, millis(self.lease)) {
                Ok(job) => {
                    let worker = self.name.clone();
                    (job, StateEvent::Claimed { worker })
                }
                Err(JobRefusal::Claimed { until_ms }) => return Ok(Claimed::Busy(until_ms)),
                Err(JobRefusal::State(state)) => return Ok(Claimed::Over(state)),
                Err(refusal @ (JobRefusal::Exhausted | JobRefusal::Lost)) => {
                    let message = format!(
                        "{refusal}; too little memory is a common reason: lower `micro_batch_size`, then resume the job"
                    );
                    (
                        stored.record.failed(&message, now),
                        StateEvent::Failed { message },
                    )
                }
            };
            match self.records.replace(stored.revision, &next).await {
                Ok(stored) => {
                    log.state(id, event).await?;
                    return Ok(self.hand_out(stored, log));
                }
                Err(StorageError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn hand_out(&self, stored: Stored<TrainingJob>, log: JobLog) -> Claimed {
        if stored.record.state != JobState::Running {
            return Claimed::Over(stored.record.state);
        }
        let progress = stored.record.progress.clone();
        Claimed::Mine(Box::new(ClaimedJob {
            worker: self.clone(),
            log,
            stored: AsyncMutex::new(stored),
            reported: Mutex::new(Reported {
                progress,
                ..Reported::default()
            }),
        }))
    }
}

impl ClaimedJob {
    /// Returns the record as it was last known.
    pub async fn record(&self) -> TrainingJob {
        self.stored.lock().await.record.clone()
    }

    /// Takes in what the trainer says; the stores learn it when the job is next tended.
    pub fn report(&self, event: &TrainingEvent) {
        let mut reported = self.reported();
        reported.progress.apply(event);
        if let TrainingEvent::Published { version, .. } = event {
            reported.version = Some(*version);
        }
        reported.events.push(JobEvent {
            time_ms: now_ms(),
            body: JobEventBody::Training(event.clone()),
        });
    }

    /// Writes what was reported, renews the claim where a third of it has passed, and sees whether
    /// the owner wants the job stopped. To be called several times a second.
    ///
    /// # Errors
    /// [`ServiceError::Storage`]; the job is still this worker's until its claim expires.
    pub async fn tend(&self) -> Result<Tended, ServiceError> {
        let now = now_ms();
        let known = stored(&*self.worker.records, &self.record().await.id).await?;
        let job = known.record.clone();
        let Some(claim) = job.claim.filter(|claim| claim.worker == self.worker.name) else {
            return Ok(Tended::Lost);
        };
        *self.stored.lock().await = known;
        let progress = self.reported().progress.clone();
        let advanced = progress.checkpoint > job.progress.checkpoint;
        if advanced || claim.expires_ms < now + millis(self.worker.lease) * 2 / 3 {
            let lease = millis(self.worker.lease);
            let renewed = self
                .change(|job| job.renewed(&self.worker.name, progress.clone(), now_ms(), lease))
                .await?;
            if renewed.is_err() {
                return Ok(Tended::Lost);
            }
        }
        // Second: while the log cannot be written, the job is still this worker's.
        self.flush().await?;
        Ok(if job.stop_requested {
            Tended::Stop
        } else {
            Tended::GoOn
        })
    }

    /// Fixes the version to publish: `proposed`, or the one that an earlier worker on this job fixed
    /// unless it turned out to be `taken`.
    ///
    /// # Errors
    /// [`ServiceError::ClaimLost`], or [`ServiceError::Storage`].
    pub async fn reserve(&self, proposed: u32, taken: Option<u32>) -> Result<u32, ServiceError> {
        let known = self.record().await.version;
        let version = known.filter(|it| Some(*it) != taken).unwrap_or(proposed);
        let name = &self.worker.name;
        let changed = self
            .change(|job| job.reserved(name, version, now_ms()))
            .await?;
        self.mine(changed).await?;
        Ok(version)
    }

    /// Notes that the checkpoints after the one to go on from are deleted.
    ///
    /// # Errors
    /// [`ServiceError::ClaimLost`], or [`ServiceError::Storage`].
    pub async fn rewound(&self) -> Result<(), ServiceError> {
        let name = &self.worker.name;
        let changed = self.change(|job| job.rewound(name, now_ms())).await?;
        self.mine(changed).await
    }

    /// Ends the job: its model is published.
    ///
    /// # Errors
    /// [`ServiceError::ClaimLost`], or [`ServiceError::Storage`].
    pub async fn succeed(&self) -> Result<(), ServiceError> {
        let version = self.reported().version;
        let Some(version) = version else {
            return self
                .fail("the trainer ended without publishing a model")
                .await;
        };
        let (name, progress) = (&self.worker.name, self.reported().progress.clone());
        let change = |job: &TrainingJob| {
            let mut done = job.succeeded(name, version, now_ms())?;
            done.progress = progress.clone();
            Ok(done)
        };
        self.end(change, StateEvent::Succeeded { version }).await
    }

    /// Ends the job: it cannot succeed as it is.
    ///
    /// # Errors
    /// [`ServiceError::ClaimLost`], or [`ServiceError::Storage`].
    pub async fn fail(&self, message: &str) -> Result<(), ServiceError> {
        let name = &self.worker.name;
        let change = |job: &TrainingJob| {
            job.released(name, now_ms())?;
            Ok(job.failed(message, now_ms()))
        };
        let message = message.to_owned();
        self.end(change, StateEvent::Failed { message }).await
    }

    /// Gives the job back: it is stopped where its owner asked for that, else it waits for a worker.
    ///
    /// # Errors
    /// [`ServiceError::ClaimLost`], or [`ServiceError::Storage`].
    pub async fn release(&self, reason: &str) -> Result<(), ServiceError> {
        let (name, progress) = (&self.worker.name, self.reported().progress.clone());
        self.flush_mine().await?;
        let change = |job: &TrainingJob| {
            let mut released = job.released(name, now_ms())?;
            released.progress = progress.clone();
            // A worker that goes in good order has not failed the job.
            released.fruitless_claims = 0;
            Ok(released)
        };
        let changed = self.change(change).await?;
        self.mine(changed).await?;
        let job = self.record().await;
        self.log.state(&job.id, left(&job, reason)).await
    }

    async fn end(
        &self,
        change: impl Fn(&TrainingJob) -> Result<TrainingJob, JobRefusal>,
        event: StateEvent,
    ) -> Result<(), ServiceError> {
        self.flush_mine().await?;
        let changed = self.change(change).await?;
        self.mine(changed).await?;
        self.log.state(&self.record().await.id, event).await
    }

    /// Writes what was reported, if the job is still this worker's: what another lost is not told after
    /// what the next does.
    async fn flush_mine(&self) -> Result<(), ServiceError> {
        let id = self.record().await.id;
        let known = stored(&*self.worker.records, &id).await?;
        let claim = known.record.claim.as_ref();
        if claim.is_none_or(|claim| claim.worker != self.worker.name) {
            return Err(ServiceError::ClaimLost { id });
        }
        *self.stored.lock().await = known;
        self.flush().await
    }

    async fn flush(&self) -> Result<(), ServiceError> {
        let id = self.record().await.id;
        loop {
            let (events, place) = self.reported().take(PART);
            if events.is_empty() {
                return Ok(());
            }
            let place = match place {
                Some(place) => place,
                None => self.log.end(&id).await.inspect_err(|_| {
                    self.reported().put_back(events.clone(), None);
                })?,
            };
            if let Err(error) = self.log.append_at(&id, place, &events).await {
                self.reported().put_back(events, Some(place));
                return Err(error);
            }
        }
    }

    /// Changes the record from the state it is in, whoever changed it meanwhile.
    async fn change(
        &self,
        change: impl Fn(&TrainingJob) -> Result<TrainingJob, JobRefusal>,
    ) -> Result<Result<(), JobRefusal>, ServiceError> {
        let mut known = self.stored.lock().await;
        loop {
            let next = match change(&known.record) {
                Ok(next) => next,
                Err(refusal) => return Ok(Err(refusal)),
            };
            match self.worker.records.replace(known.revision, &next).await {
                Ok(stored) => {
                    *known = stored;
                    return Ok(Ok(()));
                }
                Err(StorageError::Conflict { .. }) => {
                    *known = stored(&*self.worker.records, &next.id).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn mine(&self, changed: Result<(), JobRefusal>) -> Result<(), ServiceError> {
        match changed {
            Ok(()) => Ok(()),
            Err(_) => Err(ServiceError::ClaimLost {
                id: self.record().await.id,
            }),
        }
    }

    fn reported(&self) -> std::sync::MutexGuard<'_, Reported> {
        // Nothing that holds it can leave it half changed.
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what became of a job that its worker left.
pub(crate) fn left(job: &TrainingJob, reason: &str) -> StateEvent {
    match (job.state, &job.failure) {
        (JobState::Stopped, _) => StateEvent::Stopped,
        (JobState::Failed, Some(failure)) => StateEvent::Failed {
            message: failure.message.clone(),
        },
        _ => StateEvent::Requeued {
            reason: reason.to_owned(),
        },
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
