//! Measures how long functions take from the start of their process to their first answer, and what
//! memory they have then. The functions take turns, so that what else the machine does meets all alike.
//! Prints one line of JSON for each; `scripts/bench-lambda` makes a table of them.

#![expect(clippy::print_stdout, reason = "what it finds is its output")]

mod stub;

use std::{
    error::Error,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use llmopt_lambda_harness::{FunctionSpec, Harness, Launch};
use reqwest::Client;
use serde_json::json;

use stub::{AwsStub, Calls};

type Failure = Box<dyn Error + Send + Sync>;

/// Measures the cold starts of functions.
#[derive(Debug, Parser)]
struct Arguments {
    /// The function that answers `GET /api/v1/health`.
    #[arg(long)]
    health: Option<PathBuf>,
    /// The function that answers `GET /api/v1/models`.
    #[arg(long)]
    models: Option<PathBuf>,
    /// Starts of each function that are counted.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

/// A function to be measured.
struct Subject {
    spec: FunctionSpec,
    path: &'static str,
    /// Whether its first answer is only worth anything with a call to DynamoDB.
    reads_records: bool,
    starts: Vec<Start>,
}

/// One cold start.
struct Start {
    took: Duration,
    resident_bytes: u64,
    calls: Calls,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let stub = AwsStub::start(folder.path()).await?;
    let mut subjects = subjects(&arguments, &stub, folder.path().join("data"))?;
    let mut builder = Harness::builder();
    for subject in &subjects {
        builder = builder
            .function(subject.spec.clone())
            .route(subject.path, &subject.spec.name);
    }
    let harness = builder.start().await?;
    let client = Client::new();
    // The first round reads the programs from the disk, and connects.
    for round in 0..=arguments.rounds {
        for subject in &mut subjects {
            let start = cold_start(&harness, &client, &stub, subject).await?;
            if round > 0 {
                subject.starts.push(start);
            }
        }
    }
    for subject in subjects {
        println!("{}", subject.summary());
    }
    Ok(())
}

fn subjects(
    arguments: &Arguments,
    stub: &AwsStub,
    data_dir: PathBuf,
) -> Result<Vec<Subject>, Failure> {
    let examples = std::env::current_exe()?;
    let mut subjects = vec![
        Subject::new(
            "hello_runtime",
            examples.with_file_name("hello_runtime"),
            "/hello/runtime",
        ),
        Subject::new(
            "hello_http",
            examples.with_file_name("hello_http"),
            "/hello/http",
        ),
    ];
    let ours = |name, program: &Option<PathBuf>, path| {
        let mut subject = Subject::new(name, program.clone()?, path);
        subject.spec.environment.extend(stub.environment());
        let data_dir = data_dir.display().to_string();
        subject.spec = subject.spec.variable("LLMOPT_DATA_DIR", data_dir);
        Some(subject)
    };
    subjects.extend(ours("health", &arguments.health, "/api/v1/health"));
    subjects.extend(
        ours("models", &arguments.models, "/api/v1/models").map(|models| Subject {
            reads_records: true,
            ..models
        }),
    );
    Ok(subjects)
}

/// Ends the process that a function has, and asks it something.
async fn cold_start(
    harness: &Harness,
    client: &Client,
    stub: &AwsStub,
    subject: &Subject,
) -> Result<Start, Failure> {
    let name = &subject.spec.name;
    harness.end_idle(name).await?;
    let before = stub.calls();
    let url = format!("{}{}", harness.url(), subject.path);
    let began = Instant::now();
    let response = client.get(url).bearer_auth(stub.key()).send().await?;
    let status = response.status();
    let body = response.text().await?;
    let took = began.elapsed();
    if !status.is_success() {
        let logs = harness.logs(name)?;
        return Err(format!("`{name}` answered {status}: {body}\n{logs}").into());
    }
    let calls = stub.calls() - before;
    if subject.reads_records && calls.dynamodb == 0 {
        return Err(format!("`{name}` answered without a call to DynamoDB").into());
    }
    let processes = harness.processes(name)?;
    let process = processes
        .last()
        .ok_or_else(|| format!("`{name}` has no process"))?;
    Ok(Start {
        took,
        resident_bytes: resident_bytes(*process)?,
        calls,
    })
}

impl Subject {
    fn new(name: &str, program: PathBuf, path: &'static str) -> Self {
        Self {
            spec: FunctionSpec::new(name, program)
                .memory_mb(128)
                .launch(Launch::Direct),
            path,
            reads_records: false,
            starts: Vec::new(),
        }
    }

    fn summary(&self) -> serde_json::Value {
        let calls = self
            .starts
            .last()
            .map_or_else(Calls::default, |start| start.calls);
        let took = self
            .starts
            .iter()
            .map(|start| start.took.as_secs_f64() * 1000.0);
        let resident = self.starts.iter().map(|start| start.resident_bytes);
        json!({
            "function": self.spec.name,
            "first_answer_ms": took.collect::<Vec<_>>(),
            "resident_bytes": resident.collect::<Vec<_>>(),
            "calls": {"dynamodb": calls.dynamodb, "s3": calls.s3, "sqs": calls.sqs},
        })
    }
}

fn resident_bytes(process: u32) -> Result<u64, Failure> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.ok_or("a process without memory")?.trim().parse()?;
    Ok(kib * 1024)
}
