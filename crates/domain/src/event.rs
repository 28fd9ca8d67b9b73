use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a trainer reports while it works: one JSON object a line on its standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrainingEvent {
    /// A long preparation began, such as loading a model or tokenizing.
    Preparing {
        /// What is being prepared, for people.
        what: String,
    },
    /// Everything is loaded and the first step comes next.
    Started {
        /// The step to continue after: 0 for a fresh run.
        step: u64,
        /// Optimizer steps of the whole run.
        total_steps: u64,
        /// Rows trained on in each epoch.
        rows: u64,
        /// Tokens in each epoch, prompts included.
        tokens: u64,
        /// Tokens with loss in each epoch.
        trainable_tokens: u64,
        /// Rows left out, which is only where the configuration asked for it.
        dropped_rows: u64,
        /// Parameters that training changes.
        trainable_parameters: u64,
        /// All parameters.
        parameters: u64,
        /// `cpu` or `cuda`.
        device: String,
    },
    /// An optimizer step was taken.
    Step {
        /// Steps taken so far.
        step: u64,
        /// Optimizer steps of the whole run.
        total_steps: u64,
        /// Mean loss over the step's trainable tokens, in nats.
        loss: f64,
        /// Norm of the gradient before clipping.
        gradient_norm: f64,
        /// The learning rate the step used.
        learning_rate: f64,
        /// Tokens in the step, prompts included.
        tokens: u64,
        /// Tokens per second since the run started or resumed, prompts included.
        tokens_per_second: f64,
        /// The process's peak resident memory so far, in bytes.
        peak_memory_bytes: u64,
        /// The most bytes that tensors took at once on the GPU so far. Absent on a CPU.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peak_gpu_memory_bytes: Option<u64>,
        /// Estimated seconds until the last step is done.
        seconds_left: f64,
    },
    /// A checkpoint became visible.
    Checkpoint {
        /// The step after which it was taken.
        step: u64,
    },
    /// The held-out rows were evaluated.
    Evaluated {
        /// The step after which.
        step: u64,
        /// What came out.
        metrics: EvaluationMetrics,
    },
    /// The run was asked to stop, saved a checkpoint and ended.
    Interrupted {
        /// The step after which the checkpoint was taken.
        step: u64,
    },
    /// The artifacts became visible; the run is complete.
    Published {
        /// The folder's key in the store.
        key: String,
        /// The version given.
        version: u32,
        /// Wall-clock seconds that training took, over all resumes.
        seconds: f64,
    },
    /// Held-out rows that were generated for so far, of all.
    Progress {
        /// Rows done.
        done: u64,
        /// Rows in all.
        total: u64,
    },
}

/// What an evaluation measures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvaluationMetrics {
    /// Rows evaluated.
    pub rows: u64,
    /// Mean loss per trainable token, in nats.
    pub loss: f64,
    /// `exp(loss)`.
    pub perplexity: f64,
    /// The share of rows whose greedy answer equals the expected one, both stripped of surrounding
    /// white space. Absent where nothing was generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_match: Option<f64>,
}
