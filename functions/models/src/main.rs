//! The Lambda function `models`.

use std::{process::ExitCode, sync::Arc};

use llmopt_config::{Settings, variables};
use llmopt_lambda::Failure;
use llmopt_models_function::router;
use llmopt_service::ModelCatalog;
use llmopt_storage_aws::{Aws, DynamoRecordStore, S3FolderStore};

/// One request at a time is what a function has: one thread will do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    llmopt_lambda::run(serve).await
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let aws = Aws::connect().await;
    let folders =
        S3FolderStore::open(&aws, settings.need(&variables::BUCKET)?, &settings.data_dir)?;
    let jobs = DynamoRecordStore::new(&aws, settings.need(&variables::RECORDS_TABLE)?);
    tokio::try_join!(folders.check(), jobs.check())?;
    let (_, access) = llmopt_lambda::access(&aws, &settings)?;
    llmopt_lambda::serve(
        router(ModelCatalog::new(Arc::new(folders), Arc::new(jobs))),
        access,
    )
    .await
}
