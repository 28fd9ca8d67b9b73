//! `llmopt-trainer`: runs one training or evaluation job and reports events on its standard output.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, Subcommand};
use llmopt_config::Settings;
use llmopt_service::JobWorker;
use llmopt_storage_embedded::{Database, FileFolderStore, SqliteEventLog, SqliteRecordStore};
use llmopt_trainer::{
    Events, JobEnd, JobPlace, Outcome, StopSignal, TrainerError, Worker, run_claimed,
    run_evaluation, run_job,
};
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

/// Fine-tunes and evaluates models; `llmopt` starts it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trains and publishes what a job specification says.
    Run {
        /// The job specification, a JSON file.
        #[arg(long)]
        spec: PathBuf,
        /// Goes on from the job's last checkpoint.
        #[arg(long)]
        resume: bool,
    },
    /// Claims a job that was submitted, trains it, and notes what came of it in its record.
    Work {
        /// The job's id.
        #[arg(long)]
        job: String,
        /// The worker's name, which no other has.
        #[arg(long)]
        worker: String,
    },
    /// Evaluates a model on a dataset.
    Evaluate {
        /// The evaluation specification, a JSON file.
        #[arg(long)]
        spec: PathBuf,
    },
}

const INTERRUPTED: u8 = 3;

fn main() -> ExitCode {
    let variables = llmopt_torch_runtime::restart_with_variables();
    // Before anything asks whether there is a GPU: the answer is cached.
    let cuda = llmopt_torch_runtime::load_cuda();
    let arguments = Arguments::parse();
    let settings = match llmopt_config::Settings::load() {
        Ok(settings) => settings,
        Err(error) => return fail(&error, 2),
    };
    if let Err(error) = llmopt_config::telemetry::init(&settings) {
        return fail(&error, 2);
    }
    if let Err(error) = variables {
        tracing::warn!(%error, "cannot set libtorch's variables: training may be slower and take more memory");
    }
    match cuda {
        Ok(()) => tracing::debug!("CUDA is loaded"),
        Err(reason) => tracing::debug!(%reason, "training on the CPU"),
    }
    match run(&arguments.command, &settings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INTERRUPTED),
        Err(error) => fail(&error, error.exit_code()),
    }
}

/// Returns whether the job was completed.
fn run(command: &Command, settings: &Settings) -> Result<bool, TrainerError> {
    let stop = StopSignal::listen().map_err(TrainerError::Event)?;
    let mut out = io::stdout();
    let mut events = Events::Lines(&mut out);
    match command {
        Command::Run { spec, resume } => {
            let spec: llmopt_domain::JobSpec = read_spec(spec)?;
            let runtime = Runtime::new().map_err(TrainerError::Event)?;
            let store = FileFolderStore::open(&spec.data_dir)?;
            let worker = Worker {
                store: &store,
                runtime: &runtime,
                stop: &stop,
                claim: None,
            };
            let outcome = run_job(&spec, *resume, &worker, &mut events)?;
            Ok(outcome == Outcome::Published)
        }
        Command::Work { job, worker } => work(job, worker, settings, &stop),
        Command::Evaluate { spec } => {
            let metrics = run_evaluation(&read_spec(spec)?, &stop, &mut events)?;
            if let Some(metrics) = metrics {
                events.send(&llmopt_domain::TrainingEvent::Evaluated { step: 0, metrics })?;
            }
            Ok(metrics.is_some())
        }
    }
}

fn work(
    job: &str,
    name: &str,
    settings: &Settings,
    stop: &StopSignal,
) -> Result<bool, TrainerError> {
    let data_dir =
        std::path::absolute(&settings.data_dir).map_err(|source| TrainerError::Write {
            path: settings.data_dir.clone(),
            source,
        })?;
    let runtime = Runtime::new().map_err(TrainerError::Event)?;
    let folders = FileFolderStore::open(&data_dir)?;
    let database = Database::open(&data_dir.join(Database::FILE_NAME))?;
    let worker = JobWorker {
        records: Arc::new(SqliteRecordStore::new(database.clone())),
        logs: Arc::new(SqliteEventLog::new(database)),
        name: name.to_owned(),
        lease: settings.job_lease,
    };
    let place = JobPlace {
        folders: &folders,
        data_dir: &data_dir,
        runtime: &runtime,
        stop,
        code_version: env!("CARGO_PKG_VERSION"),
    };
    Ok(run_claimed(&worker, job, &place)? == JobEnd::Over)
}

fn read_spec<T: DeserializeOwned>(path: &Path) -> Result<T, TrainerError> {
    let parsed =
        fs::read(path).and_then(|json| serde_json::from_slice(&json).map_err(io::Error::from));
    parsed.map_err(|source| TrainerError::Spec {
        path: path.to_owned(),
        source,
    })
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let message = llmopt_domain::error_chain(error);
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("error: {message}\n"));
    ExitCode::from(code)
}
