use std::path::{Path, PathBuf};

use llmopt_artifact::{EvaluationResults, TrainingMetadata};
use llmopt_domain::{Digest, Method, ModelId, ModelName, ObjectKey, TrainingConfig};
use serde::Serialize;

use crate::ServiceError;

/// A model whose files are on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedModel {
    /// The name that a model trained from it keeps: a Hub name, a published model's id with its
    /// version, or a folder.
    pub name: String,
    /// The short name in the ids of models trained from it.
    pub short_name: ModelName,
    /// The folder with its files; those with weights may be missing there where `key` says where they
    /// are ([`Models::whole`](crate::Models::whole)).
    pub path: PathBuf,
    /// Where it is published, if it is.
    pub key: Option<ObjectKey>,
}

/// A published version of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelSummary {
    /// The model.
    pub id: ModelId,
    /// The version, counted from 1.
    pub version: u32,
    /// The folder with its files.
    pub path: PathBuf,
    /// What it was trained from, as its owner named it.
    pub base: String,
    /// The digest of the base's files.
    pub base_digest: Digest,
    /// What training changed.
    pub method: Method,
    /// The identity of the job that made it.
    pub job: Digest,
    /// Rows trained on in each epoch.
    pub rows: u64,
    /// Optimizer steps taken.
    pub steps: u64,
    /// Parameters that training changed.
    pub trainable_parameters: u64,
    /// All parameters.
    pub parameters: u64,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Wall-clock seconds of training, over all resumes.
    pub seconds: f64,
    /// Tokens trained on per second, prompts included.
    pub tokens_per_second: f64,
    /// Peak resident memory of the trainer, in bytes.
    pub peak_memory_bytes: u64,
    /// The loss of the last step, in nats.
    pub training_loss: Option<f64>,
    /// What came out on held-out rows, if there were any.
    pub evaluation: Option<EvaluationResults>,
    /// How it was trained.
    pub config: TrainingConfig,
}

impl ResolvedModel {
    /// Takes the folder `path` for a model.
    ///
    /// # Errors
    /// [`ServiceError::File`] if the folder cannot be found.
    pub(crate) fn of_folder(path: &Path) -> Result<Self, ServiceError> {
        let path = path
            .canonicalize()
            .map_err(ServiceError::file("find", path))?;
        let last = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            name: path.display().to_string(),
            short_name: short_name(&last)?,
            path,
            key: None,
        })
    }

    /// Takes the folder `path`, which was imported as `base:{name}` and lies at `key`.
    pub(crate) fn of_base(name: &str, path: PathBuf, key: ObjectKey) -> Result<Self, ServiceError> {
        Ok(Self {
            name: format!("base:{name}"),
            short_name: short_name(name)?,
            path,
            key: Some(key),
        })
    }

    /// Takes the folder `path`, which was fetched from `repository`.
    pub(crate) fn of_repository(repository: &str, path: PathBuf) -> Result<Self, ServiceError> {
        let last = repository.rsplit('/').next().unwrap_or(repository);
        Ok(Self {
            name: repository.to_owned(),
            short_name: short_name(last)?,
            path,
            key: None,
        })
    }
}

impl From<ModelSummary> for ResolvedModel {
    fn from(model: ModelSummary) -> Self {
        Self {
            name: format!("{}:{}", model.id, model.version),
            key: Some(ObjectKey::model(&model.id, model.version)),
            short_name: model.id.name,
            path: model.path,
        }
    }
}

impl ModelSummary {
    /// Reads what a published folder says of itself.
    pub(crate) fn read(version: u32, path: PathBuf) -> Result<Self, ServiceError> {
        let metadata = TrainingMetadata::read(&path)?;
        let evaluation = metadata.rows.evaluation;
        let evaluation = evaluation
            .map(|_| EvaluationResults::read(&path))
            .transpose()?;
        let resources = metadata.resources;
        Ok(Self {
            id: metadata.spec.model,
            version,
            path,
            base: metadata.spec.base.name,
            base_digest: metadata.spec.base.digest,
            method: metadata.spec.config.method,
            job: metadata.job,
            rows: metadata.rows.training,
            steps: metadata.steps,
            trainable_parameters: metadata.trainable_parameters,
            parameters: metadata.parameters,
            device: resources.device,
            seconds: resources.seconds,
            tokens_per_second: metadata.tokens as f64 / resources.seconds.max(f64::MIN_POSITIVE),
            peak_memory_bytes: resources.peak_memory_bytes,
            training_loss: metadata.loss_curve.last().map(|point| point.loss),
            evaluation,
            config: metadata.spec.config,
        })
    }
}

/// Makes a model's name of a folder's or a repository's.
fn short_name(text: &str) -> Result<ModelName, ServiceError> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = text.chars().map(plain).take(64).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    let name = if name.is_empty() { "base" } else { name };
    Ok(name.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_folders_name_becomes_a_models_name() {
        let name = |text| short_name(text).unwrap().to_string();
        assert_eq!(name("tiny-gpt2"), "tiny-gpt2");
        assert_eq!(name(".my model (1)"), "my-model--1-");
        assert_eq!(name("…"), "base");
        assert_eq!(name(&"x".repeat(80)).len(), 64);
    }

    #[test]
    fn a_folder_is_known_by_its_last_part_and_its_whole_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny");
        std::fs::create_dir(&path).unwrap();
        let model = ResolvedModel::of_folder(&path.join(".")).unwrap();
        assert_eq!(model.short_name.as_str(), "tiny");
        assert_eq!(model.name, model.path.display().to_string());
        assert!(model.path.is_absolute());
    }
}
