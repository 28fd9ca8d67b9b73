use std::path::PathBuf;

use clap::Args;
use llmopt_domain::{
    ColumnMap, Digest, EvaluationMetrics, JobSpec, ModelName, ObjectKey, TrainingEvent,
};
use llmopt_service::{
    DatasetSource, Job, ModelSummary, PreparedJob, TrainingRequest, check_unchanged,
    prepare_training,
};
use llmopt_storage_embedded::FileFolderStore;

use super::estimate::{self, EstimateFlags};
use crate::{
    config_flags::ConfigFlags,
    context::Context,
    failure::Failure,
    listener::TrainingListener,
    output::{count_text, note, seconds_text},
    trainer::Ended,
};

/// Fine-tunes a model on a dataset and publishes it under a name.
///
/// Everything that can be wrong with the input is found before the first step. A run that is stopped
/// goes on with --resume, and ends with the same bytes as one that never was.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt train --base-model distilgpt2 --dataset orders.jsonl --eval-dataset heldout.jsonl --name orders
  llmopt train --base-model ./my-gpt2 --dataset orders.csv --name orders --method full --epochs 5
  llmopt train --base-model distilgpt2 --dataset fragen.csv --columns prompt=frage,response=antwort --name fragen
  llmopt train --base-model distilgpt2 --dataset orders.jsonl --name orders --estimate --machine g5.xlarge --usd-per-hour 1.006
  llmopt train --base-model orders --dataset more.jsonl --name orders-2 --config training.json
  llmopt train --resume
  llmopt train --resume 3f2a91c07be4")]
pub(crate) struct TrainArguments {
    /// What to start from: a folder, a model trained here, or a Hub name
    #[arg(long, value_name = "MODEL", required_unless_present = "resume", requires_all = ["dataset", "name"])]
    base_model: Option<String>,
    /// The rows to train on: JSONL, JSON or CSV
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "resume",
        requires = "base_model"
    )]
    dataset: Option<PathBuf>,
    /// Rows that are never trained on, to measure the result with
    #[arg(long, value_name = "FILE", requires = "base_model")]
    eval_dataset: Option<PathBuf>,
    /// Which columns of both stand for those that are read: `prompt=frage,response=antwort`
    #[arg(long, value_name = "NAME=COLUMN,...", requires = "base_model")]
    columns: Option<ColumnMap>,
    /// The same of the rows to measure with, where they differ
    #[arg(long, value_name = "NAME=COLUMN,...", requires = "eval_dataset")]
    eval_columns: Option<ColumnMap>,
    /// The name to publish under
    #[arg(long, required_unless_present = "resume", requires = "base_model")]
    name: Option<ModelName>,
    /// Go on with a job that was stopped: the given one, else the one of the other flags, else the last
    #[arg(long, value_name = "JOB", num_args = 0..=1, conflicts_with = "restart")]
    resume: Option<Option<String>>,
    /// Throw the checkpoints of a stopped job away and begin anew
    #[arg(long)]
    restart: bool,
    #[command(flatten)]
    estimate: EstimateFlags,
    #[command(flatten)]
    config: ConfigFlags,
}

impl TrainArguments {
    fn evaluation(&self) -> Option<DatasetSource> {
        let columns = self.eval_columns.as_ref().or(self.columns.as_ref());
        Some(DatasetSource {
            path: self.eval_dataset.clone()?,
            columns: columns.cloned().unwrap_or_default(),
        })
    }
}

/// A job that is about to run.
struct Run {
    id: Digest,
    spec: JobSpec,
    resume: bool,
}

pub(super) async fn run(context: &mut Context, arguments: TrainArguments) -> Result<(), Failure> {
    let store = context.store()?;
    let run = match (&arguments.base_model, &arguments.dataset, &arguments.name) {
        (Some(base_model), Some(dataset), Some(name)) => {
            let asked = (base_model.as_str(), dataset.clone(), name.clone());
            new_run(context, &store, &arguments, asked).await?
        }
        _ => Some(resumed_run(context, &store, &arguments).await?),
    };
    match run {
        Some(run) => train(context, &store, run).await,
        None => Ok(()),
    }
}

/// Prepares the job of the flags; `None` where it was published before, or is only estimated.
async fn new_run(
    context: &mut Context,
    store: &FileFolderStore,
    arguments: &TrainArguments,
    (base_model, dataset, name): (&str, PathBuf, ModelName),
) -> Result<Option<Run>, Failure> {
    if let Some(Some(job)) = &arguments.resume {
        return Err(Failure::input(format!(
            "`--resume {job}` names a job, and the other flags another"
        ))
        .next(format!(
            "use `llmopt train --resume {job}` alone, or `--resume` without an id"
        )));
    }
    let config = arguments.config.resolve(context.settings.threads)?;
    let prepared = prepare_training(TrainingRequest {
        base: context.resolve(store, base_model).await?,
        base_digest: None,
        dataset: DatasetSource {
            path: dataset,
            columns: arguments.columns.clone().unwrap_or_default(),
        },
        evaluation: arguments.evaluation(),
        name,
        config,
        data_dir: context.data_dir.clone(),
        code_version: code_version(),
    })?;
    if arguments.estimate.estimate {
        estimate::show(context, store, &arguments.estimate, &prepared).await?;
        return Ok(None);
    }
    let models = context.models(store);
    if let Some(model) = models
        .published_by(&prepared.spec.model, &prepared.id)
        .await?
    {
        say_published(context, &model, arguments.restart)?;
        return Ok(None);
    }
    let resume = settle_checkpoint(context, store, arguments, &prepared.id).await?;
    announce(context, &prepared)?;
    Ok(Some(Run {
        id: prepared.id,
        spec: prepared.spec,
        resume,
    }))
}

/// Decides what becomes of an earlier run's checkpoint; returns whether to go on from it.
async fn settle_checkpoint(
    context: &Context,
    store: &FileFolderStore,
    arguments: &TrainArguments,
    id: &Digest,
) -> Result<bool, Failure> {
    let jobs = context.jobs(store);
    let Some(step) = jobs.checkpoint(id).await? else {
        return Ok(arguments.resume.is_some());
    };
    if arguments.restart {
        let _lock = jobs.lock(id)?;
        jobs.discard_checkpoints(id).await?;
        return Ok(false);
    }
    if arguments.resume.is_none() {
        let message = format!("job `{}` was stopped after step {step}", id.short());
        let next = "add `--resume` to go on from there, or `--restart` to begin anew";
        return Err(Failure::input(message).next(next));
    }
    Ok(true)
}

/// Finds the job that was stopped.
async fn resumed_run(
    context: &Context,
    store: &FileFolderStore,
    arguments: &TrainArguments,
) -> Result<Run, Failure> {
    if !arguments.config.is_empty()? {
        let failure = Failure::input("the configuration of a job cannot change while it goes on");
        return Err(failure.next(
            "leave the configuration's flags out, or start another job with `--base-model`, `--dataset` and `--name`",
        ));
    }
    let asked = arguments.resume.as_ref().and_then(Option::as_deref);
    let Job { id, spec, .. } = context.jobs(store).find_unfinished(asked).await?;
    check_unchanged(&spec, None, &code_version())?;
    note(format!(
        "going on with job {}, model `{}`",
        id.short(),
        spec.model
    ));
    Ok(Run {
        id,
        spec,
        resume: true,
    })
}

async fn train(context: &mut Context, store: &FileFolderStore, run: Run) -> Result<(), Failure> {
    let trainer = context.trainer()?;
    let jobs = context.jobs(store);
    let _lock = jobs.lock(&run.id)?;
    let record = jobs.save(&run.id, &run.spec)?;
    let mut listener = TrainingListener::new(&mut context.output);
    let arguments: &[&str] = if run.resume {
        &["run", "--resume"]
    } else {
        &["run"]
    };
    let ended = trainer.run(arguments, &record, &mut listener).await;
    let (checkpoint, metrics) = (listener.checkpoint, listener.metrics);
    drop(listener);
    let resume = format!("llmopt train --resume {}", run.id.short());
    match ended {
        Ok(Ended::Done) => say_done(context, store, &run, metrics).await,
        Ok(Ended::Interrupted) => {
            let step = checkpoint.map_or_else(String::new, |step| format!(" after step {step}"));
            let message = format!("job `{}` saved a checkpoint{step}", run.id.short());
            Err(Failure::interrupted(message).next(format!("go on with `{resume}`")))
        }
        Err(failure @ Failure::Interrupted(_)) => {
            Err(failure.next(format!("go on from the last checkpoint with `{resume}`")))
        }
        Err(failure) => Err(failure),
    }
}

fn announce(context: &mut Context, prepared: &PreparedJob) -> Result<(), Failure> {
    if context.output.is_json() {
        return Ok(());
    }
    let tokens = &prepared.tokens;
    context.output.line(format!(
        "job {}: {} rows, {} tokens, {} of them trained on; longest row {} of {} tokens",
        prepared.id.short(),
        count_text(tokens.rows),
        count_text(tokens.tokens),
        count_text(tokens.kept_trainable_tokens()),
        tokens.row.max,
        tokens.max_length
    ))?;
    if tokens.overlong.rows > 0 {
        let rows = tokens.overlong.rows;
        context
            .output
            .line(format!("leaving out {rows} rows that are longer"))?;
    }
    super::dataset::show_findings(&mut context.output, &prepared.report)
}

/// An identical job gives identical bytes: there is nothing to train again.
fn say_published(
    context: &mut Context,
    model: &ModelSummary,
    restart: bool,
) -> Result<(), Failure> {
    if context.output.is_json() {
        return context.output.json(&TrainingEvent::Published {
            key: ObjectKey::model(&model.id, model.version).to_string(),
            version: model.version,
            seconds: model.seconds,
        });
    }
    context.output.line(format!(
        "this very job was published before, as version {} of `{}`: {}",
        model.version,
        model.id,
        model.path.display()
    ))?;
    if restart {
        note("`--restart` would give the same bytes; change `--seed` to train another version");
    }
    Ok(())
}

async fn say_done(
    context: &mut Context,
    store: &FileFolderStore,
    run: &Run,
    metrics: Option<EvaluationMetrics>,
) -> Result<(), Failure> {
    if context.output.is_json() {
        return Ok(());
    }
    let models = context.models(store);
    let Some(model) = models.published_by(&run.spec.model, &run.id).await? else {
        return Err(Failure::failed(
            "the trainer ended without publishing a model",
        ));
    };
    let name = &model.id.name;
    let output = &mut context.output;
    output.line(format!(
        "published version {} of `{}`",
        model.version, model.id
    ))?;
    output.line(format!("  files  {}", model.path.display()))?;
    output.line(format!(
        "  time   {}, {} tokens/s",
        seconds_text(model.seconds),
        count_text(model.tokens_per_second as u64)
    ))?;
    let next = match metrics {
        Some(_) => format!("llmopt models show {name}"),
        None => format!("llmopt evaluate {name} --dataset HELDOUT --max-new-tokens 64"),
    };
    output.line(format!("next: {next}"))
}

fn code_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
