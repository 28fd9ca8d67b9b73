//! `llmopt-trainer`: runs one training or evaluation job and reports events on its standard output.

mod stores;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, Subcommand};
use llmopt_config::Settings;
use llmopt_domain::BATCH_WORKER;
use llmopt_service::{Dispatcher, JobStores, JobWorker};
use llmopt_storage_embedded::FileFolderStore;
use llmopt_trainer::{
    Events, JobEnd, JobPlace, Outcome, StopSignal, TrainerError, Worker, open_device, run_claimed,
    run_evaluation, run_job, run_patiently, work, worker_name,
};
use rustix::{io::fcntl_dupfd_cloexec, stdio::dup2_stdout};
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
    /// Trains one job: one that was submitted, whose record tells what comes of it, or what a
    /// specification says.
    #[command(after_help = "\
Examples:
  llmopt-trainer run --job 0123456789ab
  llmopt-trainer run --spec job.json --resume")]
    Run {
        /// The id of a job that was submitted.
        #[arg(long, required_unless_present = "spec", conflicts_with = "spec")]
        job: Option<String>,
        /// The worker's name, which no other has; absent, one is made up.
        #[arg(long, requires = "job")]
        worker: Option<String>,
        /// A job specification, a JSON file.
        #[arg(long)]
        spec: Option<PathBuf>,
        /// Goes on from the job's last checkpoint; a submitted job always does.
        #[arg(long, requires = "spec")]
        resume: bool,
    },
    /// Waits at the queue and trains the jobs that come, one after the other, until it is told to end.
    #[command(after_help = "\
Examples:
  llmopt-trainer work
  LLMOPT_STORE=aws llmopt-trainer work")]
    Work,
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
    let ended = open_device(settings.device).and_then(|()| run(&arguments.command, &settings));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INTERRUPTED),
        Err(error) => fail(&error, error.exit_code()),
    }
}

/// Takes standard output for events: what libraries print there goes to standard error from now on.
fn events_alone() -> io::Result<File> {
    let events = fcntl_dupfd_cloexec(io::stdout(), 0)?;
    dup2_stdout(io::stderr())?;
    Ok(File::from(events))
}

/// Returns whether the job was completed.
fn run(command: &Command, settings: &Settings) -> Result<bool, TrainerError> {
    let stop = StopSignal::listen().map_err(TrainerError::Event)?;
    let mut out = events_alone().map_err(TrainerError::Event)?;
    let mut events = Events::Lines(&mut out);
    match command {
        Command::Run {
            job: Some(job),
            worker,
            ..
        } => run_submitted(job, worker.clone(), settings, &stop),
        Command::Run { spec, resume, .. } => {
            let spec: llmopt_domain::JobSpec = read_spec(spec.as_deref().unwrap_or(Path::new("")))?;
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
        Command::Work => {
            let place = Place::open(settings)?;
            let dispatcher = Dispatcher::new(place.stores.clone(), settings.job_lease);
            let worker = place.worker(worker_name(), settings);
            work(&worker, &dispatcher, &place.of_jobs(&stop))?;
            Ok(true)
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

/// Trains a job that was submitted, and returns whether there is nothing left of it to start again, here or
/// elsewhere. Where nobody named the worker, nobody sees to the job when this
/// process ends either: it is not left while another may have died with it.
fn run_submitted(
    job: &str,
    worker: Option<String>,
    settings: &Settings,
    stop: &StopSignal,
) -> Result<bool, TrainerError> {
    let train = || {
        let place = Place::open(settings)?;
        let jobs = place.of_jobs(stop);
        match worker {
            Some(name) => run_claimed(&place.worker(name, settings), job, &jobs),
            None => run_patiently(&place.worker(batch_name(settings), settings), job, &jobs),
        }
    };
    match train() {
        Ok(end) => Ok(end != JobEnd::Left),
        Err(error) if error.is_passing() => {
            tracing::warn!(
                error = llmopt_domain::error_chain(&error),
                "the job goes on later"
            );
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Names the worker for what runs it, so that whoever is told of that one's end knows whose job it had.
fn batch_name(settings: &Settings) -> String {
    match &settings.batch_job {
        Some((id, attempt)) => format!("{BATCH_WORKER}{id}-{attempt}"),
        None => worker_name(),
    }
}

/// What a worker on submitted jobs works with.
struct Place {
    runtime: Runtime,
    data_dir: PathBuf,
    stores: JobStores,
}

impl Place {
    fn open(settings: &Settings) -> Result<Self, TrainerError> {
        let data_dir =
            std::path::absolute(&settings.data_dir).map_err(|source| TrainerError::Write {
                path: settings.data_dir.clone(),
                source,
            })?;
        let runtime = Runtime::new().map_err(TrainerError::Event)?;
        let stores = runtime.block_on(stores::open(settings, &data_dir));
        let stores = stores.map_err(|error| match error {
            // Whether it may answer later is for whoever starts this again to see.
            stores::StoresError::Storage(error) => error.into(),
            stores::StoresError::Config(error) => TrainerError::Stores(error.into()),
        })?;
        Ok(Self {
            runtime,
            data_dir,
            stores,
        })
    }

    fn worker(&self, name: String, settings: &Settings) -> JobWorker {
        JobWorker {
            records: Arc::clone(&self.stores.records),
            logs: Arc::clone(&self.stores.logs),
            name,
            lease: settings.job_lease,
        }
    }

    fn of_jobs<'a>(&'a self, stop: &'a StopSignal) -> JobPlace<'a> {
        JobPlace {
            folders: &*self.stores.folders,
            data_dir: &self.data_dir,
            runtime: &self.runtime,
            stop,
            code_version: env!("CARGO_PKG_VERSION"),
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
    let message = llmopt_domain::error_chain(error);
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("error: {message}\n"));
    ExitCode::from(code)
}
