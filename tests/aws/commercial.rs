//! Commercial models in an account: the deployed functions ask a stand-in for a provider.

use std::time::{Duration, Instant};

use llmopt_aws_emulator::MiniStack;
use llmopt_provider_mock::Mock;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::account::{Account, PATIENCE, boto};

const MODEL: &str = "mock/some-model";
const SECRET: &str = "llmopt/mock-key";
/// The day from which on the account's prices hold.
const PRICES: &str = "2099-01-01";

/// An account with one provider, whose key is a secret, and with prices of its own.
async fn with_provider(mock: &Mock) -> Option<Account> {
    MiniStack::shared()?;
    let arn = boto(&format!(
        "print(client('secretsmanager').create_secret(Name='{SECRET}', SecretString='sk-canary')['ARN'])"
    ));
    let providers = json!([{
        "name": "mock", "api": "openai", "base_url": mock.openai_url(), "key_secret": SECRET,
        "ceiling": { "input_usd_per_million": "1", "output_usd_per_million": "1000" },
    }]);
    let providers = providers.to_string();
    let account = Account::with(&[("Providers", &providers), ("ProviderSecrets", &arn)]).await?;
    let prices = account.path("prices.json");
    std::fs::write(&prices, newer_prices()).unwrap();
    boto(&format!(
        "client('s3').upload_file({:?}, {:?}, 'prices/prices.json')",
        prices.display().to_string(),
        account.variable("LLMOPT_BUCKET"),
    ));
    Some(account)
}

/// The prices that programs are built with, as of another day.
fn newer_prices() -> String {
    let text = include_str!("../../crates/prices/prices.json");
    let (_, rest) = text.split_once("\"date\": \"").unwrap();
    text.replacen(&rest[..PRICES.len()], PRICES, 1)
}

async fn ask(account: &Account) -> (u16, Value) {
    let question = json!({ "model_id": MODEL, "prompt": "one two three", "max_tokens": 8 });
    let answer = account.ask("POST", "/generate", question).await;
    (answer.status, answer.body)
}

async fn limit(account: &Account, dollars: &str) {
    let budget = json!({ "scope": "all", "total_usd": dollars, "alert_percent": [1] });
    let set = account.ask("PUT", "/commercial/budgets", budget).await;
    assert_eq!(set.status, 200, "{set:?}");
}

async fn usage(account: &Account) -> Value {
    let path = "/commercial/usage?group_by=provider";
    let usage = account.ask("GET", path, Value::Null).await;
    assert_eq!(usage.status, 200, "{usage:?}");
    usage.body
}

/// A request that was sent, of a process that died: what it left in the table.
fn abandon(account: &Account) {
    let code = r#"
import json, time
day = time.strftime('%Y-%m-%d', time.gmtime())
body = {'format': 1, 'request': 'r1', 'version': 3, 'created_ms': 1, 'expires_ms': 9, 'day': day, 'bound': 7_000_000_000_000,
        'rows': [], 'asked': {'key': 'k', 'model': 'some-model', 'provider': 'mock', 'price_version': '7'},
        'state': {'open': {'holds': [], 'sent': True}}, 'forget_ms': None}
client('dynamodb').put_item(TableName=TABLE, Item={
    'id': {'S': 'reservation#r1'}, 'body': {'S': json.dumps(body)}, 'revision': {'N': '3'}, 'beginning': {'N': '1'},
    'group': {'S': 'reservations#0'}, 'place': {'S': '00000000000000000009#r1'}})
"#;
    let table = account.variable("LLMOPT_RECORDS_TABLE");
    boto(&code.replace("TABLE", &format!("{table:?}")));
}

/// Has a queue get what the account's topic is told, and returns its URL.
fn follow_alerts(account: &Account) -> String {
    let code = r#"
import json
queue = client('sqs').create_queue(QueueName='alerts')['QueueUrl']
arn = client('sqs').get_queue_attributes(QueueUrl=queue, AttributeNames=['QueueArn'])['Attributes']['QueueArn']
allow = {'Effect': 'Allow', 'Principal': {'Service': 'sns.amazonaws.com'}, 'Action': 'sqs:SendMessage', 'Resource': arn,
         'Condition': {'ArnEquals': {'aws:SourceArn': TOPIC}}}
policy = json.dumps({'Version': '2012-10-17', 'Statement': [allow]})
client('sqs').set_queue_attributes(QueueUrl=queue, Attributes={'Policy': policy})
client('sns').subscribe(TopicArn=TOPIC, Protocol='sqs', Endpoint=arn)
print(queue)
"#;
    boto(&code.replace("TOPIC", &format!("{:?}", account.output("AlarmTopic"))))
}

/// Takes one message that the topic sent on.
fn alert(queue: &str) -> Value {
    let code = r#"
import json
for _ in range(10):
    received = client('sqs').receive_message(QueueUrl=QUEUE, WaitTimeSeconds=3).get('Messages', [])
    if received:
        print(json.loads(received[0]['Body'])['Message'])
        break
"#;
    let said = boto(&code.replace("QUEUE", &format!("{queue:?}")));
    assert!(!said.is_empty(), "nothing is told");
    serde_json::from_str(&said).unwrap()
}

/// Has a question answered by the function that SQS invokes.
async fn queued(account: &Account, mock: &Mock) {
    let before = mock.exchanges().len();
    let question = json!({ "model_id": MODEL, "prompt": "one two three", "max_tokens": 8 });
    let queued = account.ask_later(question).await;
    assert_eq!(queued.status, 202, "{queued:?}");
    let id = queued.body["id"].as_str().unwrap();
    let path = format!("/generate/results/{id}");
    let began = Instant::now();
    let answer = loop {
        let looked = account.ask("GET", &path, Value::Null).await;
        assert_eq!(looked.status, 200, "{looked:?}");
        if looked.body.get("ended_at").is_some() {
            break looked.body;
        }
        assert!(began.elapsed() < PATIENCE, "{looked:?}");
        sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(answer["status"], "succeeded", "{answer}");
    let metadata = &answer["response"]["metadata"];
    assert_eq!(metadata["provider"], "mock", "{answer}");
    assert_eq!(mock.exchanges().len(), before + 1);
    let used = usage(account).await;
    assert_eq!(used["total"]["requests"], 3, "{used}");
    let unknown = account
        .ask("GET", "/generate/results/req_1", Value::Null)
        .await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commercial_model_answers_within_its_budget_and_what_was_abandoned_is_counted() {
    let mock = Mock::start(0).await.unwrap();
    let Some(account) = with_provider(&mock).await else {
        return;
    };
    let queue = follow_alerts(&account);

    limit(&account, "0.0001").await;
    let (status, refused) = ask(&account).await;
    assert_eq!(
        (status, &refused["code"]),
        (402, &json!("budget_exceeded")),
        "{refused}"
    );
    assert!(
        mock.exchanges().is_empty(),
        "nothing may be asked for nothing"
    );

    limit(&account, "0.10").await;
    let (status, answer) = ask(&account).await;
    assert_eq!(status, 200, "{answer}");
    let metadata = &answer["metadata"];
    assert_eq!(metadata["model_type"], "commercial", "{answer}");
    assert_eq!(metadata["provider"], "mock", "{answer}");
    let version = metadata["price_version"].as_str().unwrap_or_default();
    assert!(version.contains(PRICES), "{answer}");
    let cost = metadata["cost_usd"].as_f64().unwrap_or_default();
    assert!(cost > 0.0, "{answer}");
    let exchanges = mock.exchanges();
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0].headers["authorization"], "Bearer sk-canary");

    let told = alert(&queue);
    assert_eq!(told["kind"], "threshold", "{told}");
    assert_eq!(
        (&told["scope"], &told["percent"]),
        (&json!("all"), &json!(1)),
        "{told}"
    );

    let used = usage(&account).await;
    assert_eq!(used["total"]["requests"], 1, "{used}");
    assert_eq!(used["groups"][0]["group"], "mock", "{used}");
    let dollars = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    assert!(
        (dollars(&used["total"]["cost_usd"]) - cost).abs() < 1e-9,
        "{used}"
    );

    abandon(&account);
    // Events come at least once.
    for _ in 0..2 {
        account
            .invoke("job-events", &json!({ "sweep": "spending" }))
            .await;
    }
    let used = usage(&account).await;
    assert_eq!(used["total"]["requests"], 2, "{used}");
    assert!(
        (dollars(&used["total"]["assumed_usd"]) - 7.0).abs() < 1e-9,
        "{used}"
    );

    queued(&account, &mock).await;

    let tested = account.ask("GET", "/commercial/test", Value::Null).await;
    assert_eq!(tested.status, 200, "{tested:?}");
    assert!(!tested.body.to_string().contains("sk-canary"), "{tested:?}");
}
