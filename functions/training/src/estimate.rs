use axum::{Json, extract::State};
use llmopt_domain::TrainingConfig;
use llmopt_http::{JsonBody, Problem, Validation};
use llmopt_service::{EstimateRequest, JobEstimate, TrainingMachine};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{TrainingState, submit::read_config};

/// A job that may be submitted, and where it would be trained.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EstimateTrainingJob {
    base_model: String,
    dataset_id: String,
    /// What differs from the defaults of a training configuration.
    #[serde(default)]
    #[schema(value_type = TrainingConfig)]
    config: Map<String, Value>,
    /// An instance type such as `g5.xlarge`, or `local`; absent means the one that jobs are trained on.
    machine: Option<String>,
    /// What an hour of it costs, in US dollars; absent means what is configured, if this is that machine.
    #[schema(minimum = 0)]
    usd_per_hour: Option<f64>,
}

/// Says what a job would take: steps, tokens, memory, time and, where a price is known, dollars. Everything that can be
/// wrong with it is said too. Nothing is queued.
#[utoipa::path(
    post,
    path = "/training/estimate",
    tag = "training",
    request_body = EstimateTrainingJob,
    responses(
        (status = 200, description = "What it would take.", body = JobEstimate),
        (status = 404, description = "`dataset_not_found` or `model_not_found`"),
        (status = 502, description = "`hub_failed`, where the base model is to be fetched"),
        (status = 507, description = "`no_space`"),
    )
)]
pub(crate) async fn estimate_training_job(
    State(state): State<TrainingState>,
    JsonBody(request): JsonBody<EstimateTrainingJob>,
) -> Result<Json<JobEstimate>, Problem> {
    let request = request.validate(&state)?;
    Ok(Json(state.jobs.estimate(request).await?))
}

impl EstimateTrainingJob {
    fn validate(self, state: &TrainingState) -> Result<EstimateRequest, Problem> {
        let mut validation = Validation::default();
        let config = read_config(self.config, state.threads, &mut validation)?;
        let usual = &state.machine;
        let name = self.machine.unwrap_or_else(|| usual.name.clone());
        // What a price is known of is the machine that jobs are trained on.
        let known = usual.usd_per_hour.filter(|_| name == usual.name);
        let machine = TrainingMachine {
            usd_per_hour: self.usd_per_hour.or(known),
            name,
        };
        validation.require(usual.is_local() || !machine.is_local(), "/machine", || {
            "expected an instance type such as `g5.xlarge`: trainers do not run here".to_owned()
        });
        let is_price = |price: f64| price >= 0.0;
        validation.require(
            machine.usd_per_hour.is_none_or(is_price),
            "/usd_per_hour",
            || "expected 0 or more dollars".to_owned(),
        );
        validation.finish()?;
        Ok(EstimateRequest {
            base_model: self.base_model,
            dataset: self.dataset_id,
            config,
            machine,
        })
    }
}
