use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Digest, ModelId, TrainingConfig};

/// A base model that was resolved to a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseModel {
    /// How the user named it: a Hub name, a fine-tuned model's id, or a folder.
    pub name: String,
    /// The digest over the names and contents of the files that training reads.
    pub digest: Digest,
    /// The folder on this machine.
    pub path: PathBuf,
}

/// A dataset file that was resolved and validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFile {
    /// The digest of its bytes.
    pub digest: Digest,
    /// The file on this machine.
    pub path: PathBuf,
}

/// Everything a trainer needs for one training job, and all that its result depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The version of this format: 1.
    pub format: u32,
    /// The model to publish.
    pub model: ModelId,
    /// What to start from.
    pub base: BaseModel,
    /// The rows to train on.
    pub dataset: DatasetFile,
    /// The rows to evaluate on, if any.
    pub evaluation: Option<DatasetFile>,
    /// How to train.
    pub config: TrainingConfig,
    /// The version of the code that trains.
    pub code_version: String,
    /// The store's root on this machine; checkpoints and artifacts are published below it.
    pub data_dir: PathBuf,
}

impl JobSpec {
    /// Returns the job's identity: the same inputs give the same job, wherever the files lie.
    ///
    /// # Errors
    /// If the specification does not serialise to JSON (a NaN in the configuration).
    pub fn identity(&self) -> serde_json::Result<Digest> {
        Digest::of_json(&(
            self.format,
            &self.model,
            &self.base.digest,
            &self.dataset.digest,
            self.evaluation.as_ref().map(|file| &file.digest),
            &self.config,
            &self.code_version,
        ))
    }
}

/// Everything a trainer needs to evaluate a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSpec {
    /// The folder of the base or merged model.
    pub model: PathBuf,
    /// The folder with a PEFT adapter to put on it, if any.
    pub adapter: Option<PathBuf>,
    /// The folder with the tokenizer and the chat template.
    pub tokenizer: PathBuf,
    /// The rows to evaluate on.
    pub dataset: PathBuf,
    /// Evaluate only the first so many rows.
    pub limit: Option<u64>,
    /// Tokens to generate at most for each row; 0 measures the loss only.
    pub max_new_tokens: u32,
    /// Where to write one JSON line for each row: prompt, expected, generated, token ids, match.
    pub predictions: Option<PathBuf>,
    /// Threads to compute with.
    pub threads: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_was_written_down_is_the_same_job() {
        let golden = include_str!("../golden/training_job.v1.json");
        let job: crate::TrainingJob = serde_json::from_str(golden).unwrap();
        // Numbers of all lengths, as people and programs write them.
        for number in 1..2_000_u32 {
            let mut spec = job.spec.clone();
            spec.config.learning_rate = f64::from(number) * 1.1e-7;
            spec.config.lora.alpha = 0.1 + f64::from(number) * 0.2;
            let written = serde_json::to_string(&spec).unwrap();
            let read: JobSpec = serde_json::from_str(&written).unwrap();
            assert_eq!(
                read.identity().unwrap(),
                spec.identity().unwrap(),
                "{written}"
            );
        }
    }
}
