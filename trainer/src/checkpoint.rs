//! Everything a run needs to go on as if it had never stopped.

use std::{fs, path::Path};

use llmopt_artifact::{LossPoint, OwnedTensor, TensorFile, write_safetensors};
use llmopt_domain::{Digest, EvaluationMetrics, ObjectKey};
use llmopt_storage::{FolderStore, StorageError};
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};
use tokio::runtime::Runtime;

use crate::{
    TrainerError,
    optimizer::AdamW,
    weights::{kind_of, owned_tensor},
};

const STATE_FILE: &str = "checkpoint.json";
const TENSOR_FILE: &str = "state.safetensors";

/// A run's progress beside its tensors. The data position and the random state need no field: both
/// are functions of the seed and the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    /// The version of this format: 1.
    pub(crate) format: u32,
    /// The job the checkpoint belongs to.
    pub(crate) job: Digest,
    /// Optimizer steps taken.
    pub(crate) step: u64,
    /// Wall-clock seconds of training so far, over all resumes.
    pub(crate) seconds: f64,
    /// Tokens trained on so far, prompts included.
    pub(crate) tokens: u64,
    /// What the held-out rows gave before the first step, if there are any.
    pub(crate) before: Option<EvaluationMetrics>,
    /// One point for each step.
    pub(crate) losses: Vec<LossPoint>,
}

impl RunState {
    pub(crate) fn new(job: Digest) -> Self {
        Self {
            format: 1,
            job,
            step: 0,
            seconds: 0.0,
            tokens: 0,
            before: None,
            losses: Vec::new(),
        }
    }
}

/// A job's checkpoints in a store.
pub(crate) struct Checkpoints<'a> {
    pub(crate) store: &'a dyn FolderStore,
    pub(crate) runtime: &'a Runtime,
    pub(crate) job: &'a Digest,
    /// How many are kept.
    pub(crate) keep: usize,
}

impl Checkpoints<'_> {
    /// Publishes the state after `state.step` steps, then deletes what is older than the last kept.
    pub(crate) fn save(&self, state: &RunState, optimizer: &AdamW) -> Result<(), TrainerError> {
        let key = ObjectKey::checkpoint(self.job, state.step);
        let staged = self.runtime.block_on(self.store.stage())?;
        write_state(staged.path(), state, optimizer)?;
        match self
            .runtime
            .block_on(self.store.publish(staged.path(), &key))
        {
            // A worker that had this job before and lost it has come this far: to the same numbers.
            Ok(()) | Err(StorageError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let keys = self.list()?;
        for old in &keys[..keys.len().saturating_sub(self.keep)] {
            self.runtime.block_on(self.store.delete(old))?;
        }
        Ok(())
    }

    /// Returns the last checkpoint's key.
    pub(crate) fn latest(&self) -> Result<Option<ObjectKey>, TrainerError> {
        Ok(self.list()?.pop())
    }

    /// Deletes all of them: the job is published.
    pub(crate) fn clear(&self) -> Result<(), TrainerError> {
        for key in self.list()? {
            self.runtime.block_on(self.store.delete(&key))?;
        }
        Ok(())
    }

    /// Puts the checkpoint at `key` into the parameters and moments of `optimizer`.
    pub(crate) fn restore(
        &self,
        key: &ObjectKey,
        optimizer: &mut AdamW,
    ) -> Result<RunState, TrainerError> {
        let folder = self.runtime.block_on(self.store.open(key))?;
        let unusable = |reason: String| TrainerError::Checkpoint {
            key: key.clone(),
            reason,
        };
        let state = read_state(&folder).map_err(&unusable)?;
        if state.job != *self.job {
            return Err(unusable(format!(
                "it belongs to job `{}`",
                state.job.short()
            )));
        }
        let file = TensorFile::open(&folder.join(TENSOR_FILE))?;
        for slot in &mut optimizer.slots {
            for (tensor, prefix) in [
                (&mut slot.parameter, "parameter"),
                (&mut slot.first_moment, "first_moment"),
                (&mut slot.second_moment, "second_moment"),
            ] {
                fill(tensor, &file, &format!("{prefix}/{}", slot.name)).map_err(&unusable)?;
            }
        }
        optimizer.step = state.step;
        Ok(state)
    }

    fn list(&self) -> Result<Vec<ObjectKey>, TrainerError> {
        Ok(self
            .runtime
            .block_on(self.store.list(&ObjectKey::checkpoints(self.job)))?)
    }
}

fn write_state(folder: &Path, state: &RunState, optimizer: &AdamW) -> Result<(), TrainerError> {
    let tensors = optimizer
        .slots
        .iter()
        .flat_map(|slot| {
            [
                ("parameter", &slot.parameter),
                ("first_moment", &slot.first_moment),
                ("second_moment", &slot.second_moment),
            ]
            .map(|(prefix, tensor)| owned_tensor(format!("{prefix}/{}", slot.name), tensor))
        })
        .collect::<Result<Vec<OwnedTensor>, _>>()?;
    write_safetensors(&folder.join(TENSOR_FILE), tensors)?;
    let path = folder.join(STATE_FILE);
    let json = serde_json::to_vec(state).map_err(std::io::Error::from);
    json.and_then(|json| fs::write(&path, json))
        .map_err(|source| TrainerError::Write { path, source })
}

fn read_state(folder: &Path) -> Result<RunState, String> {
    let json = fs::read(folder.join(STATE_FILE)).map_err(|error| error.to_string())?;
    let state: RunState = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    if state.format != 1 {
        return Err(format!("its format is {}: expected 1", state.format));
    }
    Ok(state)
}

/// Copies the entry `name` of `file` into `tensor`.
fn fill(tensor: &mut Tensor, file: &TensorFile, name: &str) -> Result<(), String> {
    let view = file.tensor(name).map_err(|error| error.to_string())?;
    let shape: Vec<i64> = view.shape.iter().map(|&size| size as i64).collect();
    if shape != tensor.size() {
        return Err(format!(
            "`{name}` has shape {shape:?}: expected {:?}",
            tensor.size()
        ));
    }
    let kind = kind_of(view.dtype).map_err(|error| error.to_string())?;
    let copied = Tensor::f_from_data_size(view.bytes, &shape, kind)
        .and_then(|stored| no_grad(|| tensor.f_copy_(&stored)));
    copied.map_err(|error| error.to_string())
}
