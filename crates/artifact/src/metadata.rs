use std::path::{Path, PathBuf};

use llmopt_domain::{Digest, EvaluationMetrics, JobSpec};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ArtifactError, record};

const TRAINING: &str = "training_metadata.json";
const EVALUATION: &str = "evaluation_results.json";

/// How a model was trained: `training_metadata.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingMetadata {
    /// The version of this format: 1.
    pub format: u32,
    /// The job's identity.
    pub job: Digest,
    /// The resolved configuration and the digests of base model and datasets. Without this machine's
    /// folders; see [`without_folders`].
    pub spec: JobSpec,
    /// The version of the code that trained.
    pub code_version: String,
    /// How many rows there were.
    pub rows: RowCounts,
    /// Parameters that training changed.
    pub trainable_parameters: u64,
    /// All parameters.
    pub parameters: u64,
    /// Optimizer steps taken.
    pub steps: u64,
    /// Tokens trained on, prompts included, over all epochs.
    pub tokens: u64,
    /// One point for each step that was recorded.
    pub loss_curve: Vec<LossPoint>,
    /// What the run took.
    pub resources: Resources,
    /// What the run cost, in 10⁻¹² US dollars, where a price is known.
    pub cost_picodollars: Option<u64>,
}

/// The rows of a training run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows trained on in each epoch.
    pub training: u64,
    /// Held-out rows, if any.
    pub evaluation: Option<u64>,
    /// Rows left out, which is only where the configuration asked for it.
    pub dropped: u64,
}

/// What was measured in an optimizer step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// The step, counted from 1.
    pub step: u64,
    /// Mean loss over the step's trainable tokens, in nats.
    pub loss: f64,
    /// The learning rate the step used.
    pub learning_rate: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Tokens per second, prompts included, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
}

/// What a run took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// `cpu` or `cuda`.
    pub device: String,
    /// Peak resident memory of the process, in bytes.
    pub peak_memory_bytes: u64,
    /// The most bytes that tensors took at once on the GPU. Absent on a CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_gpu_memory_bytes: Option<u64>,
    /// Threads computed with.
    pub threads: u32,
    /// Wall-clock seconds of training, over all resumes.
    pub seconds: f64,
}

impl TrainingMetadata {
    /// Writes `training_metadata.json` into `folder` and waits until it is on disk.
    ///
    /// # Errors
    /// [`ArtifactError::Render`] if a number is not finite, or [`ArtifactError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), ArtifactError> {
        record::write(folder, TRAINING, self)
    }

    /// Reads `training_metadata.json` in `folder`.
    ///
    /// # Errors
    /// [`ArtifactError::MissingFile`], [`ArtifactError::Json`], or [`ArtifactError::Unsupported`] if
    /// it is of another format.
    pub fn read(folder: &Path) -> Result<Self, ArtifactError> {
        record::read(folder, TRAINING)
    }
}

/// What came out on held-out rows: `evaluation_results.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvaluationResults {
    /// The version of this format: 1.
    pub format: u32,
    /// The digest of the dataset.
    pub dataset: Digest,
    /// Tokens generated at most for each row; 0 where only the loss was measured.
    pub max_new_tokens: u32,
    /// What the base model scores, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<EvaluationMetrics>,
    /// What the trained model scores.
    pub after: EvaluationMetrics,
}

impl EvaluationResults {
    /// Writes `evaluation_results.json` into `folder` and waits until it is on disk.
    ///
    /// # Errors
    /// [`ArtifactError::Render`] if a number is not finite, or [`ArtifactError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), ArtifactError> {
        record::write(folder, EVALUATION, self)
    }

    /// Reads `evaluation_results.json` in `folder`.
    ///
    /// # Errors
    /// [`ArtifactError::MissingFile`], [`ArtifactError::Json`], or [`ArtifactError::Unsupported`] if
    /// it is of another format.
    pub fn read(folder: &Path) -> Result<Self, ArtifactError> {
        record::read(folder, EVALUATION)
    }
}

/// Returns `spec` with only the last part of each path: where files lay on one machine says nothing on
/// another, and may say too much. Its identity stays the same.
pub fn without_folders(spec: &JobSpec) -> JobSpec {
    let mut spec = spec.clone();
    let last = |path: &Path| path.file_name().map_or_else(PathBuf::new, PathBuf::from);
    let files = [Some(&mut spec.dataset), spec.evaluation.as_mut()];
    for file in files.into_iter().flatten() {
        file.path = last(&file.path);
    }
    spec.base.path = last(&spec.base.path);
    if Path::new(&spec.base.name).is_absolute() {
        spec.base.name = spec.model.base.to_string();
    }
    spec.data_dir = last(&spec.data_dir);
    spec
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing;

    #[test]
    fn training_metadata_of_format_1_is_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let golden = include_str!("../golden/training_metadata.v1.json");
        fs::write(folder.path().join(TRAINING), golden).unwrap();
        let metadata = testing::training_metadata();
        assert_eq!(TrainingMetadata::read(folder.path()).unwrap(), metadata);
        metadata.write(folder.path()).unwrap();
        assert_eq!(TrainingMetadata::read(folder.path()).unwrap(), metadata);
    }

    #[test]
    fn evaluation_results_of_format_1_are_read_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let golden = include_str!("../golden/evaluation_results.v1.json");
        fs::write(folder.path().join(EVALUATION), golden).unwrap();
        let results = testing::evaluation_results();
        assert_eq!(EvaluationResults::read(folder.path()).unwrap(), results);
        results.write(folder.path()).unwrap();
        let written = fs::read_to_string(folder.path().join(EVALUATION)).unwrap();
        assert_eq!(written, golden);
    }

    #[test]
    fn metadata_of_another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut metadata = testing::training_metadata();
        metadata.format = 9;
        metadata.write(folder.path()).unwrap();
        let error = TrainingMetadata::read(folder.path()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`format` is `9`; expected `1`"), "{error}");
    }

    #[test]
    fn a_number_that_json_cannot_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = testing::evaluation_results();
        results.after.perplexity = f64::INFINITY;
        let error = results.write(folder.path()).unwrap_err();
        assert!(matches!(error, ArtifactError::Render { .. }), "{error}");
        assert!(!folder.path().join(EVALUATION).exists());
    }

    #[test]
    fn a_specification_without_folders_is_the_same_job() {
        let spec = testing::job_spec();
        let portable = without_folders(&spec);
        assert_eq!(portable.identity().unwrap(), spec.identity().unwrap());
        let json = serde_json::to_string(&portable).unwrap();
        assert!(!json.contains("/home/"), "{json}");
        assert_eq!(portable.dataset.path, Path::new("orders.jsonl"));
    }
}
