//! An account with everything that the platform needs, and the processes that work in it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use aws_config::SdkConfig;
use aws_sdk_lambda::primitives::Blob;
use llmopt_aws_emulator::MiniStack;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

/// No step of a test takes this long unless something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Account {
    pub(crate) api: String,
    /// What the functions are called, by what they are.
    functions: Value,
    config: SdkConfig,
    environment: HashMap<String, String>,
    /// What the stack says of itself.
    outputs: Value,
    /// A key for everything.
    key: String,
    folder: TempDir,
}

/// What a route answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Account {
    /// Deploys template.yaml, and imports the tiny model as `base:tiny`; `None` where there is no emulator.
    pub(crate) async fn new() -> Option<Self> {
        Self::with(&[]).await
    }

    /// As [`Account::new`], with these parameters of the template.
    pub(crate) async fn with(parameters: &[(&str, &str)]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let emulator = MiniStack::shared()?;
        let folder = tempfile::tempdir().unwrap();
        let stack = format!("account{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let deployed =
            Command::new(emulator.python())
                .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/lib/aws_deploy.py"))
                .args([
                    "--json",
                    "--endpoint",
                    emulator.endpoint(),
                    "--stack",
                    &stack,
                ])
                .args(["--parameter", "Environment=testing"])
                .args(["--parameter", "JobLeaseSeconds=5"])
                .args(parameters.iter().flat_map(|(name, value)| {
                    ["--parameter".to_owned(), format!("{name}={value}")]
                }))
                .arg("--bootstraps")
                .arg(binary("health").parent().unwrap())
                .arg("--data-dir")
                .arg(folder.path().join("lambda"))
                .output()
                .unwrap();
        succeeded(&deployed);
        let deployed: Value = serde_json::from_slice(&deployed.stdout).unwrap();
        let variables = deployed["environment"].as_object().unwrap().iter();
        let mut environment: HashMap<String, String> = variables
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        for (name, value) in [
            ("LLMOPT_ENVIRONMENT", "testing"),
            ("LLMOPT_LOG", "warn"),
            ("LLMOPT_JOB_LEASE_SECONDS", "2"),
            ("LLMOPT_THREADS", "1"),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .endpoint_url(emulator.endpoint())
            .region("us-east-1")
            .credentials_provider(aws_sdk_sqs::config::Credentials::new(
                "test", "test", None, None, "tests",
            ))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .load()
            .await;
        let mut account = Self {
            api: deployed["api_url"].as_str().unwrap().to_owned(),
            functions: deployed["functions"].clone(),
            outputs: deployed["outputs"].clone(),
            config,
            environment,
            key: String::new(),
            folder,
        };
        // As whoever deploys does it.
        account.key = account.create_key("admin");
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

    /// Makes a key for `scope`.
    pub(crate) fn create_key(&self, scope: &str) -> String {
        let created = self
            .command("llmopt")
            .args(["keys", "create", "--name", scope, "--scope", scope])
            .output()
            .unwrap();
        succeeded(&created);
        String::from_utf8(created.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// What a variable of the programs beside the functions says.
    pub(crate) fn variable(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// What the stack says of itself under this name.
    pub(crate) fn output(&self, name: &str) -> &str {
        self.outputs[name].as_str().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The variables of a function that answers as Lambda streams.
    pub(crate) fn function_environment(&self, function: &str) -> BTreeMap<String, String> {
        let mut environment: BTreeMap<String, String> =
            self.environment.clone().into_iter().collect();
        let data_dir = self.path(&format!("harness-{function}"));
        environment.insert("LLMOPT_DATA_DIR".to_owned(), data_dir.display().to_string());
        environment.insert("LLMOPT_RESPONSES".to_owned(), "stream".to_owned());
        environment
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

    /// Asks a route of the API with a key for everything.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        self.ask_with(Some(&self.key), method, path, body).await
    }

    /// Asks a route of the API with this key, or none.
    pub(crate) async fn ask_with(
        &self,
        key: Option<&str>,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        let mut request = self.request(method, path);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        answer(request).await
    }

    /// Asks a question whose answer is to come later.
    pub(crate) async fn ask_later(&self, question: Value) -> Answer {
        let request = self.request("POST", "/generate").bearer_auth(&self.key);
        answer(request.header("prefer", "respond-async").json(&question)).await
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let client = reqwest::Client::builder().timeout(PATIENCE).build();
        let url = format!("{}{path}", self.api);
        client.unwrap().request(method.parse().unwrap(), url)
    }

    /// Invokes a function as an event does.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) {
        let invoked = aws_sdk_lambda::Client::new(&self.config)
            .invoke()
            .function_name(self.functions[function].as_str().unwrap())
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .unwrap();
        let payload = invoked.payload.unwrap().into_inner();
        let text = String::from_utf8_lossy(&payload);
        assert_eq!(invoked.function_error, None, "{function}: {text}");
    }

    /// Uploads a dataset past the functions, and returns its id.
    pub(crate) async fn upload(&self, rows: &str) -> String {
        let target = self.ask("POST", "/datasets/uploads", Value::Null).await;
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
        let dataset = self.ask("POST", &path, name).await;
        assert_eq!(dataset.status, 201, "{dataset:?}");
        dataset.body["id"].as_str().unwrap().to_owned()
    }

    /// Submits a job that takes some seconds, and returns its id.
    pub(crate) async fn submit(&self, dataset: &str, name: &str, steps: u64) -> String {
        self.submit_job(json!({
            "base_model": "base:tiny",
            "dataset_id": dataset,
            "name": name,
            "config": {
                "max_steps": steps, "epochs": 1000, "batch_size": 4, "learning_rate": 0.002,
                "checkpoint_steps": 25,
            },
        }))
        .await
    }

    /// Submits a job as it is asked for, and returns its id.
    pub(crate) async fn submit_job(&self, job: Value) -> String {
        let answer = self.ask("POST", "/training/jobs", job).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn job(&self, id: &str) -> Value {
        let path = format!("/training/jobs/{id}");
        let answer = self.ask("GET", &path, Value::Null).await;
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
        let answer = self.ask("GET", &path, Value::Null).await;
        let events = answer.body["data"].as_array().unwrap().clone();
        let name = |event: &Value| event["event"].as_str().unwrap().to_owned();
        events.iter().map(name).collect()
    }

    /// Waits until the job has `count` events of this name.
    pub(crate) async fn wait_for_events(&self, id: &str, name: &str, count: usize) {
        let began = Instant::now();
        loop {
            let events = self.events(id).await;
            if events.iter().filter(|event| *event == name).count() >= count {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "they never come: {events:?}");
            sleep(Duration::from_millis(100)).await;
        }
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

    /// Waits until a message is the only dead letter.
    pub(crate) async fn wait_for_dead_letter(&self, body: &str) {
        let began = Instant::now();
        while self.dead_letters().await != [body] {
            assert!(began.elapsed() < PATIENCE, "it never comes");
            sleep(Duration::from_millis(200)).await;
        }
    }

    async fn dead_letters(&self) -> Vec<String> {
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

/// Runs Python as the account's owner, where `client` makes a client of a service, and returns what it prints.
pub(crate) fn boto(code: &str) -> String {
    let emulator = MiniStack::shared().unwrap();
    let ran = Command::new(emulator.python())
        .args(["-c", &format!("from boto3 import client\n{code}")])
        .envs(emulator.environment())
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .output()
        .unwrap();
    succeeded(&ran);
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
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
pub(crate) fn binary(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join(name)
}

/// Examples of this package lie in a folder of their own.
pub(crate) fn example(name: &str) -> PathBuf {
    binary("examples").join(name)
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, body }
}

fn succeeded(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}
