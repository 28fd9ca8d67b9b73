use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{Digest, EvaluationMetrics, Format, JobSpec, TrainingEvent};

/// What the name of a worker on AWS Batch begins with; the id of the Batch job and a `-` follow. Batch itself
/// starts another in its place, or tells that it has given up.
pub const BATCH_WORKER: &str = "batch-";

/// Trainers that may end one after the other without a new checkpoint before a job fails.
const MAX_FRUITLESS_CLAIMS: u32 = 5;

/// How far the clocks of two machines may be apart.
const CLOCKS_MS: u64 = 60_000;

/// Where a training job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for a worker.
    Queued,
    /// A worker has it, or had it and its claim expires.
    Running,
    /// Its owner stopped it; it can go on.
    Stopped,
    /// Its model is published.
    Succeeded,
    /// It cannot succeed as it is.
    Failed,
}

impl JobState {
    /// Returns the state's name, as it is listed by.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// Returns whether a worker has it or will have it without anyone asking again.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// Who works on a job, and until when that holds without another word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobClaim {
    /// The worker.
    pub worker: String,
    /// When the claim expires unless it is renewed, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// How far a job has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobProgress {
    /// Optimizer steps taken.
    pub step: u64,
    /// Optimizer steps of the whole run.
    pub total_steps: u64,
    /// The step of the last checkpoint.
    pub checkpoint: Option<u64>,
    /// The loss of the last step, in nats.
    pub loss: Option<f64>,
    /// Tokens per second, prompts included.
    pub tokens_per_second: Option<f64>,
    /// Estimated seconds until the last step is done.
    pub seconds_left: Option<f64>,
    /// The last evaluation.
    pub evaluation: Option<EvaluationMetrics>,
}

impl JobProgress {
    /// Takes in what a trainer reported.
    pub fn apply(&mut self, event: &TrainingEvent) {
        match event {
            TrainingEvent::Started {
                step, total_steps, ..
            } => {
                self.step = *step;
                self.total_steps = *total_steps;
            }
            TrainingEvent::Step {
                step,
                total_steps,
                loss,
                tokens_per_second,
                seconds_left,
                ..
            } => {
                self.step = *step;
                self.total_steps = *total_steps;
                self.loss = Some(*loss);
                self.tokens_per_second = Some(*tokens_per_second);
                self.seconds_left = Some(*seconds_left);
            }
            TrainingEvent::Checkpoint { step } => self.checkpoint = Some(*step),
            TrainingEvent::Evaluated { metrics, .. } => self.evaluation = Some(*metrics),
            TrainingEvent::Preparing { .. }
            | TrainingEvent::Interrupted { .. }
            | TrainingEvent::Published { .. }
            | TrainingEvent::Progress { .. } => {}
        }
    }
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFailure {
    /// What went wrong, with its causes and what to do about it.
    pub message: String,
}

/// The record of a training job: the truth about it, from which every message can be made again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingJob {
    /// The version of this format.
    pub format: Format<1>,
    /// Its id ([`TrainingJob::id_of`]): the same inputs give the same job.
    pub id: String,
    /// When it was submitted, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it last changed, in milliseconds since 1970.
    pub updated_ms: u64,
    /// When its owner queued it last, in milliseconds since 1970.
    #[serde(default)]
    pub queued_ms: u64,
    /// What is trained, and on what.
    pub spec: JobSpec,
    /// The uploaded datasets that it needs: to train on, and to evaluate on.
    pub datasets: Vec<String>,
    /// Where it stands.
    pub state: JobState,
    /// Who works on it.
    pub claim: Option<JobClaim>,
    /// The worker that had it last since its owner queued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_worker: Option<String>,
    /// Whether a message tells workers that it waits. Where none does, one is owed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub announced: bool,
    /// Whether its owner asked for it to stop.
    pub stop_requested: bool,
    /// Claims since its last checkpoint.
    pub fruitless_claims: u32,
    /// The step of the checkpoint that its owner wants it to go on from; later ones are to be deleted.
    pub resume_from: Option<u64>,
    /// How far it has come.
    pub progress: JobProgress,
    /// The version that it publishes, or has published where it succeeded.
    pub version: Option<u32>,
    /// Why it failed.
    pub failure: Option<JobFailure>,
}

/// Why a job did not change as it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JobRefusal {
    /// Another worker has it.
    #[error("another worker has the job")]
    Claimed {
        /// Until when, in milliseconds since 1970.
        until_ms: u64,
    },
    /// The worker has lost it: its claim expired, and it was stopped or given to another.
    #[error("the worker has lost the job")]
    Lost,
    /// It is not in a state for that.
    #[error("the job is {}", .0.as_str())]
    State(JobState),
    /// Too many workers ended while they had it.
    #[error(
        "{MAX_FRUITLESS_CLAIMS} trainers ended one after the other before they saved a checkpoint"
    )]
    Exhausted,
}

impl TrainingJob {
    /// Returns the id of the job with this identity ([`JobSpec::identity`]).
    pub fn id_of(identity: &Digest) -> String {
        // Letters before the digits: a message that is a number to JSON is no text to all who carry it.
        format!("job-{}", identity.short())
    }

    /// Makes the record of a job that was just submitted.
    pub fn new(id: &str, spec: JobSpec, datasets: Vec<String>, now_ms: u64) -> Self {
        Self {
            format: Format,
            id: id.to_owned(),
            created_ms: now_ms,
            updated_ms: now_ms,
            queued_ms: now_ms,
            spec,
            datasets,
            state: JobState::Queued,
            claim: None,
            last_worker: None,
            announced: false,
            stop_requested: false,
            fruitless_claims: 0,
            resume_from: None,
            progress: JobProgress::default(),
            version: None,
            failure: None,
        }
    }

    /// Gives the job to `worker` for `lease_ms`.
    ///
    /// # Errors
    /// [`JobRefusal::Claimed`] while another has it, [`JobRefusal::Exhausted`] where it should fail,
    /// [`JobRefusal::State`] where there is nothing to do.
    pub fn claimed(&self, worker: &str, now_ms: u64, lease_ms: u64) -> Result<Self, JobRefusal> {
        match (self.state, &self.claim) {
            (JobState::Running, Some(claim)) if claim.expires_ms > now_ms => {
                return Err(JobRefusal::Claimed {
                    until_ms: claim.expires_ms,
                });
            }
            (JobState::Queued | JobState::Running, _) => {}
            (state, _) => return Err(JobRefusal::State(state)),
        }
        if self.fruitless_claims >= MAX_FRUITLESS_CLAIMS {
            return Err(JobRefusal::Exhausted);
        }
        Ok(Self {
            state: JobState::Running,
            claim: Some(JobClaim {
                worker: worker.to_owned(),
                expires_ms: now_ms + lease_ms,
            }),
            last_worker: Some(worker.to_owned()),
            fruitless_claims: self.fruitless_claims + 1,
            ..self.at(now_ms)
        })
    }

    /// Renews the claim of `worker` and takes in its progress.
    ///
    /// # Errors
    /// [`JobRefusal::Lost`] if the claim is not its any more.
    pub fn renewed(
        &self,
        worker: &str,
        progress: JobProgress,
        now_ms: u64,
        lease_ms: u64,
    ) -> Result<Self, JobRefusal> {
        self.require(worker)?;
        let advanced = progress.checkpoint > self.progress.checkpoint;
        Ok(Self {
            claim: Some(JobClaim {
                worker: worker.to_owned(),
                expires_ms: now_ms + lease_ms,
            }),
            fruitless_claims: if advanced { 1 } else { self.fruitless_claims },
            progress,
            ..self.at(now_ms)
        })
    }

    /// Notes the version that `worker` is about to publish, so that no other version can come of it.
    ///
    /// # Errors
    /// [`JobRefusal::Lost`] if the claim is not its any more.
    pub fn reserved(&self, worker: &str, version: u32, now_ms: u64) -> Result<Self, JobRefusal> {
        self.require(worker)?;
        Ok(Self {
            version: Some(version),
            ..self.at(now_ms)
        })
    }

    /// Takes the job from `worker`, which goes or is gone: it waits for another, or is stopped.
    ///
    /// # Errors
    /// [`JobRefusal::Lost`] if the claim is not its any more.
    pub fn released(&self, worker: &str, now_ms: u64) -> Result<Self, JobRefusal> {
        self.require(worker)?;
        let state = if self.stop_requested {
            JobState::Stopped
        } else {
            JobState::Queued
        };
        Ok(Self {
            state,
            claim: None,
            // What started this worker starts the next.
            announced: self.announced && worker.starts_with(BATCH_WORKER),
            stop_requested: false,
            ..self.at(now_ms)
        })
    }

    /// Notes that a message tells workers of it.
    pub fn announced(&self, now_ms: u64) -> Self {
        Self {
            announced: true,
            ..self.at(now_ms)
        }
    }

    /// Returns whether what ran the workers whose names begin with `worker`, begun at `begun_ms`, is what
    /// this job waits for: they have it, or had it last; or nobody has had it since it was queued before.
    pub fn depends_on(&self, worker: &str, begun_ms: u64) -> bool {
        let last = self.claim.as_ref().map(|claim| &claim.worker);
        match last.or(self.last_worker.as_ref()) {
            Some(last) => last.starts_with(worker),
            None => self.queued_ms <= begun_ms.saturating_add(CLOCKS_MS),
        }
    }

    /// Returns whether it failed because too many workers died of it.
    pub fn is_exhausted(&self) -> bool {
        self.state == JobState::Failed && self.fruitless_claims >= MAX_FRUITLESS_CLAIMS
    }

    /// Takes in that a worker died of `reason` before it could claim the job, which waits for another,
    /// but not for ever.
    pub fn never_begun(&self, reason: &str, now_ms: u64) -> Self {
        let fruitless_claims = self.fruitless_claims + 1;
        if fruitless_claims >= MAX_FRUITLESS_CLAIMS {
            return self.failed(format!("{}: {reason}", JobRefusal::Exhausted), now_ms);
        }
        Self {
            fruitless_claims,
            ..self.at(now_ms)
        }
    }

    /// Ends the job of `worker` with a published version.
    ///
    /// # Errors
    /// [`JobRefusal::Lost`] if the claim is not its any more.
    pub fn succeeded(&self, worker: &str, version: u32, now_ms: u64) -> Result<Self, JobRefusal> {
        self.require(worker)?;
        Ok(Self {
            state: JobState::Succeeded,
            claim: None,
            stop_requested: false,
            version: Some(version),
            ..self.at(now_ms)
        })
    }

    /// Ends the job with the reason why it cannot succeed, whoever had it.
    pub fn failed(&self, message: impl Into<String>, now_ms: u64) -> Self {
        Self {
            state: JobState::Failed,
            claim: None,
            stop_requested: false,
            failure: Some(JobFailure {
                message: message.into(),
            }),
            ..self.at(now_ms)
        }
    }

    /// Stops the job: at once where nobody works on it, else as soon as its worker sees it.
    ///
    /// # Errors
    /// [`JobRefusal::State`] if it has ended.
    pub fn stopped(&self, now_ms: u64) -> Result<Self, JobRefusal> {
        let claimed = self.claim.as_ref().is_some_and(|it| it.expires_ms > now_ms);
        match self.state {
            JobState::Running if claimed => Ok(Self {
                stop_requested: true,
                ..self.at(now_ms)
            }),
            JobState::Queued | JobState::Running => Ok(Self {
                state: JobState::Stopped,
                claim: None,
                stop_requested: false,
                ..self.at(now_ms)
            }),
            state => Err(JobRefusal::State(state)),
        }
    }

    /// Notes that `worker` has deleted the checkpoints after the one to go on from.
    ///
    /// # Errors
    /// [`JobRefusal::Lost`] if the claim is not its any more.
    pub fn rewound(&self, worker: &str, now_ms: u64) -> Result<Self, JobRefusal> {
        self.require(worker)?;
        Ok(Self {
            resume_from: None,
            ..self.at(now_ms)
        })
    }

    /// Takes in that the job was submitted again, when its inputs lie where `spec` says. Where what it
    /// published is gone, `is_gone`, it is queued anew.
    pub fn resubmitted(&self, spec: JobSpec, is_gone: impl FnOnce() -> bool, now_ms: u64) -> Self {
        match self.state {
            JobState::Queued | JobState::Running => self.clone(),
            JobState::Succeeded if is_gone() => Self {
                created_ms: self.created_ms,
                ..Self::new(&self.id, spec, self.datasets.clone(), now_ms)
            },
            JobState::Succeeded => self.clone(),
            JobState::Stopped | JobState::Failed => Self {
                spec,
                ..self.at(now_ms)
            },
        }
    }

    /// Queues a job again that was stopped or failed, to go on from its last checkpoint or from the one
    /// after `from` steps; `last` is the step of the last.
    ///
    /// # Errors
    /// [`JobRefusal::State`] if it is not, such as one that is queued.
    pub fn resumed(
        &self,
        from: Option<u64>,
        last: Option<u64>,
        now_ms: u64,
    ) -> Result<Self, JobRefusal> {
        let checkpoint = from.or(last);
        match self.state {
            JobState::Stopped | JobState::Failed => Ok(Self {
                state: JobState::Queued,
                queued_ms: now_ms,
                last_worker: None,
                announced: false,
                failure: None,
                fruitless_claims: 0,
                resume_from: from,
                progress: JobProgress {
                    step: checkpoint.unwrap_or(0),
                    checkpoint,
                    ..self.progress.clone()
                },
                ..self.at(now_ms)
            }),
            state => Err(JobRefusal::State(state)),
        }
    }

    fn at(&self, now_ms: u64) -> Self {
        Self {
            updated_ms: now_ms,
            ..self.clone()
        }
    }

    fn require(&self, worker: &str) -> Result<(), JobRefusal> {
        let mine = self.claim.as_ref().is_some_and(|it| it.worker == worker);
        if self.state == JobState::Running && mine {
            Ok(())
        } else {
            Err(JobRefusal::Lost)
        }
    }
}

/// An entry of a job's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// When it happened, in milliseconds since 1970.
    pub time_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub body: JobEventBody,
}

/// What happened to a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum JobEventBody {
    /// It changed its state.
    State(StateEvent),
    /// Its trainer reported.
    Training(TrainingEvent),
}

/// A change of a job's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum StateEvent {
    /// It was submitted.
    Queued,
    /// A worker took it.
    Claimed {
        /// The worker.
        worker: String,
    },
    /// Its owner asked for it to stop.
    StopRequested,
    /// It stopped.
    Stopped,
    /// Its owner asked for it to go on.
    Resumed {
        /// The step of the checkpoint that it goes on from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
    },
    /// Its worker gave it back, or died, and another takes it.
    Requeued {
        /// Why.
        reason: String,
    },
    /// Its model is published.
    Succeeded {
        /// The version.
        version: u32,
    },
    /// It cannot succeed.
    Failed {
        /// Why.
        message: String,
    },
}

impl StateEvent {
    /// Returns whether nothing comes after it unless someone asks.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::Succeeded { .. } | Self::Failed { .. }
        )
    }
}

#[cfg(test)]
mod tests;
