use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llmopt_domain::{
    JobEventBody, JobRefusal, JobState, ModelName, StateEvent, TrainingConfig, TrainingEvent,
    TrainingJob,
};
use llmopt_storage::{
    EventLog, FolderStore, Listing, MessageQueue, Page, RecordStore, StorageError,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Datasets, JobEstimate, Jobs, ModelHub, Models, NumberedEvent, PreparedJob, ServiceError,
    TrainingMachine, TrainingRequest, blocking::blocking, clock::now_ms, estimate_training,
    job_inputs::check_stored, job_log::JobLog, jobs::identity, prepare_training,
};

/// How often a change is tried anew where others change the same job.
const ATTEMPTS: u32 = 20;
/// The name of a model that is only estimated.
const UNPUBLISHED: &str = "estimate";
/// Records and events read at once.
const PART: u32 = 500;

/// The stores of training jobs.
#[derive(Clone)]
pub struct JobStores {
    /// Checkpoints and artifacts.
    pub folders: Arc<dyn FolderStore>,
    /// The jobs.
    pub records: Arc<dyn RecordStore<TrainingJob>>,
    /// Their logs.
    pub logs: Arc<dyn EventLog>,
    /// What wakes workers.
    pub queue: Arc<dyn MessageQueue>,
}

/// The training jobs of a platform, as their owners see them.
#[derive(Clone)]
pub struct TrainingJobs {
    stores: JobStores,
    datasets: Datasets,
    log: JobLog,
    hub: Arc<dyn ModelHub>,
    place: Place,
}

/// Where a platform keeps its files, and which code it runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder of everything.
    pub data_dir: PathBuf,
    /// The version of the code that trains.
    pub code_version: String,
}

/// What a user asks for who wants a model trained on uploaded datasets.
#[derive(Clone, Debug)]
pub struct JobRequest {
    /// What to start from: a published model, `base:NAME`, or a Hub name. No folder: who asks may sit
    /// elsewhere.
    pub base_model: String,
    /// The dataset to train on.
    pub dataset: String,
    /// The dataset to evaluate on, if any.
    pub evaluation: Option<String>,
    /// The name to publish under.
    pub name: ModelName,
    /// How to train.
    pub config: TrainingConfig,
}

/// What a user asks for who wants to know what a job would take.
#[derive(Clone, Debug)]
pub struct EstimateRequest {
    /// What to start from, as in a [`JobRequest`].
    pub base_model: String,
    /// The dataset to train on.
    pub dataset: String,
    /// How to train.
    pub config: TrainingConfig,
    /// Where.
    pub machine: TrainingMachine,
}

/// A job that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    /// The job.
    pub job: TrainingJob,
    /// Whether it is new; the same inputs give the same job.
    pub created: bool,
}

/// What was measured at one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct MetricPoint {
    /// The optimizer step.
    pub step: u64,
    /// Mean loss over the step's trainable tokens, in nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// The learning rate the step used.
    pub learning_rate: f64,
    /// Tokens per second since the run started or resumed, prompts included.
    pub tokens_per_second: f64,
}

impl TrainingJobs {
    /// Looks after the jobs in `stores`; base models that are not there are fetched from `hub`.
    pub fn new(
        stores: JobStores,
        datasets: Datasets,
        hub: Arc<dyn ModelHub>,
        place: Place,
    ) -> Self {
        Self {
            log: JobLog::new(Arc::clone(&stores.logs)),
            stores,
            datasets,
            hub,
            place,
        }
    }

    /// Checks everything that can be wrong with a job, then queues it.
    ///
    /// # Errors
    /// As [`prepare_training`], or [`ServiceError::UnknownDataset`].
    pub async fn submit(&self, request: JobRequest) -> Result<Submitted, ServiceError> {
        let ids = [Some(&request.dataset), request.evaluation.as_ref()];
        let datasets = ids.into_iter().flatten().cloned().collect();
        let prepared = self.prepare(request).await?;
        let id = TrainingJob::id_of(&prepared.id);
        let job = TrainingJob::new(&id, prepared.spec, datasets, now_ms());
        match self.stores.records.create(&job).await {
            Ok(_) => {}
            Err(StorageError::RecordExists { .. }) => return self.resubmit(job).await,
            Err(error) => return Err(error.into()),
        }
        self.announce(job, StateEvent::Queued).await
    }

    /// Checks everything that can be wrong with a job, and says what it would take.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn estimate(&self, request: EstimateRequest) -> Result<JobEstimate, ServiceError> {
        let machine = request.machine;
        let job = JobRequest {
            base_model: request.base_model,
            dataset: request.dataset,
            evaluation: None,
            name: UNPUBLISHED.parse()?,
            config: request.config,
        };
        let prepared = self.prepare(job).await?;
        let published = if machine.is_local() {
            Models::new(&*self.stores.folders).list().await?
        } else {
            Vec::new()
        };
        let estimate = move || estimate_training(&prepared, &machine, &published);
        blocking("estimate a job", estimate).await
    }

    async fn prepare(&self, request: JobRequest) -> Result<PreparedJob, ServiceError> {
        let models = Models::new(&*self.stores.folders);
        let base = models.resolve_name(&request.base_model, &*self.hub).await?;
        let base_digest = Some(models.digest(&base).await?);
        let dataset = self.datasets.source(&request.dataset).await?;
        let evaluation = match &request.evaluation {
            Some(id) => Some(self.datasets.source(id).await?),
            None => None,
        };
        let used = [Some(&dataset), evaluation.as_ref()].into_iter().flatten();
        let ids = [Some(&request.dataset), request.evaluation.as_ref()];
        let ids = ids.into_iter().flatten();
        let used = used.map(|it| it.path.clone());
        let used: Vec<_> = used.zip(ids.cloned()).collect();
        let training = TrainingRequest {
            base,
            base_digest,
            dataset,
            evaluation,
            name: request.name,
            config: request.config,
            data_dir: self.place.data_dir.clone(),
            code_version: self.place.code_version.clone(),
        };
        let prepared = blocking("prepare a job", move || prepare_training(training)).await;
        prepared.map_err(|error| named(error, &used))
    }

    /// Takes in that a job was submitted that there is. It is new again where what it published is gone.
    async fn resubmit(&self, job: TrainingJob) -> Result<Submitted, ServiceError> {
        let before = self.get(&job.id).await?.state;
        let digest = identity(&job.spec)?;
        let models = Models::new(&*self.stores.folders);
        let published = models.published_by(&job.spec.model, &digest).await?;
        let is_gone = published.is_none();
        let change =
            |known: &TrainingJob| Ok(known.resubmitted(job.spec.clone(), || is_gone, now_ms()));
        let known = self.change(&job.id, change).await?;
        if before == JobState::Succeeded && known.state == JobState::Queued {
            return self.announce(known, StateEvent::Queued).await;
        }
        Ok(Submitted {
            job: known,
            created: false,
        })
    }

    /// Tells that a job waits.
    async fn announce(
        &self,
        job: TrainingJob,
        event: StateEvent,
    ) -> Result<Submitted, ServiceError> {
        // The record is the job; a log or a message that is missing is made up for.
        self.log.state(&job.id, event).await?;
        self.stores.queue.send(&job.id).await?;
        note_announced(&*self.stores.records, &job.id).await?;
        Ok(Submitted { job, created: true })
    }

    /// Returns the job with this id.
    ///
    /// # Errors
    /// [`ServiceError::UnknownTrainingJob`], or [`ServiceError::Storage`].
    pub async fn get(&self, id: &str) -> Result<TrainingJob, ServiceError> {
        Ok(stored(&*self.stores.records, id).await?.record)
    }

    /// Returns jobs, the last submitted first.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn list(&self, listing: &Listing) -> Result<Page<TrainingJob>, ServiceError> {
        Ok(self.stores.records.list(listing).await?)
    }

    /// Returns the job's events after number `after`, at most `limit` of them.
    ///
    /// # Errors
    /// [`ServiceError::UnknownTrainingJob`], or [`ServiceError::Storage`].
    pub async fn events(
        &self,
        id: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<NumberedEvent>, ServiceError> {
        self.get(id).await?;
        self.log.read(id, after, limit).await
    }

    /// Returns what was measured, one point a step; a step that was taken again counts once.
    ///
    /// # Errors
    /// [`ServiceError::UnknownTrainingJob`], or [`ServiceError::Storage`].
    pub async fn metrics(&self, id: &str) -> Result<Vec<MetricPoint>, ServiceError> {
        self.get(id).await?;
        let mut points = std::collections::BTreeMap::new();
        let mut after = 0;
        loop {
            let events = self.log.read(id, after, PART).await?;
            let Some(last) = events.last() else {
                return Ok(points.into_values().collect());
            };
            after = last.sequence;
            for point in events.iter().filter_map(metric_point) {
                points.insert(point.step, point);
            }
        }
    }

    /// Returns the steps of the job's checkpoints, in order.
    ///
    /// # Errors
    /// [`ServiceError::UnknownTrainingJob`], or [`ServiceError::Storage`].
    pub async fn checkpoints(&self, id: &str) -> Result<Vec<u64>, ServiceError> {
        let job = identity(&self.get(id).await?.spec)?;
        self.files().checkpoints(&job).await
    }

    /// Stops the job: at once, or where a worker has it as soon as it has saved a checkpoint.
    ///
    /// # Errors
    /// [`ServiceError::JobState`] if the job has ended.
    pub async fn stop(&self, id: &str) -> Result<TrainingJob, ServiceError> {
        let job = self.change(id, |job| job.stopped(now_ms())).await?;
        let event = if job.state == JobState::Stopped {
            StateEvent::Stopped
        } else {
            StateEvent::StopRequested
        };
        self.log.state(id, event).await?;
        Ok(job)
    }

    /// Queues a job again that was stopped or failed, from its last checkpoint, or from the one after
    /// `checkpoint` steps; later ones are deleted then.
    ///
    /// # Errors
    /// [`ServiceError::JobState`] if it is neither, [`ServiceError::NoCheckpoint`],
    /// [`ServiceError::JobChanged`] if its inputs are not what they were.
    pub async fn resume(
        &self,
        id: &str,
        checkpoint: Option<u64>,
    ) -> Result<TrainingJob, ServiceError> {
        let job = self.get(id).await?;
        if let Err(refusal) = job.resumed(None, None, now_ms()) {
            return Err(refused(&job, &refusal));
        }
        check_stored(&job, &*self.stores.folders, &self.place.code_version).await?;
        let available = self.files().checkpoints(&identity(&job.spec)?).await?;
        if let Some(step) = checkpoint.filter(|step| !available.contains(step)) {
            return Err(ServiceError::NoCheckpoint { step, available });
        }
        let last = available.last().copied();
        let change = |job: &TrainingJob| job.resumed(checkpoint, last, now_ms());
        let job = self.change(id, change).await?;
        let step = checkpoint.or(last);
        let resumed = self.announce(job, StateEvent::Resumed { step }).await?;
        Ok(resumed.job)
    }

    async fn change(
        &self,
        id: &str,
        change: impl Fn(&TrainingJob) -> Result<TrainingJob, JobRefusal>,
    ) -> Result<TrainingJob, ServiceError> {
        let mut attempt = 0;
        loop {
            let stored = stored(&*self.stores.records, id).await?;
            let job = stored.record;
            let changed = change(&job).map_err(|refusal| refused(&job, &refusal))?;
            match self.stores.records.replace(stored.revision, &changed).await {
                Ok(stored) => return Ok(stored.record),
                Err(StorageError::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn files(&self) -> Jobs<'_> {
        Jobs::new(&*self.stores.folders, &self.place.data_dir)
    }
}

/// Returns the record of the job with this id.
pub(crate) async fn stored(
    records: &dyn RecordStore<TrainingJob>,
    id: &str,
) -> Result<llmopt_storage::Stored<TrainingJob>, ServiceError> {
    records.get(id).await.map_err(|error| match error {
        StorageError::NoRecord { .. } => ServiceError::UnknownTrainingJob(id.to_owned()),
        error => error.into(),
    })
}

/// Notes that a message tells of the job. Where the note is lost, a sweep sends another.
pub(crate) async fn note_announced(
    records: &dyn RecordStore<TrainingJob>,
    id: &str,
) -> Result<(), ServiceError> {
    loop {
        let known = stored(records, id).await?;
        let noted = known.record.announced(now_ms());
        match records.replace(known.revision, &noted).await {
            Ok(_) => return Ok(()),
            Err(StorageError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the jobs that are queued or running.
pub(crate) async fn active_jobs(
    records: &dyn RecordStore<TrainingJob>,
) -> Result<Vec<TrainingJob>, ServiceError> {
    let mut jobs = Vec::new();
    for state in [JobState::Queued, JobState::Running] {
        let mut listing = Listing {
            group: Some(state.as_str().to_owned()),
            after: None,
            limit: PART,
        };
        loop {
            let page = records.list(&listing).await?;
            jobs.extend(page.records.into_iter().map(|stored| stored.record));
            listing.after = page.next;
            if listing.after.is_none() {
                break;
            }
        }
    }
    Ok(jobs)
}

/// Names the dataset that an error is about by its id: where it lies is nothing to those who ask over HTTP.
fn named(mut error: ServiceError, datasets: &[(PathBuf, String)]) -> ServiceError {
    let id = |path: &Path| {
        let mut all = datasets.iter();
        all.find(|(known, _)| known == path).map(|(_, id)| id)
    };
    match &mut error {
        ServiceError::Findings { report } => {
            if let Some(id) = id(Path::new(&report.file)) {
                report.rename(id);
            }
        }
        ServiceError::Row { path, .. }
        | ServiceError::Overlong { path, .. }
        | ServiceError::NothingToLearn { path, .. }
        | ServiceError::Vocabulary { path, .. } => {
            if let Some(id) = id(path) {
                *path = id.into();
            }
        }
        _ => {}
    }
    error
}

fn refused(job: &TrainingJob, refusal: &JobRefusal) -> ServiceError {
    ServiceError::JobState {
        id: job.id.clone(),
        state: match refusal {
            JobRefusal::State(state) => *state,
            JobRefusal::Claimed { .. } | JobRefusal::Lost | JobRefusal::Exhausted => job.state,
        },
    }
}

fn metric_point(entry: &NumberedEvent) -> Option<MetricPoint> {
    match &entry.event.body {
        JobEventBody::Training(TrainingEvent::Step {
            step,
            loss,
            gradient_norm,
            learning_rate,
            tokens_per_second,
            ..
        }) => Some(MetricPoint {
            step: *step,
            loss: *loss,
            gradient_norm: *gradient_norm,
            learning_rate: *learning_rate,
            tokens_per_second: *tokens_per_second,
        }),
        _ => None,
    }
}
