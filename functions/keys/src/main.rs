//! The Lambda function `keys`.

use std::process::ExitCode;

use llmopt_config::{Settings, variables};
use llmopt_domain::ApiKey;
use llmopt_keys_function::router;
use llmopt_lambda::Failure;
use llmopt_storage_aws::{Aws, DynamoRecordStore};

/// One request at a time is what a function has: one thread will do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    llmopt_lambda::run(serve).await
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let aws = Aws::connect().await;
    let (keys, access) = llmopt_lambda::access(&aws, &settings)?;
    let access = access.with_answers(llmopt_lambda::answers(&aws, &settings)?);
    let records = settings.need(&variables::KEYS_TABLE)?;
    DynamoRecordStore::<ApiKey>::new(&aws, records)
        .check()
        .await?;
    llmopt_lambda::serve(router(keys), access).await
}
