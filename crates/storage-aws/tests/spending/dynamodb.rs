//! The cases on DynamoDB: each in a process whose environment points at the emulator.

use std::{env, sync::Arc};

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        Projection, ProjectionType, ScalarAttributeType,
    },
};
use llmopt_aws_emulator::MiniStack;
use llmopt_storage_aws::{Aws, DynamoSpendStore};

use super::{
    NAME, Process, TABLE,
    commercial::{
        exactly_fifty_are_answered, killed_processes_are_billed_what_they_may_have_used,
        kills_and_hang_ups_leave_a_budget_that_adds_up,
    },
    exactly_fifty_are_granted, killed_processes_bill_what_they_sent,
    processes_killed_at_any_moment_leave_a_budget_that_adds_up,
};

/// Runs the case that a test below names, in a process whose environment points at the emulator.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the tests below"]
async fn conductor() {
    let table = env::var(TABLE).unwrap();
    let store = Arc::new(DynamoSpendStore::new(&Aws::connect().await, &table));
    match env::var(NAME).unwrap().as_str() {
        "fifty" => exactly_fifty_are_granted(store, &[]).await,
        "killed" => killed_processes_bill_what_they_sent(store, &[]).await,
        "moments" => {
            processes_killed_at_any_moment_leave_a_budget_that_adds_up(store, &[]).await;
        }
        "answered" => exactly_fifty_are_answered(store, &[]).await,
        "lost" => killed_processes_are_billed_what_they_may_have_used(store, &[]).await,
        "cut" => kills_and_hang_ups_leave_a_budget_that_adds_up(store, &[]).await,
        other => panic!("there is no case `{other}`"),
    }
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

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    let key = KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind);
    key.build().unwrap()
}

/// Makes a table whose key is `id`, with the index `by-group`.
async fn create_table(client: &Client, name: &str) {
    let text = |name: &str| {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        attribute.build().unwrap()
    };
    let all = Projection::builder().projection_type(ProjectionType::All);
    let index = GlobalSecondaryIndex::builder()
        .index_name("by-group")
        .key_schema(key("group", KeyType::Hash))
        .key_schema(key("place", KeyType::Range))
        .projection(all.build());
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(text("id"))
        .attribute_definitions(text("group"))
        .attribute_definitions(text("place"))
        .key_schema(key("id", KeyType::Hash))
        .global_secondary_indexes(index.build().unwrap())
        .send()
        .await
        .unwrap();
}

/// Runs a case of `conductor` on a table of its own, if there is an emulator.
async fn in_dynamodb(case: &str) {
    let Some(emulator) = MiniStack::shared() else {
        return;
    };
    create_table(&client(emulator).await, case).await;
    let mut environment = vec![(TABLE, case)];
    environment.extend(emulator.environment());
    Process::start("dynamodb::conductor", case, &environment).end();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_requests_in_four_processes_exactly_fifty_are_granted_in_dynamodb() {
    in_dynamodb("fifty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_bill_what_they_sent_and_nothing_else_in_dynamodb() {
    in_dynamodb("killed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_at_any_moment_leave_a_budget_that_adds_up_in_dynamodb() {
    in_dynamodb("moments").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_questions_in_four_processes_exactly_fifty_are_answered_in_dynamodb() {
    in_dynamodb("answered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_of_killed_processes_are_billed_what_they_may_have_used_in_dynamodb() {
    in_dynamodb("lost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_and_hang_ups_leave_a_budget_that_adds_up_in_dynamodb() {
    in_dynamodb("cut").await;
}
