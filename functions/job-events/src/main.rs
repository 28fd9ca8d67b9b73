//! The Lambda function `job-events`.

use std::{process::ExitCode, sync::Arc, time::Duration};

use lambda_runtime::{LambdaEvent, service_fn};
use llmopt_commercial_aws::alerts;
use llmopt_config::{Settings, variables};
use llmopt_job_events_function::take_in;
use llmopt_lambda::Failure;
use llmopt_service::{Dispatcher, JobStores};
use llmopt_spending::Spending;
use llmopt_storage_aws::{
    Aws, DynamoEventLog, DynamoRecordStore, DynamoSpendStore, S3FolderStore, SqsMessageQueue,
};
use serde_json::Value;

/// One request at a time is what a function has: one thread will do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    llmopt_lambda::run(serve).await
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let aws = Aws::connect().await;
    let folders =
        S3FolderStore::open(&aws, settings.need(&variables::BUCKET)?, &settings.data_dir)?;
    let table = settings.need(&variables::RECORDS_TABLE)?;
    let records = DynamoRecordStore::new(&aws, table);
    let logs = DynamoEventLog::new(&aws, settings.need(&variables::EVENTS_TABLE)?);
    let queue = SqsMessageQueue::new(
        &aws,
        settings.need(&variables::TRAINING_QUEUE_URL)?,
        settings.need(&variables::DEAD_LETTER_QUEUE_URL)?,
        Duration::ZERO,
    );
    tokio::try_join!(records.check(), logs.check(), queue.check())?;
    let stores = JobStores {
        folders: Arc::new(folders),
        records: Arc::new(records),
        logs: Arc::new(logs),
        queue: Arc::new(queue),
    };
    let dispatcher = Dispatcher::new(stores, settings.job_lease);
    let spending = Spending::new(
        Arc::new(DynamoSpendStore::new(&aws, table)),
        alerts(&aws, settings.alert_topic.as_deref()),
    );
    let take_in = service_fn(|event: LambdaEvent<Value>| {
        let (dispatcher, spending) = (&dispatcher, &spending);
        async move {
            take_in(dispatcher, spending, &event.payload)
                .await
                .map_err(Failure::from)
        }
    });
    lambda_runtime::run(take_in).await
}
