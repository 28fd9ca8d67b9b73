//! The Lambda function `datasets`.

use std::{process::ExitCode, sync::Arc};

use llmopt_config::{Settings, variables};
use llmopt_datasets_function::router;
use llmopt_domain::{TrainingJob, UploadedDataset};
use llmopt_lambda::Failure;
use llmopt_service::Datasets;
use llmopt_storage_aws::{Aws, DynamoRecordStore, S3FolderStore, S3Parts, S3Uploads};

/// One request at a time is what a function has: one thread will do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    llmopt_lambda::run(serve).await
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let aws = Aws::connect().await;
    let bucket = settings.need(&variables::BUCKET)?;
    let table = settings.need(&variables::RECORDS_TABLE)?;
    let folders = S3FolderStore::open(&aws, bucket, &settings.data_dir)?;
    let records = DynamoRecordStore::<UploadedDataset>::new(&aws, table);
    let jobs = DynamoRecordStore::<TrainingJob>::new(&aws, table);
    tokio::try_join!(folders.check(), records.check())?;
    let datasets = Datasets::new(Arc::new(folders), Arc::new(records), Arc::new(jobs))
        .with_uploads(Arc::new(S3Uploads::new(&aws, bucket)))
        .with_parts(Arc::new(S3Parts::new(&aws, bucket)));
    let (_, access) = llmopt_lambda::access(&aws, &settings)?;
    let access = access.with_answers(llmopt_lambda::answers(&aws, &settings)?);
    // Validating a large file takes longer than an API waits for an answer that comes whole.
    llmopt_lambda::serve_streams(router(datasets), access, settings.responses).await
}
