//! `/training`: estimates, submits, follows, stops and resumes training jobs.
//!
//! Knows how a job is asked for and shown. Does not know who trains it, nor where.

mod estimate;
mod events;
mod submit;
mod view;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Path, State},
};
use llmopt_domain::JobState;
use llmopt_http::{
    DescribedRouter, JsonBody, PageParameters, PageView, Parameters, Problem, routes,
};
use llmopt_service::{MetricPoint, TrainingJobs, TrainingMachine};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema, openapi::OpenApi};

use view::JobView;

/// What the routes work with.
#[derive(Clone)]
pub struct TrainingState {
    /// The jobs.
    pub jobs: TrainingJobs,
    /// Threads that a job computes with where it does not say how many.
    pub threads: u32,
    /// Where jobs are trained, and what that costs.
    pub machine: TrainingMachine,
    /// How events are sent as they happen.
    pub streams: LiveStreams,
}

/// How events are sent as they happen.
#[derive(Clone, Copy, Debug)]
pub struct LiveStreams {
    /// How often is looked for more.
    pub poll: Duration,
    /// When a stream ends though the job has not; whoever follows it asks again. `None` is never.
    pub longest: Option<Duration>,
}

/// Returns the routes over `state`.
pub fn router(state: TrainingState) -> Router {
    routes().with_state(state)
}

/// Describes the routes.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> DescribedRouter<TrainingState> {
    DescribedRouter::default()
        .routes(routes!(submit::create_training_job, list_training_jobs))
        .routes(routes!(estimate::estimate_training_job))
        .routes(routes!(get_training_job))
        .routes(routes!(events::list_events))
        .routes(routes!(list_metrics))
        .routes(routes!(list_checkpoints))
        .routes(routes!(stop_training_job))
        .routes(routes!(resume_training_job))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only jobs in this state.
    status: Option<JobState>,
    /// Jobs at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// Where the part before ended: its `next_cursor`.
    cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResumeRequest {
    /// The step of the checkpoint to go on from; absent means the last.
    checkpoint: Option<u64>,
}

/// Everything of something, in one part.
#[derive(Debug, Serialize, ToSchema)]
struct Whole<T> {
    data: Vec<T>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CheckpointView {
    step: u64,
}

/// Lists the jobs, the oldest first.
#[utoipa::path(
    get,
    path = "/training/jobs",
    tag = "training",
    params(ListParameters),
    responses((status = 200, description = "A part of the list.", body = PageView<JobView>))
)]
async fn list_training_jobs(
    State(state): State<TrainingState>,
    Parameters(parameters): Parameters<ListParameters>,
) -> Result<Json<PageView<JobView>>, Problem> {
    let group = parameters.status.map(|state| state.as_str().to_owned());
    let page = PageParameters {
        limit: parameters.limit,
        cursor: parameters.cursor,
    };
    let page = state.jobs.list(&page.listing(group)?).await?;
    Ok(Json(PageView::of(page, JobView::from)))
}

/// Shows a job.
#[utoipa::path(
    get,
    path = "/training/jobs/{job_id}",
    tag = "training",
    params(("job_id" = String, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "The job.", body = JobView),
        (status = 404, description = "`job_not_found`"),
    )
)]
async fn get_training_job(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(state.jobs.get(&id).await?.into()))
}

/// Lists what was measured at each step.
#[utoipa::path(
    get,
    path = "/training/jobs/{job_id}/metrics",
    tag = "training",
    params(("job_id" = String, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "All steps.", body = Whole<MetricPoint>),
        (status = 404, description = "`job_not_found`"),
    )
)]
async fn list_metrics(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
) -> Result<Json<Whole<MetricPoint>>, Problem> {
    let data = state.jobs.metrics(&id).await?;
    Ok(Json(Whole { data }))
}

/// Lists the checkpoints that a job can be resumed from.
#[utoipa::path(
    get,
    path = "/training/jobs/{job_id}/checkpoints",
    tag = "training",
    params(("job_id" = String, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "All checkpoints.", body = Whole<CheckpointView>),
        (status = 404, description = "`job_not_found`"),
    )
)]
async fn list_checkpoints(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
) -> Result<Json<Whole<CheckpointView>>, Problem> {
    let steps = state.jobs.checkpoints(&id).await?;
    let data = steps
        .into_iter()
        .map(|step| CheckpointView { step })
        .collect();
    Ok(Json(Whole { data }))
}

/// Stops a job after a checkpoint.
#[utoipa::path(
    post,
    path = "/training/jobs/{job_id}/stop",
    tag = "training",
    params(("job_id" = String, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "The job.", body = JobView),
        (status = 404, description = "`job_not_found`"),
        (status = 409, description = "`job_state` or `job_changed`"),
    )
)]
async fn stop_training_job(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(state.jobs.stop(&id).await?.into()))
}

/// Has a job that was stopped, or failed, go on.
#[utoipa::path(
    post,
    path = "/training/jobs/{job_id}/resume",
    tag = "training",
    params(("job_id" = String, Path, description = "The job's id.")),
    request_body = Option<ResumeRequest>,
    responses(
        (status = 200, description = "The job.", body = JobView),
        (status = 404, description = "`job_not_found` or `checkpoint_not_found`"),
        (status = 409, description = "`job_state` or `job_changed`"),
    )
)]
async fn resume_training_job(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
    body: Option<JsonBody<ResumeRequest>>,
) -> Result<Json<JobView>, Problem> {
    let JsonBody(request) = body.unwrap_or(JsonBody(ResumeRequest::default()));
    let job = state.jobs.resume(&id, request.checkpoint).await?;
    Ok(Json(job.into()))
}
