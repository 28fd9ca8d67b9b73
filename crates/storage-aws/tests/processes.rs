//! Several processes that ask at once are let through as often as a rate lets them, on both stores.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "a process that asks is told by the environment where"
)]

use std::{
    env,
    num::{NonZeroU32, NonZeroU64},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use llmopt_aws_emulator::MiniStack;
use llmopt_domain::Rate;
use llmopt_service::Limiter;
use llmopt_storage::RateStore;
use llmopt_storage_aws::{Aws, DynamoRateStore};
use llmopt_storage_embedded::SqliteRateStore;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

const DATABASE: &str = "CALLER_DATABASE";
const TABLE: &str = "CALLER_TABLE";
const PROCESSES: u64 = 4;
/// Set, the clock of those who ask stands still at this time, in microseconds since 1970.
const FROZEN: &str = "CALLER_FROZEN";
/// How long those who ask go on where it does not.
const CALLING: Duration = Duration::from_secs(5);
/// Callers of each process.
const CALLERS: u64 = 50;

/// Has all processes do `what`, and returns how often they were let through together.
fn together(what: &str, environment: &[(&str, &str)]) -> u64 {
    let start = || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", what, "--ignored", "--nocapture"])
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let callers: Vec<Child> = (0..PROCESSES).map(|_| start()).collect();
    callers.into_iter().map(granted).sum()
}

fn granted(caller: Child) -> u64 {
    let output = caller.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, rest) = text.split_once("granted ").unwrap();
    rest.split_once('.').unwrap().0.parse().unwrap()
}

async fn client(emulator: &MiniStack) -> Client {
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .endpoint_url(emulator.endpoint())
        .region("us-east-1")
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new(
            "test", "test", None, None, "tests",
        ))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .load()
        .await;
    Client::new(&config)
}

/// Makes a table whose key is `id`.
async fn create_table(client: &Client, name: &str) {
    let id = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(KeyType::Hash);
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(id.build().unwrap())
        .key_schema(key.build().unwrap())
        .send()
        .await
        .unwrap();
}

/// 20 each second on average, 50 at once: the emulator answers some hundred requests a second.
fn rate() -> Rate {
    Rate {
        period_us: NonZeroU64::new(50_000).unwrap(),
        burst: NonZeroU32::new(50).unwrap(),
    }
}

/// Asks as the tests below tell it, many at once, and says how often it was let through.
#[tokio::test]
#[ignore = "started by the tests below"]
async fn caller() {
    let store: Arc<dyn RateStore> = match (env::var(DATABASE), env::var(TABLE)) {
        (Ok(path), _) => Arc::new(SqliteRateStore::open(Path::new(&path)).unwrap()),
        (_, Ok(table)) => Arc::new(DynamoRateStore::new(&Aws::connect().await, &table)),
        _ => panic!("no store to ask"),
    };
    let limiter = Limiter::new(store);
    let frozen_us: Option<u64> = env::var(FROZEN).ok().map(|now| now.parse().unwrap());
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let limiter = limiter.clone();
        callers.spawn(async move {
            match frozen_us {
                Some(now_us) => call_in_no_time(&limiter, now_us).await,
                None => call_for_a_while(&limiter).await,
            }
        });
    }
    let granted: u64 = callers.join_all().await.into_iter().sum();
    println!("granted {granted}.");
}

async fn call_in_no_time(limiter: &Limiter, now_us: u64) -> u64 {
    let mut granted = 0;
    for _ in 0..10 {
        let taken = limiter.take_at("team", rate(), now_us).await.unwrap();
        granted += u64::from(taken.is_ok());
    }
    granted
}

/// Comes back when it is told to, a little later than the others who are told the same.
async fn call_for_a_while(limiter: &Limiter) -> u64 {
    // So that about four of them come for each slot.
    let apart_us = PROCESSES * CALLERS * rate().period_us.get() / 2;
    let began = Instant::now();
    let mut granted = 0;
    while began.elapsed() < CALLING {
        match limiter.take("team", rate()).await.unwrap() {
            Ok(_) => granted += 1,
            Err(refused) => {
                let wait_us = refused.wait_us + fastrand::u64(0..apart_us);
                let left = CALLING.saturating_sub(began.elapsed());
                sleep(Duration::from_micros(wait_us).min(left)).await;
            }
        }
    }
    granted
}

/// Has all processes ask at once: with the clock frozen exactly the burst passes; over a time, at most what
/// the rate adds to it, and hardly less.
fn callers_keep_to_the_rate(environment: &[(&str, &str)], other: &[(&str, &str)]) {
    let burst = u64::from(rate().burst.get());
    let mut frozen = environment.to_vec();
    frozen.push((FROZEN, "1800000000000000"));
    assert_eq!(together("caller", &frozen), burst);
    let began = Instant::now();
    let granted = together("caller", other);
    let took = began.elapsed();
    let most =
        |time: Duration| burst + u64::try_from(time.as_micros()).unwrap() / rate().period_us.get();
    assert!(granted <= most(took), "{granted} in {took:?}");
    let least = most(CALLING) * 95 / 100;
    assert!(
        granted >= least,
        "{granted} in {CALLING:?}, expected {least}"
    );
}

#[test]
fn two_hundred_callers_in_four_processes_keep_to_a_rate_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (frozen, other) = (path("frozen.db"), path("other.db"));
    callers_keep_to_the_rate(&[(DATABASE, &frozen)], &[(DATABASE, &other)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_in_four_processes_keep_to_a_rate_in_dynamodb() {
    let Some(emulator) = MiniStack::shared() else {
        return;
    };
    let client = client(emulator).await;
    create_table(&client, "frozen").await;
    create_table(&client, "other").await;
    let environment = |table| {
        let mut environment = vec![(TABLE, table)];
        environment.extend(emulator.environment());
        environment
    };
    let (frozen, other) = (environment("frozen"), environment("other"));
    callers_keep_to_the_rate(&frozen, &other);
}
