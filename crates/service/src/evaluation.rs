use std::path::{Path, PathBuf};

use llmopt_artifact::{AdapterFolder, ModelFolder, TrainingMetadata};
use llmopt_domain::{Digest, EvaluationSpec, Overlong};
use llmopt_tokenization::Encoder;

use crate::{
    DatasetSource, Jobs, ResolvedModel, ServiceError,
    tokens::{TokenLimits, check_tokens},
    training::{check_rows, held_out},
};

/// What a user asks for who wants a model evaluated.
#[derive(Clone, Debug)]
pub struct EvaluationRequest {
    /// The model.
    pub model: ResolvedModel,
    /// Which of its weights.
    pub weights: Weights,
    /// The rows to evaluate on.
    pub dataset: DatasetSource,
    /// Evaluate only the first so many rows.
    pub limit: Option<u64>,
    /// Tokens to generate at most for each row; 0 measures the loss only.
    pub max_new_tokens: u32,
    /// Where to write one JSON line for each row.
    pub predictions: Option<PathBuf>,
    /// Threads to compute with.
    pub threads: u32,
}

/// Which weights of a fine-tuned model are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// The base model with the adapter on it, where the model has one.
    AsTrained,
    /// The weights that the adapter was merged into.
    Merged,
}

/// The folder within a published model that holds its adapter.
pub(crate) const ADAPTER: &str = "adapter";

/// Checks a model and the rows it is to be evaluated on.
///
/// # Errors
/// If the model is incomplete, its base is gone, or rows cannot be read, are too long or cannot be
/// tokenized.
pub fn prepare_evaluation(
    request: EvaluationRequest,
    jobs: &Jobs<'_>,
) -> Result<EvaluationSpec, ServiceError> {
    let published = &request.model.path;
    let adapter = published.join(ADAPTER);
    let adapter = (request.weights == Weights::AsTrained && adapter.is_dir()).then_some(adapter);
    let model = match &adapter {
        Some(adapter) => {
            AdapterFolder::open(adapter)?;
            base_of(published, jobs)?
        }
        None => published.clone(),
    };
    let folder = ModelFolder::open(&model)?;
    let limits = TokenLimits {
        max_length: folder.config().n_positions,
        overlong: Overlong::Error,
        vocabulary: folder.config().vocab_size,
    };
    let dataset = request.dataset;
    check_rows(&dataset, held_out())?;
    let encoder = Encoder::open(published, None)?;
    check_tokens(&dataset.path, &dataset.options(), &encoder, limits)?;
    Ok(EvaluationSpec {
        model,
        adapter,
        // The published folder's own: those it was trained with.
        tokenizer: published.clone(),
        dataset: dataset.path,
        columns: dataset.columns,
        limit: request.limit,
        max_new_tokens: request.max_new_tokens,
        predictions: request.predictions,
        threads: request.threads,
    })
}

/// Finds the folder of the base that a published adapter was trained on, as its job recorded it.
fn base_of(published: &Path, jobs: &Jobs<'_>) -> Result<PathBuf, ServiceError> {
    let metadata = TrainingMetadata::read(published)?;
    let name = &metadata.spec.base.name;
    let gone = |problem: String| ServiceError::Unsuitable {
        path: published.to_owned(),
        problem,
    };
    let Some(spec) = jobs.record(&metadata.job)? else {
        return Err(gone(format!(
            "was trained from base `{name}` in another data directory: expected its job's record here; evaluate its merged weights with `--merged`"
        )));
    };
    let path = spec.base.path;
    if !path.is_dir() {
        return Err(gone(format!(
            "was trained from base `{}`, which is not there any more; evaluate its merged weights with `--merged`",
            path.display()
        )));
    }
    if ModelFolder::open(&path)?.digest()? != metadata.spec.base.digest {
        return Err(gone(format!(
            "was trained from base `{}`, whose files have changed since; evaluate its merged weights with `--merged`",
            path.display()
        )));
    }
    Ok(path)
}

/// Returns the folder of the base that the job trained on, if that was here and is.
pub(crate) fn base_folder(jobs: &Jobs<'_>, job: &Digest) -> Result<Option<PathBuf>, ServiceError> {
    let base = jobs.record(job)?.map(|spec| spec.base.path);
    Ok(base.filter(|path| path.is_dir()))
}
