//! `/training/jobs`: submits, follows, stops and resumes training jobs.
//!
//! Knows how a job is asked for and shown. Does not know who trains it, nor where.

mod events;
mod submit;
mod view;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use llmopt_domain::JobState;
use llmopt_http::{JsonBody, PageParameters, PageView, Parameters, Problem};
use llmopt_service::{MetricPoint, TrainingJobs};
use serde::{Deserialize, Serialize};

use view::JobView;

/// What the routes work with.
#[derive(Clone)]
pub struct TrainingState {
    /// The jobs.
    pub jobs: TrainingJobs,
    /// Threads that a job computes with where it does not say how many.
    pub threads: u32,
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
    Router::new()
        .route(
            "/training/jobs",
            post(submit::create_training_job).get(list_training_jobs),
        )
        .route("/training/jobs/{job_id}", get(get_training_job))
        .route("/training/jobs/{job_id}/events", get(events::list_events))
        .route("/training/jobs/{job_id}/metrics", get(list_metrics))
        .route("/training/jobs/{job_id}/checkpoints", get(list_checkpoints))
        .route("/training/jobs/{job_id}/stop", post(stop_training_job))
        .route("/training/jobs/{job_id}/resume", post(resume_training_job))
        .with_state(state)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// Only jobs in this state.
    status: Option<JobState>,
    limit: Option<u32>,
    cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeRequest {
    /// The step of the checkpoint to go on from; absent means the last.
    checkpoint: Option<u64>,
}

/// Everything of something, in one part.
#[derive(Debug, Serialize)]
struct Whole<T> {
    data: Vec<T>,
}

#[derive(Debug, Serialize)]
struct CheckpointView {
    step: u64,
}

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

async fn get_training_job(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(state.jobs.get(&id).await?.into()))
}

async fn list_metrics(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
) -> Result<Json<Whole<MetricPoint>>, Problem> {
    let data = state.jobs.metrics(&id).await?;
    Ok(Json(Whole { data }))
}

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

async fn stop_training_job(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    Ok(Json(state.jobs.stop(&id).await?.into()))
}

async fn resume_training_job(
    State(state): State<TrainingState>,
    Path(id): Path<String>,
    body: Option<JsonBody<ResumeRequest>>,
) -> Result<Json<JobView>, Problem> {
    let JsonBody(request) = body.unwrap_or(JsonBody(ResumeRequest::default()));
    let job = state.jobs.resume(&id, request.checkpoint).await?;
    Ok(Json(job.into()))
}
