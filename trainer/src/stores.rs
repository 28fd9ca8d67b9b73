use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use llmopt_config::{ConfigError, Settings, Store, variables};
use llmopt_domain::TrainingJob;
use llmopt_service::JobStores;
use llmopt_storage::{FolderStore, RecordStore, StorageError};
use llmopt_storage_aws::{Aws, DynamoEventLog, DynamoRecordStore, S3FolderStore, SqsMessageQueue};
use llmopt_storage_embedded::{
    Database, FileFolderStore, SqliteEventLog, SqliteMessageQueue, SqliteRecordStore,
};

/// How long a worker waits at an empty queue at once, and so how long it may take to see that it is to
/// end.
const WAIT: Duration = Duration::from_secs(5);
/// As `llmopt serve` has it: the job's record decides when to give up.
const MAX_RECEIVES: NonZeroU32 = NonZeroU32::new(1_000).unwrap();
const QUEUE: &str = "training";

/// Why the stores cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoresError {
    /// A variable is missing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A store does not answer as it should.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Opens the stores that the settings name; `data_dir` is where everything is kept, or fetched to.
pub(crate) async fn open(settings: &Settings, data_dir: &Path) -> Result<JobStores, StoresError> {
    match settings.store {
        Store::Embedded => Ok(embedded(data_dir)?),
        Store::Aws => aws(settings, data_dir).await,
    }
}

fn embedded(data_dir: &Path) -> Result<JobStores, StorageError> {
    let folders: Arc<dyn FolderStore> = Arc::new(FileFolderStore::open(data_dir)?);
    let database = Database::open(&data_dir.join(Database::FILE_NAME))?;
    let records: Arc<dyn RecordStore<TrainingJob>> =
        Arc::new(SqliteRecordStore::new(database.clone()));
    Ok(JobStores {
        folders,
        records,
        logs: Arc::new(SqliteEventLog::new(database.clone())),
        queue: Arc::new(SqliteMessageQueue::new(database, QUEUE, MAX_RECEIVES)),
    })
}

async fn aws(settings: &Settings, data_dir: &Path) -> Result<JobStores, StoresError> {
    let need = |variable| settings.need(variable);
    let aws = Aws::connect().await;
    let folders = S3FolderStore::open(&aws, need(&variables::BUCKET)?, data_dir)?;
    let records = DynamoRecordStore::new(&aws, need(&variables::RECORDS_TABLE)?);
    let logs = DynamoEventLog::new(&aws, need(&variables::EVENTS_TABLE)?);
    let queue = SqsMessageQueue::new(
        &aws,
        need(&variables::TRAINING_QUEUE_URL)?,
        need(&variables::DEAD_LETTER_QUEUE_URL)?,
        WAIT,
    );
    folders.check().await?;
    records.check().await?;
    logs.check().await?;
    queue.check().await?;
    folders.sweep().await?;
    Ok(JobStores {
        folders: Arc::new(folders),
        records: Arc::new(records),
        logs: Arc::new(logs),
        queue: Arc::new(queue),
    })
}
