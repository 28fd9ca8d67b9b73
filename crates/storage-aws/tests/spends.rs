//! Several processes that spend at once are granted exactly what there is, on both stores.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "a process that spends is told by the environment where"
)]

use std::{
    env,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use llmopt_aws_emulator::MiniStack;
use llmopt_storage::AllowanceStore;
use llmopt_storage_aws::{Aws, DynamoAllowanceStore};
use llmopt_storage_embedded::{Database, SqliteAllowanceStore};

const DATABASE: &str = "SPENDER_DATABASE";
const TABLE: &str = "SPENDER_TABLE";
const ALLOWANCE: &str = "team";
const PROCESSES: u64 = 4;
const SPENDS: u64 = 500;
const LIMIT: u64 = 1_500;

fn sqlite(path: &Path) -> Arc<dyn AllowanceStore> {
    Arc::new(SqliteAllowanceStore::new(Database::open(path).unwrap()))
}

/// Spends as the test below tells it, and says how often it was granted.
#[tokio::test]
#[ignore = "started by the tests below"]
async fn spender() {
    let store = match (env::var(DATABASE), env::var(TABLE)) {
        (Ok(path), _) => sqlite(Path::new(&path)),
        (_, Ok(table)) => {
            Arc::new(DynamoAllowanceStore::new(&Aws::connect().await, &table)) as Arc<_>
        }
        _ => panic!("no store to spend from"),
    };
    let mut granted = 0;
    for _ in 0..SPENDS {
        granted += u64::from(store.spend(ALLOWANCE, 1).await.unwrap().is_some());
    }
    println!("granted {granted}.");
}

/// Has all processes spend at once and returns what they were granted together.
fn spend(environment: &[(&str, &str)]) -> u64 {
    let start = || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "spender", "--ignored", "--nocapture"])
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let spenders: Vec<Child> = (0..PROCESSES).map(|_| start()).collect();
    spenders.into_iter().map(granted).sum()
}

fn granted(spender: Child) -> u64 {
    let output = spender.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = text.split_once("granted ").unwrap();
    rest.split_once('.').unwrap().0.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_spend_exactly_what_there_is_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(Database::FILE_NAME);
    let store = sqlite(&path);
    store.open(ALLOWANCE, LIMIT).await.unwrap();
    assert_eq!(spend(&[(DATABASE, path.to_str().unwrap())]), LIMIT);
    assert_eq!(store.left(ALLOWANCE).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_spend_exactly_what_there_is_in_dynamodb() {
    let Some(emulator) = MiniStack::shared() else {
        return;
    };
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .endpoint_url(emulator.endpoint())
        .region("us-east-1")
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new(
            "test", "test", None, None, "tests",
        ))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .load()
        .await;
    let client = aws_sdk_dynamodb::Client::new(&config);
    let id = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(KeyType::Hash);
    client
        .create_table()
        .table_name("spends")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(id.build().unwrap())
        .key_schema(key.build().unwrap())
        .send()
        .await
        .unwrap();
    let item = |name: &str, value| (name.to_owned(), value);
    use aws_sdk_dynamodb::types::AttributeValue::{N, S};
    let opened = [
        item("id", S(format!("allowance#{ALLOWANCE}"))),
        item("available", N(LIMIT.to_string())),
    ];
    client
        .put_item()
        .table_name("spends")
        .set_item(Some(opened.into()))
        .send()
        .await
        .unwrap();
    let mut environment = vec![(TABLE, "spends")];
    environment.extend(emulator.environment());
    assert_eq!(spend(&environment), LIMIT);
    let left = client
        .get_item()
        .table_name("spends")
        .key("id", S(format!("allowance#{ALLOWANCE}")))
        .consistent_read(true)
        .send()
        .await
        .unwrap();
    assert_eq!(left.item.unwrap()["available"], N("0".to_owned()));
}
