//! `llmopt-trainer`: runs one training or evaluation job and reports events on its standard output.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use llmopt_storage_embedded::FileFolderStore;
use llmopt_trainer::{Events, Outcome, StopSignal, TrainerError, Worker, run_evaluation, run_job};
use serde::de::DeserializeOwned;

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
    let settings = llmopt_config::Settings::load();
    if let Err(error) = settings.and_then(|settings| llmopt_config::telemetry::init(&settings)) {
        return fail(&error, 2);
    }
    if let Err(error) = variables {
        tracing::warn!(%error, "cannot set libtorch's variables: training may be slower and take more memory");
    }
    match cuda {
        Ok(()) => tracing::debug!("CUDA is loaded"),
        Err(reason) => tracing::debug!(%reason, "training on the CPU"),
    }
    match run(&arguments.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INTERRUPTED),
        Err(error) => fail(&error, error.exit_code()),
    }
}

/// Returns whether the job was completed.
fn run(command: &Command) -> Result<bool, TrainerError> {
    let stop = StopSignal::listen().map_err(TrainerError::Event)?;
    let mut out = io::stdout();
    let mut events = Events::to(&mut out);
    match command {
        Command::Run { spec, resume } => {
            let spec: llmopt_domain::JobSpec = read_spec(spec)?;
            let runtime = tokio::runtime::Runtime::new().map_err(TrainerError::Event)?;
            let store = FileFolderStore::open(&spec.data_dir)?;
            let worker = Worker {
                store: &store,
                runtime: &runtime,
                stop: &stop,
            };
            let outcome = run_job(&spec, *resume, &worker, &mut events)?;
            Ok(outcome == Outcome::Published)
        }
        Command::Evaluate { spec } => {
            let metrics = run_evaluation(&read_spec(spec)?, &stop, &mut events)?;
            if let Some(metrics) = metrics {
                events.send(&llmopt_domain::TrainingEvent::Evaluated { step: 0, metrics })?;
            }
            Ok(metrics.is_some())
        }
    }
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
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("error: {message}\n"));
    ExitCode::from(code)
}
