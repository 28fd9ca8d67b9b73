//! The Lambda function `health`.

use std::{process::ExitCode, sync::Arc, time::Duration};

use llmopt_config::{Settings, variables};
use llmopt_health_function::router;
use llmopt_lambda::{Failure, VERSION};
use llmopt_service::{Health, HealthSources, JobStores};
use llmopt_storage_aws::{Aws, DynamoEventLog, DynamoRecordStore, S3FolderStore, SqsMessageQueue};

/// How long a count of jobs counts, whose reads are paid for.
const COUNT_EVERY: Duration = Duration::from_secs(60);

/// One request at a time is what a function has: one thread will do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    llmopt_lambda::run(serve).await
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let aws = Aws::connect().await;
    let bucket = settings.need(&variables::BUCKET)?;
    let stores = JobStores {
        folders: Arc::new(S3FolderStore::open(&aws, bucket, &settings.data_dir)?),
        records: Arc::new(DynamoRecordStore::new(
            &aws,
            settings.need(&variables::RECORDS_TABLE)?,
        )),
        logs: Arc::new(DynamoEventLog::new(
            &aws,
            settings.need(&variables::EVENTS_TABLE)?,
        )),
        queue: Arc::new(SqsMessageQueue::new(
            &aws,
            settings.need(&variables::TRAINING_QUEUE_URL)?,
            settings.need(&variables::DEAD_LETTER_QUEUE_URL)?,
            Duration::ZERO,
        )),
    };
    let (_, access) = llmopt_lambda::access(&aws, &settings)?;
    let health = Health::new(HealthSources {
        stores,
        generator: None,
        meter: Arc::clone(&access.meter),
        gpus: None,
        providers: None,
        data_dir: settings.data_dir.clone(),
        version: VERSION.to_owned(),
        memory_limit_bytes: settings.lambda_memory_bytes,
        count_every: COUNT_EVERY,
    });
    // Checks are what its routes are for: a store that is away must not keep it from saying so.
    llmopt_lambda::serve(router(health), access).await
}
