//! The Lambda function `training`.

use std::{process::ExitCode, sync::Arc, time::Duration};

use llmopt_config::{Responses, Settings, variables};
use llmopt_lambda::{Failure, VERSION};
use llmopt_service::{Datasets, JobStores, NoHub, Place, TrainingJobs, TrainingMachine};
use llmopt_storage_aws::{Aws, DynamoEventLog, DynamoRecordStore, S3FolderStore, SqsMessageQueue};
use llmopt_training_function::{LiveStreams, TrainingState, router};

/// Each look costs a read.
const POLL: Duration = Duration::from_secs(1);
/// A minute less than the longest that a function may take.
const LONGEST_STREAM: Duration = Duration::from_secs(14 * 60);
/// What is sent whole is waited for: an API gives up after half a minute.
const LONGEST_WHOLE: Duration = Duration::from_secs(15);

/// One request at a time is what a function has: one thread will do.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    llmopt_lambda::run(serve).await
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let aws = Aws::connect().await;
    let table = settings.need(&variables::RECORDS_TABLE)?;
    let folders =
        S3FolderStore::open(&aws, settings.need(&variables::BUCKET)?, &settings.data_dir)?;
    let records = DynamoRecordStore::new(&aws, table);
    let logs = DynamoEventLog::new(&aws, settings.need(&variables::EVENTS_TABLE)?);
    let queue = SqsMessageQueue::new(
        &aws,
        settings.need(&variables::TRAINING_QUEUE_URL)?,
        settings.need(&variables::DEAD_LETTER_QUEUE_URL)?,
        Duration::ZERO,
    );
    tokio::try_join!(
        folders.check(),
        records.check(),
        logs.check(),
        queue.check()
    )?;
    let stores = JobStores {
        folders: Arc::new(folders),
        records: Arc::new(records),
        logs: Arc::new(logs),
        queue: Arc::new(queue),
    };
    let datasets = Datasets::new(
        Arc::clone(&stores.folders),
        Arc::new(DynamoRecordStore::new(&aws, table)),
        Arc::clone(&stores.records),
    );
    let place = Place {
        data_dir: settings.data_dir.clone(),
        code_version: VERSION.to_owned(),
    };
    let state = TrainingState {
        jobs: TrainingJobs::new(stores, datasets, Arc::new(NoHub), place),
        threads: settings.threads,
        machine: TrainingMachine {
            usd_per_hour: settings.trainer_usd_per_hour(),
            name: settings.trainer_machine.clone(),
        },
        streams: LiveStreams {
            poll: POLL,
            longest: Some(match settings.responses {
                Responses::Stream => LONGEST_STREAM,
                Responses::Buffer => LONGEST_WHOLE,
            }),
        },
    };
    let (_, access) = llmopt_lambda::access(&aws, &settings)?;
    let access = access.with_answers(llmopt_lambda::answers(&aws, &settings)?);
    llmopt_lambda::serve_streams(router(state), access, settings.responses).await
}
