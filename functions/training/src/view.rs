use llmopt_domain::{JobProgress, JobState, TrainingConfig, TrainingJob};
use llmopt_http::timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A job as it is shown: nothing of where files lie on the server.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobView {
    id: String,
    status: JobState,
    /// Whether its owner asked for it to stop and its worker has not yet.
    stop_requested: bool,
    base_model: String,
    dataset_id: Option<String>,
    evaluation_dataset_id: Option<String>,
    /// The model that it publishes.
    model: String,
    /// The id of the published version, once there is one.
    fine_tuned_model: Option<String>,
    progress: JobProgress,
    error: Option<String>,
    config: TrainingConfig,
    created_at: String,
    updated_at: String,
}

impl From<TrainingJob> for JobView {
    fn from(job: TrainingJob) -> Self {
        let model = job.spec.model.to_string();
        let published = job.version.filter(|_| job.state == JobState::Succeeded);
        let mut datasets = job.datasets.into_iter();
        Self {
            id: job.id,
            status: job.state,
            stop_requested: job.stop_requested,
            base_model: job.spec.base.name,
            dataset_id: datasets.next(),
            evaluation_dataset_id: datasets.next(),
            fine_tuned_model: published.map(|version| format!("{model}:{version}")),
            model,
            progress: job.progress,
            error: job.failure.map(|failure| failure.message),
            config: job.spec.config,
            created_at: timestamp(job.created_ms),
            updated_at: timestamp(job.updated_ms),
        }
    }
}
