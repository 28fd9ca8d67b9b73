//! The function that looks after what was left behind: it takes in what became of the trainers of jobs, where AWS
//! Batch runs them, and looks now and then whether a job was forgotten, or a reservation for a request to a commercial
//! model. It is invoked by events, and has no route.
//!
//! Knows the events of Batch and of schedules. Does not know where jobs and budgets are kept.

use std::time::{SystemTime, UNIX_EPOCH};

use llmopt_domain::BATCH_WORKER;
use llmopt_service::{Dispatcher, ServiceError};
use llmopt_spending::{Spending, SpendingError};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// Why an event is to be sent again.
#[derive(Debug, Error)]
pub enum EventError {
    /// Jobs could not be looked after.
    #[error(transparent)]
    Jobs(#[from] ServiceError),
    /// Reservations could not be listed.
    #[error("failed to look for reservations that were abandoned")]
    Spending(#[from] SpendingError),
    /// Some are as they were; the log says why.
    #[error(
        "{0} reservations or budgets could not be swept: the log says why, and the next sweep tries again"
    )]
    Unswept(u64),
}

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

/// Takes in an event: one of Batch, one that asks for `{"sweep": "spending"}`, or where it is another, such as that of
/// a schedule, looks for jobs that were forgotten.
///
/// # Errors
/// Whatever keeps that from being done: the event is to be sent again.
pub async fn take_in(
    dispatcher: &Dispatcher,
    spending: &Spending,
    event: &Value,
) -> Result<(), EventError> {
    if event["sweep"] == "spending" {
        return sweep(spending).await;
    }
    if event["source"] == "aws.batch" {
        take_in_batch(dispatcher, event).await?;
    } else {
        dispatcher.sweep().await?;
    }
    Ok(())
}

async fn sweep(spending: &Spending) -> Result<(), EventError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
    let swept = spending.sweep(now_ms).await?;
    swept.log();
    match swept.failed {
        0 => Ok(()),
        failed => Err(EventError::Unswept(failed)),
    }
}

async fn take_in_batch(dispatcher: &Dispatcher, event: &Value) -> Result<(), ServiceError> {
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
