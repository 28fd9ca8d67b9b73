//! The Lambda function `commercial`.

use std::{process::ExitCode, sync::Arc};

use llmopt_commercial_aws::Account;
use llmopt_commercial_function::{CommercialState, router};
use llmopt_config::{Settings, variables};
use llmopt_domain::ApiKey;
use llmopt_inference_lambda::LambdaTextGenerator;
use llmopt_lambda::Failure;
use llmopt_service::Generation;
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
    let records = settings.need(&variables::KEYS_TABLE)?;
    let keys = DynamoRecordStore::<ApiKey>::new(&aws, records);
    let account = Account::open(&aws, &settings)?;
    tokio::try_join!(folders.check(), keys.check(), account.check())?;
    let function = settings.need(&variables::INFERENCE_FUNCTION)?;
    let generator = LambdaTextGenerator::new(aws.config(), function);
    let state = CommercialState {
        commercial: account.commercial.clone(),
        generation: Some(Generation::new(
            Arc::new(folders),
            settings.data_dir.clone(),
            Arc::new(generator),
        )),
        timeout: settings.model_timeout,
        longest: Some(llmopt_lambda::LONGEST_ANSWER),
    };
    let (_, access) = llmopt_lambda::access(&aws, &settings)?;
    let access = access.with_answers(llmopt_lambda::answers(&aws, &settings)?);
    let routes = account.with_newest_prices(router(state));
    llmopt_lambda::serve_streams(routes, access, settings.responses).await
}
