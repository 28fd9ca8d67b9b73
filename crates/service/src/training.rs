use std::path::{Path, PathBuf};

use llmopt_artifact::{Gpt2Config, ModelFolder};
use llmopt_dataset::{ValidationOptions, ValidationReport, digest, validate};
use llmopt_domain::{BaseModel, DatasetFile, Digest, JobSpec, ModelId, ModelName, TrainingConfig};
use llmopt_preparation::TokenStatistics;
use llmopt_tokenization::Encoder;

use crate::{
    DatasetSource, ResolvedModel, ServiceError, jobs,
    tokens::{TokenLimits, check_tokens},
};

/// What a user asks for who wants a model trained.
#[derive(Clone, Debug)]
pub struct TrainingRequest {
    /// What to start from.
    pub base: ResolvedModel,
    /// The digest of its files; absent, they are read for it.
    pub base_digest: Option<Digest>,
    /// The rows to train on.
    pub dataset: DatasetSource,
    /// The rows to evaluate on, if any.
    pub evaluation: Option<DatasetSource>,
    /// The name to publish under.
    pub name: ModelName,
    /// How to train.
    pub config: TrainingConfig,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The version of the code that trains.
    pub code_version: String,
}

/// A job that was checked and can start.
#[derive(Clone, Debug)]
pub struct PreparedJob {
    /// The job's identity.
    pub id: Digest,
    /// What the trainer is told.
    pub spec: JobSpec,
    /// What was found in the rows to train on; no errors.
    pub report: ValidationReport,
    /// What the base model's tokenizer makes of them.
    pub tokens: TokenStatistics,
}

/// Checks everything that can be wrong with a training job before it costs anything.
///
/// # Errors
/// If the configuration, a dataset or the base model is wrong, or they do not fit each other: rows that
/// are too long, that cannot be tokenized or that have nothing to learn are named by their numbers.
pub fn prepare_training(request: TrainingRequest) -> Result<PreparedJob, ServiceError> {
    let config = request.config;
    config.validate().map_err(ServiceError::Config)?;
    let report = check_rows(&request.dataset, ValidationOptions::default())?;
    let base = Gpt2Config::read(&request.base.path)?;
    let encoder = Encoder::open(&request.base.path, config.chat_template.as_deref())?;
    let limits = limits(&config, &base);
    let tokens = check_tokens(
        &request.dataset.path,
        &request.dataset.options(),
        &encoder,
        limits,
    )?;
    if let Some(evaluation) = &request.evaluation {
        check_rows(evaluation, held_out())?;
        check_tokens(&evaluation.path, &evaluation.options(), &encoder, limits)?;
    }
    let base_digest = match request.base_digest {
        Some(digest) => digest,
        None => ModelFolder::open(&request.base.path)?.digest()?,
    };
    let spec = JobSpec {
        format: 1,
        model: ModelId {
            base: request.base.short_name,
            name: request.name,
        },
        base: BaseModel {
            name: request.base.name,
            digest: base_digest,
            path: absolute(&request.base.path)?,
        },
        dataset: dataset_file(request.dataset)?,
        evaluation: request.evaluation.map(dataset_file).transpose()?,
        config,
        code_version: request.code_version,
        data_dir: absolute(&request.data_dir)?,
    };
    Ok(PreparedJob {
        id: jobs::identity(&spec)?,
        spec,
        report,
        tokens,
    })
}

/// Returns the error that `what` of the job is not what it was.
pub(crate) fn changed(spec: &JobSpec, what: String) -> Result<ServiceError, ServiceError> {
    let job = jobs::identity(spec)?.short().to_owned();
    Ok(ServiceError::JobChanged { job, what })
}

/// Checks that the inputs of a job that was begun are what they were; `base` is the digest of its base
/// model's files, which are read for it where it is absent.
///
/// # Errors
/// [`ServiceError::JobChanged`] with what changed, or whatever reading the inputs fails with.
pub fn check_unchanged(
    spec: &JobSpec,
    base: Option<&Digest>,
    code_version: &str,
) -> Result<(), ServiceError> {
    let changed = |what: String| Err(changed(spec, what)?);
    if spec.code_version != code_version {
        let (then, now) = (&spec.code_version, code_version);
        return changed(format!("the version of llmopt (then {then}, now {now})"));
    }
    for file in [Some(&spec.dataset), spec.evaluation.as_ref()]
        .into_iter()
        .flatten()
    {
        if !file.path.is_file() || digest(&file.path)? != file.digest {
            return changed(format!("dataset `{}`", file.path.display()));
        }
    }
    let is_same = match base {
        Some(digest) => *digest == spec.base.digest,
        None => {
            let path = &spec.base.path;
            path.is_dir() && ModelFolder::open(path)?.digest()? == spec.base.digest
        }
    };
    if !is_same {
        return changed(format!("base model `{}`", spec.base.path.display()));
    }
    Ok(())
}

/// What rows that are only measured on must keep to: however few will do.
pub(crate) fn held_out() -> ValidationOptions {
    ValidationOptions {
        minimum_rows: 1,
        ..ValidationOptions::default()
    }
}

/// Refuses a dataset that has errors, with all of them.
pub(crate) fn check_rows(
    source: &DatasetSource,
    options: ValidationOptions,
) -> Result<ValidationReport, ServiceError> {
    let options = ValidationOptions {
        reading: source.options(),
        ..options
    };
    let report = validate(&source.path, &options)?;
    if report.has_errors() {
        return Err(ServiceError::Findings {
            report: Box::new(report),
        });
    }
    Ok(report)
}

fn limits(config: &TrainingConfig, base: &Gpt2Config) -> TokenLimits {
    let context = base.n_positions;
    TokenLimits {
        max_length: config
            .max_length
            .map_or(context, |length| context.min(length as usize)),
        overlong: config.overlong,
        vocabulary: base.vocab_size,
    }
}

fn dataset_file(source: DatasetSource) -> Result<DatasetFile, ServiceError> {
    Ok(DatasetFile {
        digest: digest(&source.path)?,
        path: absolute(&source.path)?,
        columns: source.columns,
    })
}

/// The trainer may run elsewhere: what it is told has to hold from any folder.
fn absolute(path: &Path) -> Result<PathBuf, ServiceError> {
    std::path::absolute(path).map_err(ServiceError::file("read", path))
}
