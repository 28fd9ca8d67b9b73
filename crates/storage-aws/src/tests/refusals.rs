//! What services refuse, and why, is told apart.

use super::{faulty::*, *};

const THROTTLED: Instead = Instead::Answer(
    400,
    r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slower"}"#,
);
const SLOW_DOWN: Instead = Instead::Answer(
    503,
    "<Error><Code>SlowDown</Code><Message>slower</Message></Error>",
);

fn note(id: &str) -> Note {
    serde_json::from_value(serde_json::json!({
        "id": id, "created_ms": 1, "shelf": "upper", "text": "text",
    }))
    .unwrap()
}

fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, StorageError>) {
    assert!(
        matches!(result, Err(StorageError::Unavailable { .. })),
        "{result:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_always_busy_is_unavailable_after_four_tries() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (aws, faulty) = Faulty::on(|_, _| Some(THROTTLED));
    let records = DynamoRecordStore::<Note>::new(&aws, "records");
    assert_unavailable(records.create(&note("a")).await);
    assert_eq!(faulty.calls(), 4);
    let queue = SqsMessageQueue::new(&aws, "http://q/a", "http://q/b", Duration::ZERO);
    assert_unavailable(queue.send("a").await);
    let logs = DynamoEventLog::new(&aws, "events");
    assert_unavailable(logs.append("job", 0, &["{}".to_owned()]).await);
    let (aws, _) = Faulty::on(|_, _| Some(SLOW_DOWN));
    let folders = S3FolderStore::open(&aws, "bucket", root.path()).unwrap();
    assert_unavailable(folders.open(&llmopt_domain::ObjectKey::dataset("a")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_busy_once_does_what_it_was_asked_for_once() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let sound = aws();
    let records = records_table(&sound, root.path());
    let events = events_table(&sound, root.path());
    let once = || Faulty::on(|number, _| (number == 0).then_some(THROTTLED));
    let (aws, _) = once();
    let store = DynamoRecordStore::<Note>::new(&aws, &records);
    let created = store.create(&note("a")).await.unwrap();
    let (aws, _) = once();
    let store = DynamoRecordStore::<Note>::new(&aws, &records);
    let replaced = store.replace(created.revision, &note("a")).await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), replaced);
    let (aws, _) = once();
    let logs = DynamoEventLog::new(&aws, &events);
    assert_eq!(logs.append("job", 0, &["{}".to_owned()]).await.unwrap(), 1);
    assert_eq!(logs.read("job", 0, 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_took_effect_all_the_same_is_known_again() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let events = events_table(&aws(), root.path());
    let bodies = ["{}".to_owned()];
    let late = Instead::After(400, CONFLICT);
    let (aws, _) = Faulty::on(move |number, _| (number == 0).then_some(late));
    let logs = DynamoEventLog::new(&aws, &events);
    assert_eq!(logs.append("conflict", 0, &bodies).await.unwrap(), 1);
    let late = Instead::After(400, DENIED);
    let (aws, _) = Faulty::on(move |number, _| (number == 0).then_some(late));
    let logs = DynamoEventLog::new(&aws, &events);
    let refused = logs.append("denied", 0, &bodies).await;
    assert!(
        matches!(refused, Err(StorageError::Internal { .. })),
        "{refused:?}"
    );
    let late = Instead::After(500, "{}");
    let (aws, _) = Faulty::on(move |_, request| is_append(request).then_some(late));
    let logs = DynamoEventLog::new(&aws, &events);
    assert_eq!(logs.append("fault", 0, &bodies).await.unwrap(), 1);
    assert_eq!(logs.read("fault", 0, 9).await.unwrap().len(), 1);
}

const DENIED: &str =
    r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not authorized"}"#;

fn is_append(request: &aws_smithy_runtime_api::client::orchestrator::HttpRequest) -> bool {
    let target = request.headers().get("x-amz-target");
    target.is_some_and(|target| target.ends_with("TransactWriteItems"))
}

fn canceled(number: u64, last: u64, reason: &'static str) -> Option<Instead> {
    (number < last).then_some(Instead::Answer(400, reason))
}

const CONFLICT: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"canceled","CancellationReasons":[{"Code":"TransactionConflict","Message":"another"},{"Code":"None"}]}"#;
const CROWDED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"canceled","CancellationReasons":[{"Code":"None"},{"Code":"ThrottlingError","Message":"slower"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_others_come_between_is_tried_again_and_then_decided() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let events = events_table(&aws(), root.path());
    let bodies = ["{}".to_owned()];
    for (log, reason) in [("conflict", CONFLICT), ("crowded", CROWDED)] {
        let (aws, _) = Faulty::on(move |number, _| canceled(number, 3, reason));
        let logs = DynamoEventLog::new(&aws, &events);
        assert_eq!(logs.append(log, 0, &bodies).await.unwrap(), 1);
        let (aws, _) = Faulty::on(move |number, _| canceled(number, 3, reason));
        let late = DynamoEventLog::new(&aws, &events)
            .append(log, 0, &bodies)
            .await;
        assert!(
            matches!(late, Err(StorageError::Conflict { .. })),
            "{late:?}"
        );
        assert_eq!(logs.read(log, 0, 9).await.unwrap().len(), 1);
    }
    let (aws, _) = Faulty::on(|number, _| canceled(number, u64::MAX, CONFLICT));
    let logs = DynamoEventLog::new(&aws, &events);
    assert_unavailable(logs.append("never", 0, &bodies).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_s3_asks_to_try_again_is_tried_again() {
    if MiniStack::shared().is_none() {
        return;
    }
    const CONFLICT: Instead = Instead::Answer(
        409,
        "<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>",
    );
    let root = tempfile::tempdir().unwrap();
    let bucket = bucket(&aws(), root.path());
    let conflicts = AtomicU64::new(0);
    let (aws, _) = Faulty::on(move |_, request| {
        let conditional = request.headers().get("if-none-match").is_some();
        (conditional && conflicts.fetch_add(1, Ordering::SeqCst) < 3).then_some(CONFLICT)
    });
    let store = S3FolderStore::open(&aws, &bucket, root.path()).unwrap();
    let key = llmopt_domain::ObjectKey::dataset("a");
    let staged = store.stage().await.unwrap();
    std::fs::write(staged.path().join("rows.jsonl"), "{}\n").unwrap();
    store.publish(staged.path(), &key).await.unwrap();
    store.open(&key).await.unwrap();
}

/// What each service says when it refuses, and what a person is told.
const REFUSALS: [(Instead, &str); 9] = [
    (
        Instead::Answer(
            400,
            r#"{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User: arn:aws:iam::1:user/a is not authorized to perform: dynamodb:GetItem"}"#,
        ),
        "give their role the permission",
    ),
    (
        Instead::Answer(
            403,
            "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
        ),
        "give their role the permission",
    ),
    (
        Instead::Answer(
            400,
            r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}"#,
        ),
        "credentials are not valid",
    ),
    (
        Instead::Answer(
            403,
            "<Error><Code>InvalidAccessKeyId</Code><Message>it does not exist</Message></Error>",
        ),
        "credentials are not valid",
    ),
    (
        Instead::Answer(
            400,
            "<Error><Code>ExpiredToken</Code><Message>expired</Message></Error>",
        ),
        "credentials are not valid",
    ),
    (
        Instead::Answer(
            400,
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}"#,
        ),
        "does not exist in this account and region",
    ),
    (
        Instead::Answer(
            404,
            "<Error><Code>NoSuchBucket</Code><Message>it does not exist</Message></Error>",
        ),
        "does not exist in this account and region",
    ),
    (
        Instead::Answer(
            403,
            "<Error><Code>RequestTimeTooSkewed</Code><Message>the difference is too large</Message></Error>",
        ),
        "clock is wrong",
    ),
    (
        Instead::Answer(
            400,
            r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"it does not exist"}"#,
        ),
        "does not exist in this account and region",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_is_wrong_and_with_what() {
    if MiniStack::shared().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    for (instead, advice) in REFUSALS {
        let (aws, _) = Faulty::on(move |_, _| Some(instead));
        let is_xml = matches!(instead, Instead::Answer(_, body) if body.starts_with('<'));
        let errors = if is_xml {
            let folders = S3FolderStore::open(&aws, "the-place", root.path()).unwrap();
            let uploads = S3Uploads::new(&aws, "the-place");
            [folders.check().await, uploads.check().await]
        } else {
            let url = "http://localhost/the-place";
            let queue = SqsMessageQueue::new(&aws, url, url, Duration::ZERO);
            let records = DynamoRecordStore::<Note>::new(&aws, "the-place");
            [queue.check().await, records.check().await]
        };
        for error in errors {
            let error = error.unwrap_err();
            let text = llmopt_domain::error_chain(&error);
            assert!(matches!(error, StorageError::Internal { .. }), "{text}");
            assert!(
                text.contains(advice) && text.contains("the-place"),
                "{text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_credentials_and_a_missing_region_are_named() {
    use aws_credential_types::provider::{
        SharedCredentialsProvider, error::CredentialsError, future,
    };
    #[derive(Debug)]
    struct Nobody;
    impl aws_credential_types::provider::ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("nowhere")))
        }
    }
    let loader = || aws_config::defaults(BehaviorVersion::latest()).endpoint_url("http://[::1]:9");
    let anonymous = loader()
        .region("us-east-1")
        .credentials_provider(SharedCredentialsProvider::new(Nobody));
    let known = Credentials::new("test", "test", None, None, "tests");
    let nowhere = loader()
        .region(aws_config::meta::region::RegionProviderChain::first_try(
            None::<Region>,
        ))
        .credentials_provider(known);
    for (loader, advice) in [(anonymous, "AWS_PROFILE"), (nowhere, "AWS_REGION")] {
        let aws = wait(Aws::load(loader));
        let root = tempfile::tempdir().unwrap();
        let table = DynamoRecordStore::<Note>::new(&aws, "records");
        let folders = S3FolderStore::open(&aws, "bucket", root.path()).unwrap();
        let queue = SqsMessageQueue::new(&aws, "http://q/a", "http://q/b", Duration::ZERO);
        for checked in [
            table.check().await,
            folders.check().await,
            queue.check().await,
        ] {
            let error = checked.unwrap_err();
            let text = llmopt_domain::error_chain(&error);
            assert!(matches!(error, StorageError::Internal { .. }), "{text}");
            assert!(text.contains(advice), "{text}");
        }
    }
}
