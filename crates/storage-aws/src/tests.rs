//! The adapters on an emulator: the suites of the ports.

mod damage;
mod deletions;
mod faulty;
mod large;
mod lost_answers;
mod objects;
mod parts;
mod refusals;
mod republished;
mod sweeps;

use std::{
    num::NonZeroU32,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus,
};
use aws_sdk_s3::{
    config::{
        ConfigBag, Credentials, Intercept, RuntimeComponents,
        interceptors::BeforeTransmitInterceptorContextMut,
    },
    error::BoxError,
};
use aws_sdk_sqs::types::QueueAttributeName;
use llmopt_aws_emulator::{Dynalite, MiniStack};
use llmopt_domain::Digest;
use llmopt_storage::{
    AnswerStore, EventLog, FolderStore, MessageQueue, RateStore, RecordStore, SpendStore,
    StorageError, UploadStore,
    conformance::{AnswerSubject, Note, QueueSubject, Subject},
};
use tokio::{runtime::Handle, task::block_in_place};

use crate::{
    Aws, DynamoAnswerStore, DynamoEventLog, DynamoRateStore, DynamoRecordStore, DynamoSpendStore,
    S3FolderStore, S3Uploads, SqsMessageQueue, bucket::Bucket, table::Table,
};

/// Runs what the synchronous openers of the suites have to wait for.
fn wait<T>(work: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(work))
}

fn aws() -> Aws {
    let emulator = MiniStack::shared().expect("tests without one are skipped");
    at(emulator.endpoint())
}

fn dynalite() -> Aws {
    let emulator = Dynalite::shared().expect("tests without one are skipped");
    at(emulator.endpoint())
}

fn at(endpoint: &str) -> Aws {
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"));
    wait(Aws::load(loader))
}

/// Returns a name that goes with a test's folder: opening it again is a restart.
fn name(root: &Path) -> String {
    let digest = Digest::of_bytes(root.as_os_str().as_encoded_bytes());
    format!("test-{}", digest.short())
}

fn bucket(aws: &Aws, root: &Path) -> String {
    let name = name(root);
    let client = Bucket::new(aws, &name).client().clone();
    // It may be there: the second to open it restarts.
    let _ = wait(client.create_bucket().bucket(&name).send());
    name
}

fn attribute(name: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    let attribute = AttributeDefinition::builder();
    attribute
        .attribute_name(name)
        .attribute_type(kind)
        .build()
        .unwrap()
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    let key = KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind);
    key.build().unwrap()
}

fn index(name: &str, hash: &str) -> GlobalSecondaryIndex {
    let all = Projection::builder().projection_type(ProjectionType::All);
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .key_schema(key(hash, KeyType::Hash))
        .key_schema(key("place", KeyType::Range))
        .projection(all.build())
        .build()
        .unwrap()
}

/// Makes the table of records, as template.yaml has it.
fn records_table(aws: &Aws, root: &Path) -> String {
    let name = format!("{}-records", name(root));
    let client = aws_sdk_dynamodb::Client::new(aws.config());
    let create = client
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("id", ScalarAttributeType::S))
        .attribute_definitions(attribute("kind", ScalarAttributeType::S))
        .attribute_definitions(attribute("group", ScalarAttributeType::S))
        .attribute_definitions(attribute("place", ScalarAttributeType::S))
        .key_schema(key("id", KeyType::Hash))
        .global_secondary_indexes(index("by-kind", "kind"))
        .global_secondary_indexes(index("by-group", "group"));
    let _ = wait(create.send());
    wait(async {
        loop {
            let described = client.describe_table().table_name(&name).send().await;
            let table = described.unwrap().table.unwrap();
            if table.table_status == Some(TableStatus::Active) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    name
}

fn events_table(aws: &Aws, root: &Path) -> String {
    let name = format!("{}-events", name(root));
    let create = aws_sdk_dynamodb::Client::new(aws.config())
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("log", ScalarAttributeType::S))
        .attribute_definitions(attribute("sequence", ScalarAttributeType::N))
        .key_schema(key("log", KeyType::Hash))
        .key_schema(key("sequence", KeyType::Range));
    let _ = wait(create.send());
    name
}

fn queue(root: &Path, max_receives: NonZeroU32) -> Arc<dyn MessageQueue> {
    let aws = aws();
    let client = aws_sdk_sqs::Client::new(aws.config());
    let name = name(root);
    let create = |name: &str| client.create_queue().queue_name(name);
    let url = |created: aws_sdk_sqs::operation::create_queue::CreateQueueOutput| {
        created.queue_url.unwrap()
    };
    let dead = url(wait(create(&format!("{name}-dead")).send()).unwrap());
    let policy = format!(
        "{{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:{name}-dead\",\"maxReceiveCount\":\"{max_receives}\"}}"
    );
    let main = create(&name).attributes(QueueAttributeName::RedrivePolicy, policy);
    let main = url(wait(main.send()).unwrap());
    Arc::new(SqsMessageQueue::new(&aws, &main, &dead, Duration::ZERO))
}

/// A second opinion on what a single item's conditions do.
fn records_elsewhere(root: &Path) -> Arc<dyn RecordStore<Note>> {
    let aws = dynalite();
    let table = records_table(&aws, root);
    Arc::new(DynamoRecordStore::new(&aws, &table))
}

fn records(root: &Path) -> Arc<dyn RecordStore<Note>> {
    let aws = aws();
    let table = records_table(&aws, root);
    Arc::new(DynamoRecordStore::new(&aws, &table))
}

fn rates(root: &Path) -> Arc<dyn RateStore> {
    let aws = aws();
    let table = records_table(&aws, root);
    Arc::new(DynamoRateStore::new(&aws, &table))
}

fn rates_elsewhere(root: &Path) -> Arc<dyn RateStore> {
    let aws = dynalite();
    let table = records_table(&aws, root);
    Arc::new(DynamoRateStore::new(&aws, &table))
}

fn spending(root: &Path) -> Arc<dyn SpendStore> {
    let aws = aws();
    let table = records_table(&aws, root);
    Arc::new(DynamoSpendStore::new(&aws, &table))
}

fn spending_elsewhere(root: &Path) -> Arc<dyn SpendStore> {
    let aws = dynalite();
    let table = records_table(&aws, root);
    Arc::new(DynamoSpendStore::new(&aws, &table))
}

fn answers(root: &Path) -> Arc<dyn AnswerStore> {
    let aws = aws();
    let table = records_table(&aws, root);
    Arc::new(DynamoAnswerStore::new(&aws, &table))
}

fn answers_elsewhere(root: &Path) -> Arc<dyn AnswerStore> {
    let aws = dynalite();
    let table = records_table(&aws, root);
    Arc::new(DynamoAnswerStore::new(&aws, &table))
}

fn logs(root: &Path) -> Arc<dyn EventLog> {
    let aws = aws();
    let table = events_table(&aws, root);
    Arc::new(DynamoEventLog::new(&aws, &table))
}

fn folders(root: &Path) -> Arc<dyn FolderStore> {
    let aws = aws();
    let bucket = bucket(&aws, root);
    Arc::new(S3FolderStore::open(&aws, &bucket, root).unwrap())
}

/// Lets nothing through that changes something, from a given request on.
#[derive(Debug)]
struct Death {
    writes: AtomicU64,
    at: u64,
}

impl Intercept for Death {
    fn name(&self) -> &'static str {
        "death"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        // What DynamoDB is asked for is all sent in one way.
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let reads = ["GET", "HEAD"].contains(&request.method()) || target.ends_with(".GetItem");
        let is_write = !reads;
        if is_write && self.writes.fetch_add(1, Ordering::SeqCst) >= self.at {
            return Err("the process is dead".into());
        }
        Ok(())
    }
}

fn dying_folders(root: &Path, write: u64) -> Arc<dyn FolderStore> {
    let aws = aws();
    let name = bucket(&aws, root);
    let death = Death {
        writes: AtomicU64::new(0),
        at: write,
    };
    let bucket = Bucket::with_interceptor(&aws, &name, death);
    Arc::new(S3FolderStore::on(bucket, root))
}

fn dying_answers(root: &Path, write: u64) -> Arc<dyn AnswerStore> {
    let aws = aws();
    let death = Death {
        writes: AtomicU64::new(0),
        at: write,
    };
    let config = Table::config(&aws).interceptor(death);
    let table = Table {
        client: aws_sdk_dynamodb::Client::from_conf(config.build()),
        name: records_table(&aws, root),
    };
    Arc::new(DynamoAnswerStore::on(table))
}

const ANSWERS: AnswerSubject = AnswerSubject {
    open: answers,
    open_dying: Some(dying_answers),
};

const ANSWERS_ELSEWHERE: AnswerSubject = AnswerSubject {
    open: answers_elsewhere,
    open_dying: None,
};

const S3: Subject = Subject {
    open: folders,
    survives_restart: true,
    open_dying: Some(dying_folders),
    // S3 is never full.
    open_full: None,
};

const SQS: QueueSubject = QueueSubject {
    open: queue,
    // It counts in whole seconds, and a message that is hidden for one may come back a moment later.
    shortest: Duration::from_secs(1),
};

/// Returns `subject` where there is an emulator; a test without one is skipped.
macro_rules! emulated {
    ($subject:expr) => {
        emulated!(MiniStack, $subject)
    };
    ($emulator:ident, $subject:expr) => {
        match $emulator::shared() {
            Some(_) => $subject,
            None => return,
        }
    };
}

mod folders_in_s3 {
    use super::*;
    llmopt_storage::folder_store_conformance!(emulated!(S3));
}

mod records_in_dynamodb {
    use super::*;
    llmopt_storage::record_store_conformance!(emulated!(records));
}

mod records_in_dynalite {
    use super::*;
    llmopt_storage::record_store_conformance!(emulated!(Dynalite, records_elsewhere));
}

mod rates_in_dynalite {
    use super::*;
    llmopt_storage::rate_store_conformance!(emulated!(Dynalite, rates_elsewhere));
}

mod rates_in_dynamodb {
    use super::*;
    llmopt_storage::rate_store_conformance!(emulated!(rates));
}

mod spending_in_dynalite {
    use super::*;
    llmopt_storage::spend_store_conformance!(emulated!(Dynalite, spending_elsewhere));
}

mod spending_in_dynamodb {
    use super::*;
    llmopt_storage::spend_store_conformance!(emulated!(spending));
}

mod answers_in_dynamodb {
    use super::*;
    llmopt_storage::answer_store_conformance!(emulated!(ANSWERS));
}

mod answers_in_dynalite {
    use super::*;
    llmopt_storage::answer_store_conformance!(emulated!(Dynalite, ANSWERS_ELSEWHERE));
}

mod logs_in_dynamodb {
    use super::*;
    llmopt_storage::event_log_conformance!(emulated!(logs));
}

mod parts_in_s3 {
    use super::*;
    llmopt_storage::part_store_conformance!(emulated!(parts::PARTS));
}

mod messages_in_sqs {
    use super::*;
    llmopt_storage::message_queue_conformance!(emulated!(SQS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_put_to_an_uploads_url_is_fetched_once_and_discarded() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let aws = aws();
    let uploads = S3Uploads::new(&aws, &bucket(&aws, root.path()));
    let target = uploads.begin(Duration::from_secs(60)).await.unwrap();
    let path = root.path().join("file");
    let early = uploads.fetch(&target.id, &path).await;
    assert!(
        matches!(early, Err(StorageError::NoRecord { .. })),
        "{early:?}"
    );
    let put = std::process::Command::new("curl")
        .args([
            "--silent",
            "--fail",
            "--request",
            "PUT",
            "--data-binary",
            "a,b\n",
        ])
        .arg(&target.url)
        .status();
    assert!(put.unwrap().success());
    assert_eq!(uploads.fetch(&target.id, &path).await.unwrap(), 4);
    assert_eq!(std::fs::read(&path).unwrap(), b"a,b\n");
    uploads.discard(&target.id).await.unwrap();
    let late = uploads.fetch(&target.id, &path).await;
    assert!(
        matches!(late, Err(StorageError::NoRecord { .. })),
        "{late:?}"
    );
    let foreign = uploads.fetch("../models/a", &path).await;
    assert!(
        matches!(foreign, Err(StorageError::NoRecord { .. })),
        "{foreign:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_when_it_is_checked() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let aws = aws();
    let folders = S3FolderStore::open(&aws, "no-such-bucket", root.path()).unwrap();
    let table = DynamoRecordStore::<Note>::new(&aws, "no-such-table");
    let url = format!(
        "{}/000000000000/no-such-queue",
        aws.config().endpoint_url().unwrap()
    );
    let queue = SqsMessageQueue::new(&aws, &url, &url, Duration::ZERO);
    for (error, name) in [
        (folders.check().await.unwrap_err(), "no-such-bucket"),
        (table.check().await.unwrap_err(), "no-such-table"),
        (queue.check().await.unwrap_err(), "no-such-queue"),
    ] {
        let text = llmopt_domain::error_chain(&error);
        assert!(text.contains(name), "{text}");
        assert!(text.contains("does not exist"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_unavailable() {
    let root = tempfile::tempdir().unwrap();
    // Nothing listens at the port of `discard`.
    let aws = at("http://127.0.0.1:9");
    let records = DynamoRecordStore::<Note>::new(&aws, "records");
    let folders = S3FolderStore::open(&aws, "bucket", root.path()).unwrap();
    let answers = DynamoAnswerStore::new(&aws, "answers");
    let queue = SqsMessageQueue::new(
        &aws,
        "http://127.0.0.1:9/q",
        "http://127.0.0.1:9/d",
        Duration::ZERO,
    );
    for error in [
        records.check().await.unwrap_err(),
        folders.check().await.unwrap_err(),
        queue.send("a").await.unwrap_err(),
        answers.renew("a", "holder", 1).await.unwrap_err(),
        answers.release("a", "holder").await.unwrap_err(),
    ] {
        assert!(
            matches!(error, StorageError::Unavailable { .. }),
            "{error:?}"
        );
    }
}
