use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
};
use llmopt_domain::{ModelName, TrainingConfig};
use llmopt_http::{API, Code, FieldProblem, JsonBody, Problem, Validation};
use llmopt_service::JobRequest;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::{TrainingState, view::JobView};

/// A job as it is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTrainingJob {
    base_model: String,
    dataset_id: String,
    evaluation_dataset_id: Option<String>,
    name: String,
    /// What differs from the defaults of a training configuration.
    #[serde(default)]
    #[schema(value_type = TrainingConfig)]
    config: Map<String, Value>,
}

/// Queues a job: 202 where it is new, 200 where the same inputs were submitted before.
#[utoipa::path(
    post,
    path = "/training/jobs",
    tag = "training",
    request_body = CreateTrainingJob,
    responses(
        (
            status = 202,
            description = "It is queued.",
            body = JobView,
            headers(("location" = String, description = "The job."))
        ),
        (
            status = 200,
            description = "The same inputs were submitted before, and what came of it is there.",
            body = JobView,
            headers(("location" = String, description = "The job."))
        ),
        (status = 404, description = "`dataset_not_found` or `model_not_found`"),
        (status = 502, description = "`hub_failed`, where the base model is to be fetched"),
        (status = 507, description = "`no_space`"),
    )
)]
pub(crate) async fn create_training_job(
    State(state): State<TrainingState>,
    JsonBody(request): JsonBody<CreateTrainingJob>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<JobView>), Problem> {
    let submitted = state.jobs.submit(request.validate(state.threads)?).await?;
    let status = if submitted.created {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    let location = format!("{API}/training/jobs/{}", submitted.job.id);
    Ok((
        status,
        [(header::LOCATION, location)],
        Json(submitted.job.into()),
    ))
}

impl CreateTrainingJob {
    fn validate(self, threads: u32) -> Result<JobRequest, Problem> {
        let mut validation = Validation::default();
        let config = read_config(self.config, threads, &mut validation)?;
        let name = validation.take("/name", self.name.parse::<ModelName>());
        validation.finish()?;
        Ok(JobRequest {
            base_model: self.base_model,
            dataset: self.dataset_id,
            evaluation: self.evaluation_dataset_id,
            name: name.ok_or_else(|| wrong_config("`name` is missing"))?,
            config,
        })
    }
}

/// Reads what differs from the defaults of a configuration, and has `validation` note what is out of its range.
pub(crate) fn read_config(
    mut config: Map<String, Value>,
    threads: u32,
    validation: &mut Validation,
) -> Result<TrainingConfig, Problem> {
    config.entry("threads").or_insert_with(|| json!(threads));
    let config: TrainingConfig = serde_json::from_value(Value::Object(config))
        .map_err(|error| wrong_config(&error.to_string()))?;
    for problem in config.validate().err().unwrap_or_default() {
        let pointer = format!("/config/{}", problem.field.replace('.', "/"));
        validation.require(false, &pointer, || {
            format!("expected {}, found {}", problem.expected, problem.found)
        });
    }
    Ok(config)
}

fn wrong_config(detail: &str) -> Problem {
    Problem::new(
        Code::ValidationFailed,
        format!("failed to read `config`: {detail}"),
    )
    .with_errors(vec![FieldProblem {
        pointer: "/config".to_owned(),
        detail: detail.to_owned(),
    }])
}
