use std::sync::Arc;

use llmopt_commercial_aws::Account;
use llmopt_config::{Settings, variables};
use llmopt_domain::ApiKey;
use llmopt_inference_lambda::LambdaTextGenerator;
use llmopt_lambda::Failure;
use llmopt_service::Generation;
use llmopt_storage_aws::{Aws, DynamoRecordStore, S3FolderStore, SqsMessageQueue};
use tokio::time::Duration;

use crate::{GenerateState, QueuedAnswers};

/// What answers questions in an account.
pub struct Opened {
    /// The account.
    pub aws: Aws,
    /// Its commercial models.
    pub commercial: Account,
    /// What the routes, and whoever answers what is queued, work with.
    pub state: GenerateState,
}

/// Opens what answers questions in an account.
///
/// # Errors
/// If something is not named, or cannot be reached.
pub async fn open(settings: &Settings) -> Result<Opened, Failure> {
    let aws = Aws::connect().await;
    let folders =
        S3FolderStore::open(&aws, settings.need(&variables::BUCKET)?, &settings.data_dir)?;
    let keys = DynamoRecordStore::<ApiKey>::new(&aws, settings.need(&variables::KEYS_TABLE)?);
    let queue = SqsMessageQueue::new(
        &aws,
        settings.need(&variables::QUESTION_QUEUE_URL)?,
        settings.need(&variables::DEAD_QUESTION_QUEUE_URL)?,
        Duration::ZERO,
    );
    let commercial = Account::open(&aws, settings)?;
    tokio::try_join!(folders.check(), keys.check(), commercial.check())?;
    let function = settings.need(&variables::INFERENCE_FUNCTION)?;
    let generator = LambdaTextGenerator::new(aws.config(), function);
    let state = GenerateState {
        generation: Generation::new(
            Arc::new(folders),
            settings.data_dir.clone(),
            Arc::new(generator),
        ),
        commercial: Some(commercial.commercial.clone()),
        queued: Some(QueuedAnswers {
            answers: llmopt_lambda::answers(&aws, settings)?,
            queue: Arc::new(queue),
            keys: Some(llmopt_lambda::access(&aws, settings)?.0),
        }),
        timeout: settings.model_timeout,
        longest: Some(llmopt_lambda::LONGEST_ANSWER),
    };
    Ok(Opened {
        aws,
        commercial,
        state,
    })
}
