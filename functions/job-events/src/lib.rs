//! The function that takes in what became of the trainers of jobs, where AWS Batch runs them, and that
//! looks now and then whether a job was forgotten: it is invoked by events, and has no route.
//!
//! Knows the events of Batch and of a schedule. Does not know where jobs are kept.

use llmopt_domain::BATCH_WORKER;
use llmopt_service::{Dispatcher, ServiceError};
use serde::Deserialize;
use serde_json::Value;

/// What became of a Batch job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchJob {
    job_id: String,
    status: String,
    /// When it was submitted, in milliseconds since 1970.
    created_at: u64,
    #[serde(default)]
    status_reason: Option<String>,
    parameters: Parameters,
}

#[derive(Debug, Deserialize)]
struct Parameters {
    job: String,
}

/// Takes in an event of Batch, or where it is another, such as that of a schedule, looks for jobs that
/// were forgotten.
///
/// # Errors
/// [`ServiceError::Storage`]: the event is to be sent again.
pub async fn take_in(dispatcher: &Dispatcher, event: &Value) -> Result<(), ServiceError> {
    if event["source"] != "aws.batch" {
        return dispatcher.sweep().await;
    }
    let job: BatchJob = match serde_json::from_value(event["detail"].clone()) {
        Ok(job) => job,
        Err(error) => {
            tracing::warn!(%error, "an event of Batch is of no job of ours");
            return Ok(());
        }
    };
    if job.status != "FAILED" {
        return Ok(());
    }
    let reason = job
        .status_reason
        .as_deref()
        .unwrap_or("it does not say why");
    let reason = format!(
        "AWS Batch has given the job up (Batch job `{}`): {reason}",
        job.job_id
    );
    let worker = format!("{BATCH_WORKER}{}-", job.job_id);
    match dispatcher
        .given_up(&job.parameters.job, &worker, job.created_at, &reason)
        .await
    {
        Err(ServiceError::UnknownTrainingJob(id)) => {
            tracing::warn!(job = id, "Batch tells of a job that is not there");
            Ok(())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests;
