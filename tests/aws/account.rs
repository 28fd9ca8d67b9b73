//! An account with everything that the platform needs, and the processes that work in it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use aws_sdk_lambda::{
    primitives::Blob,
    types::{Environment, FunctionCode, Runtime},
};
use aws_sdk_sqs::types::QueueAttributeName;
use llmopt_aws_emulator::MiniStack;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

/// No step of a test takes this long unless something hangs.
const PATIENCE: Duration = Duration::from_secs(120);
const FUNCTIONS: [&str; 6] = [
    "health",
    "models",
    "datasets",
    "training",
    "generate",
    "inference",
];

pub(crate) struct Account {
    name: String,
    config: SdkConfig,
    environment: HashMap<String, String>,
    folder: TempDir,
}

/// What a route answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u64,
    pub(crate) body: Value,
}

impl Account {
    /// Makes the resources and the functions, and imports the tiny model as `base:tiny`; `None` where
    /// there is no emulator.
    pub(crate) async fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let emulator = MiniStack::shared()?;
        let name = format!("account{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .endpoint_url(emulator.endpoint())
            .region("us-east-1")
            .credentials_provider(aws_sdk_s3::config::Credentials::new(
                "test", "test", None, None, "tests",
            ))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .load()
            .await;
        let mut account = Self {
            environment: HashMap::new(),
            folder: tempfile::tempdir().unwrap(),
            config,
            name,
        };
        account.make_resources().await;
        account.environment.extend(
            emulator
                .environment()
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        for function in FUNCTIONS {
            account.make_function(function).await;
        }
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/tests/fixtures/tiny-gpt2");
        let imported = account
            .command("llmopt")
            .args(["models", "import", "--name", "tiny"])
            .arg(fixture)
            .output()
            .unwrap();
        succeeded(&imported);
        Some(account)
    }

    async fn make_resources(&mut self) {
        let name = &self.name;
        let s3 = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(true);
        let s3 = aws_sdk_s3::Client::from_conf(s3.build());
        s3.create_bucket().bucket(name).send().await.unwrap();
        let tables = aws_sdk_dynamodb::Client::new(&self.config);
        let (text, number) = (ScalarAttributeType::S, ScalarAttributeType::N);
        tables
            .create_table()
            .table_name(format!("{name}-records"))
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("id", &text))
            .attribute_definitions(attribute("kind", &text))
            .attribute_definitions(attribute("group", &text))
            .attribute_definitions(attribute("place", &text))
            .key_schema(key("id", KeyType::Hash))
            .global_secondary_indexes(index("by-kind", "kind"))
            .global_secondary_indexes(index("by-group", "group"))
            .send()
            .await
            .unwrap();
        tables
            .create_table()
            .table_name(format!("{name}-events"))
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("log", &text))
            .attribute_definitions(attribute("sequence", &number))
            .key_schema(key("log", KeyType::Hash))
            .key_schema(key("sequence", KeyType::Range))
            .send()
            .await
            .unwrap();
        let dead = self.make_queue(&format!("{name}-dead"), None).await;
        let policy = format!(
            "{{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:{name}-dead\",\"maxReceiveCount\":\"1000\"}}"
        );
        let queue = self
            .make_queue(&format!("{name}-training"), Some(policy))
            .await;
        let variables = [
            ("LLMOPT_ENVIRONMENT", "testing".to_owned()),
            ("LLMOPT_LOG", "warn".to_owned()),
            ("LLMOPT_STORE", "aws".to_owned()),
            ("LLMOPT_BUCKET", name.clone()),
            ("LLMOPT_RECORDS_TABLE", format!("{name}-records")),
            ("LLMOPT_EVENTS_TABLE", format!("{name}-events")),
            ("LLMOPT_TRAINING_QUEUE_URL", queue),
            ("LLMOPT_DEAD_LETTER_QUEUE_URL", dead),
            ("LLMOPT_INFERENCE_FUNCTION", format!("{name}-inference")),
            ("LLMOPT_RESPONSES", "buffer".to_owned()),
            ("LLMOPT_JOB_LEASE_SECONDS", "2".to_owned()),
            ("LLMOPT_THREADS", "1".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        self.environment.extend(variables);
    }

    async fn make_queue(&self, name: &str, redrive: Option<String>) -> String {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let mut create = client.create_queue().queue_name(name);
        if let Some(policy) = redrive {
            create = create.attributes(QueueAttributeName::RedrivePolicy, policy);
        }
        create.send().await.unwrap().queue_url.unwrap()
    }

    async fn make_function(&self, function: &str) {
        let mut variables = self.environment.clone();
        let data_dir = self.path(&format!("lambda-{function}"));
        variables.insert("LLMOPT_DATA_DIR".to_owned(), data_dir.display().to_string());
        let variables = Environment::builder()
            .set_variables(Some(variables))
            .build();
        aws_sdk_lambda::Client::new(&self.config)
            .create_function()
            .function_name(format!("{}-{function}", self.name))
            .runtime(Runtime::Providedal2023)
            .role("arn:aws:iam::000000000000:role/test")
            .handler("bootstrap")
            .timeout(120)
            .memory_size(512)
            .environment(variables)
            .code(
                FunctionCode::builder()
                    .zip_file(Blob::new(self.zip(function)))
                    .build(),
            )
            .send()
            .await
            .unwrap();
    }

    /// Packs a function as it is deployed.
    fn zip(&self, function: &str) -> Vec<u8> {
        let folder = self.path(&format!("zip-{function}"));
        fs::create_dir(&folder).unwrap();
        let packed = Command::new("sh")
            .args([
                "-c",
                "strip -o bootstrap \"$0\" && python3 -m zipfile -c code.zip bootstrap",
            ])
            .arg(binary(function))
            .current_dir(&folder)
            .output()
            .unwrap();
        succeeded(&packed);
        fs::read(folder.join("code.zip")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One of our programs, in this account, on a machine of its own.
    pub(crate) fn command(&self, program: &str) -> Command {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let machine = self.path(&format!("machine{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&machine).unwrap();
        let mut command = Command::new(binary(program));
        command
            .current_dir(&machine)
            .envs(&self.environment)
            .env("LLMOPT_DATA_DIR", machine.join("data"));
        command
    }

    /// Starts a trainer; it is killed when it is dropped.
    pub(crate) fn trainer(&self, arguments: &[&str]) -> Trainer {
        let child = self
            .command("llmopt-trainer")
            .args(arguments)
            .stdout(Stdio::null())
            .spawn();
        Trainer(child.unwrap())
    }

    /// Asks a route, as API Gateway does, of the function behind it.
    pub(crate) async fn ask(
        &self,
        function: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        let body = if body.is_null() {
            Value::Null
        } else {
            Value::String(body.to_string())
        };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query: serde_json::Map<String, Value> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), Value::String(value.to_owned())))
            .collect();
        let query = Value::Object(query);
        let event = json!({
            "resource": "/{proxy+}",
            "path": format!("/api/v1{path}"),
            "httpMethod": method,
            "headers": { "content-type": "application/json", "host": "api.example.com" },
            "multiValueHeaders": {
                "content-type": ["application/json"],
                "host": ["api.example.com"],
            },
            "queryStringParameters": query,
            "multiValueQueryStringParameters": query.as_object().map(|query| {
                let several = query.iter().map(|(name, value)| (name.clone(), json!([value])));
                Value::Object(several.collect())
            }),
            "pathParameters": null,
            "stageVariables": null,
            "requestContext": {
                "accountId": "000000000000",
                "resourceId": "a",
                "apiId": "b",
                "stage": "test",
                "requestId": "c",
                "httpMethod": method,
                "path": format!("/api/v1{path}"),
                "resourcePath": "/{proxy+}",
                "protocol": "HTTP/1.1",
                "identity": { "sourceIp": "127.0.0.1" },
            },
            "body": body,
            "isBase64Encoded": false,
        });
        let answer = self.invoke(function, &event).await;
        let text = answer["body"]
            .as_str()
            .unwrap_or_else(|| panic!("no answer: {answer}"));
        Answer {
            status: answer["statusCode"].as_u64().unwrap(),
            body: serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        }
    }

    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Value {
        let invoked = aws_sdk_lambda::Client::new(&self.config)
            .invoke()
            .function_name(format!("{}-{function}", self.name))
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .unwrap();
        let payload = invoked.payload.unwrap().into_inner();
        let text = String::from_utf8_lossy(&payload).into_owned();
        assert_eq!(invoked.function_error, None, "{function}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Uploads a dataset past the functions, and returns its id.
    pub(crate) async fn upload(&self, rows: &str) -> String {
        let target = self
            .ask("datasets", "POST", "/datasets/uploads", Value::Null)
            .await;
        assert_eq!(target.status, 201, "{target:?}");
        let (url, rows) = (
            target.body["url"].as_str().unwrap().to_owned(),
            rows.to_owned(),
        );
        let put = move || reqwest::blocking::Client::new().put(url).body(rows).send();
        let put = tokio::task::spawn_blocking(put).await.unwrap().unwrap();
        assert!(put.status().is_success(), "{put:?}");
        let upload = target.body["upload_id"].as_str().unwrap();
        let path = format!("/datasets/uploads/{upload}/complete");
        let name = json!({ "name": "rows.jsonl" });
        let dataset = self.ask("datasets", "POST", &path, name).await;
        assert_eq!(dataset.status, 201, "{dataset:?}");
        dataset.body["id"].as_str().unwrap().to_owned()
    }

    /// Submits a job that takes some seconds, and returns its id.
    pub(crate) async fn submit(&self, dataset: &str, name: &str, steps: u64) -> String {
        let job = json!({
            "base_model": "base:tiny",
            "dataset_id": dataset,
            "name": name,
            "config": {
                "max_steps": steps, "epochs": 1000, "batch_size": 4, "learning_rate": 0.002,
                "checkpoint_steps": 25,
            },
        });
        let answer = self.ask("training", "POST", "/training/jobs", job).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn job(&self, id: &str) -> Value {
        let path = format!("/training/jobs/{id}");
        let answer = self.ask("training", "GET", &path, Value::Null).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Waits until the job is as `reached` says.
    pub(crate) async fn wait_for(&self, id: &str, reached: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let job = self.job(id).await;
            if reached(&job) {
                return job;
            }
            assert!(began.elapsed() < PATIENCE, "it never comes: {job}");
            sleep(Duration::from_millis(300)).await;
        }
    }

    pub(crate) async fn wait_until_over(&self, id: &str) -> Value {
        let is_over = |job: &Value| {
            !["queued", "running"].contains(&job["status"].as_str().unwrap_or_default())
        };
        self.wait_for(id, is_over).await
    }

    /// The names of the job's events.
    pub(crate) async fn events(&self, id: &str) -> Vec<String> {
        let path = format!("/training/jobs/{id}/events?limit=1000");
        let answer = self.ask("training", "GET", &path, Value::Null).await;
        let events = answer.body["data"].as_array().unwrap().clone();
        let name = |event: &Value| event["event"].as_str().unwrap().to_owned();
        events.iter().map(name).collect()
    }

    /// The bodies of the queue's messages, which are taken out of it as a pipe does.
    pub(crate) async fn drain(&self) -> Vec<String> {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let url = &self.environment["LLMOPT_TRAINING_QUEUE_URL"];
        let mut bodies = Vec::new();
        loop {
            let received = client
                .receive_message()
                .queue_url(url)
                .send()
                .await
                .unwrap();
            let Some(message) = received.messages.unwrap_or_default().pop() else {
                return bodies;
            };
            let receipt = message.receipt_handle.unwrap();
            let delete = client
                .delete_message()
                .queue_url(url)
                .receipt_handle(receipt);
            delete.send().await.unwrap();
            bodies.push(message.body.unwrap());
        }
    }

    pub(crate) async fn send(&self, body: &str) {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let url = &self.environment["LLMOPT_TRAINING_QUEUE_URL"];
        let sent = client.send_message().queue_url(url).message_body(body);
        sent.send().await.unwrap();
    }

    pub(crate) async fn dead_letters(&self) -> Vec<String> {
        let client = aws_sdk_sqs::Client::new(&self.config);
        let url = &self.environment["LLMOPT_DEAD_LETTER_QUEUE_URL"];
        let received = client
            .receive_message()
            .queue_url(url)
            .visibility_timeout(0)
            .max_number_of_messages(10);
        let messages = received.send().await.unwrap().messages.unwrap_or_default();
        messages.into_iter().filter_map(|it| it.body).collect()
    }
}

/// A trainer at work.
pub(crate) struct Trainer(pub(crate) Child);

impl Trainer {
    /// Ends it as a machine that is switched off does.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) async fn end(&mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < PATIENCE, "the trainer does not end");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// target/debug/deps/aws-… stands beside target/debug/llmopt.
fn binary(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join(name)
}

fn succeeded(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

fn attribute(name: &str, kind: &ScalarAttributeType) -> AttributeDefinition {
    let attribute = AttributeDefinition::builder().attribute_name(name);
    attribute.attribute_type(kind.clone()).build().unwrap()
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
