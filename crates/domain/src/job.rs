use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ColumnMap, Digest, ModelId, TrainingConfig};

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
    /// Which of its columns stand for those that are recognised.
    #[serde(default, skip_serializing_if = "ColumnMap::is_empty")]
    pub columns: ColumnMap,
}

/// What a job's identity holds of a dataset: of one whose columns are not mapped, its digest alone.
#[derive(Serialize)]
#[serde(untagged)]
enum DatasetIdentity<'a> {
    Bytes(&'a Digest),
    Mapped(&'a Digest, &'a ColumnMap),
}

impl DatasetFile {
    fn identity(&self) -> DatasetIdentity<'_> {
        match self.columns.is_empty() {
            true => DatasetIdentity::Bytes(&self.digest),
            false => DatasetIdentity::Mapped(&self.digest, &self.columns),
        }
    }
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
            self.dataset.identity(),
            self.evaluation.as_ref().map(DatasetFile::identity),
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
    /// Which of their columns stand for those that are recognised.
    #[serde(default, skip_serializing_if = "ColumnMap::is_empty")]
    pub columns: ColumnMap,
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

    fn golden() -> JobSpec {
        let golden = include_str!("../golden/training_job.v1.json");
        let job: crate::TrainingJob = serde_json::from_str(golden).unwrap();
        job.spec
    }

    #[test]
    fn a_job_without_maps_is_the_one_it_was_before_there_were_any() {
        let mut spec = golden();
        spec.evaluation = Some(spec.dataset.clone());
        let before = Digest::of_json(&(
            spec.format,
            &spec.model,
            &spec.base.digest,
            &spec.dataset.digest,
            spec.evaluation.as_ref().map(|file| &file.digest),
            &spec.config,
            &spec.code_version,
        ));
        assert_eq!(spec.identity().unwrap(), before.unwrap());
        let written = serde_json::to_string(&spec).unwrap();
        assert!(!written.contains("columns"), "{written}");
    }

    #[test]
    fn another_map_is_another_job() {
        let spec = golden();
        let maps = ["prompt=frage", "prompt=antwort", "response=frage"];
        let mut identities = vec![spec.identity().unwrap()];
        for map in maps {
            let mut mapped = spec.clone();
            mapped.dataset.columns = map.parse().unwrap();
            identities.push(mapped.identity().unwrap());
            let mut evaluated = spec.clone();
            evaluated.evaluation = Some(mapped.dataset.clone());
            identities.push(evaluated.identity().unwrap());
            let written = serde_json::to_string(&mapped).unwrap();
            assert_eq!(serde_json::from_str::<JobSpec>(&written).unwrap(), mapped);
        }
        let different: std::collections::BTreeSet<_> = identities.iter().collect();
        assert_eq!(different.len(), identities.len());
    }

    #[test]
    fn a_job_that_was_written_down_is_the_same_job() {
        let golden = golden();
        // Numbers of all lengths, as people and programs write them.
        for number in 1..2_000_u32 {
            let mut spec = golden.clone();
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
