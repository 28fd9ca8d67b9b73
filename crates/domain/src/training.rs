use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What training changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Low-rank adapters beside frozen weights (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>).
    #[default]
    Lora,
    /// Every weight.
    Full,
}

/// The type that matrix products are computed in. Adapters, optimizer and residuals stay f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats: the reference.
    #[default]
    F32,
    /// bfloat16 products.
    Bf16,
}

/// How the learning rate falls after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// In a straight line to zero.
    #[default]
    Linear,
    /// Along half a cosine to zero.
    Cosine,
}

/// What happens to rows longer than `max_length` tokens. Nothing is ever cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overlong {
    /// The job fails and names them.
    #[default]
    Error,
    /// They are left out and counted.
    Drop,
}

/// The shape of the adapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// Rank of the update: 1 to 256.
    #[schema(minimum = 1, maximum = 256)]
    pub rank: u32,
    /// The update is scaled by `alpha / rank`.
    #[schema(exclusive_minimum = 0)]
    pub alpha: f64,
    /// Probability with which an input of an adapter is zeroed in training.
    #[schema(minimum = 0, exclusive_maximum = 1)]
    pub dropout: f64,
    /// Names of the layers to adapt, as PEFT spells them.
    #[schema(min_items = 1)]
    pub target_modules: Vec<String>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            rank: 16,
            alpha: 32.0,
            dropout: 0.0,
            target_modules: vec!["c_attn".into(), "c_proj".into(), "c_fc".into()],
        }
    }
}

/// Every knob of a training run. Unknown keys are refused; every key is read by the recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// What training changes.
    pub method: Method,
    /// The shape of the adapters; read where `method` is `lora`.
    pub lora: LoraConfig,
    /// Peak learning rate of AdamW.
    #[schema(exclusive_minimum = 0)]
    pub learning_rate: f64,
    /// Decoupled weight decay, on matrices only.
    #[schema(minimum = 0)]
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    #[schema(minimum = 0, exclusive_maximum = 1)]
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    #[schema(minimum = 0, exclusive_maximum = 1)]
    pub beta2: f64,
    /// AdamW's term against division by zero.
    #[schema(exclusive_minimum = 0)]
    pub epsilon: f64,
    /// Gradients longer than this norm are scaled down to it; 0 turns clipping off.
    #[schema(minimum = 0)]
    pub max_gradient_norm: f64,
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// Share of the steps over which the learning rate rises from zero.
    #[schema(minimum = 0, maximum = 1)]
    pub warmup_ratio: f64,
    /// Passes over the dataset; `max_steps` may end the run before.
    #[schema(minimum = 1)]
    pub epochs: u32,
    /// Optimizer steps at most; absent means as many as the epochs take.
    #[schema(minimum = 1)]
    pub max_steps: Option<u64>,
    /// Rows per optimizer step.
    #[schema(minimum = 1)]
    pub batch_size: u32,
    /// Rows computed at once; a batch is worked off in as many of them as it takes.
    #[schema(minimum = 1)]
    pub micro_batch_size: u32,
    /// Longest row in tokens; absent means the model's context.
    #[schema(minimum = 2)]
    pub max_length: Option<u32>,
    /// What happens to longer rows.
    pub overlong: Overlong,
    /// Probability with which embeddings, attention weights and block outputs are zeroed in training.
    #[schema(minimum = 0, exclusive_maximum = 1)]
    pub dropout: f64,
    /// The type of matrix products.
    pub precision: Precision,
    /// Fixes the order of the rows, the initial adapters and dropout.
    pub seed: u64,
    /// Seconds between checkpoints.
    #[schema(minimum = 1)]
    pub checkpoint_seconds: u64,
    /// Steps between checkpoints, in addition to `checkpoint_seconds`; absent means by time only.
    #[schema(minimum = 1)]
    pub checkpoint_steps: Option<u64>,
    /// Checkpoints kept; older ones are deleted.
    #[schema(minimum = 1)]
    pub keep_checkpoints: u32,
    /// Threads to compute with; part of the job's identity because sums depend on it.
    #[schema(minimum = 1, maximum = 1024)]
    pub threads: u32,
    /// Tokens generated at most for each held-out row in the final evaluation; 0 measures the loss only.
    pub evaluation_max_new_tokens: u32,
    /// Jinja source of the chat template; absent means the base model's own, or ours where it has none.
    pub chat_template: Option<String>,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            method: Method::default(),
            lora: LoraConfig::default(),
            learning_rate: 2e-4,
            weight_decay: 0.0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            max_gradient_norm: 1.0,
            schedule: Schedule::default(),
            warmup_ratio: 0.03,
            epochs: 3,
            max_steps: None,
            batch_size: 16,
            micro_batch_size: 4,
            max_length: None,
            overlong: Overlong::default(),
            dropout: 0.0,
            precision: Precision::default(),
            seed: 42,
            checkpoint_seconds: 60,
            checkpoint_steps: None,
            keep_checkpoints: 2,
            threads: 1,
            evaluation_max_new_tokens: 0,
            chat_template: None,
        }
    }
}

/// A value of a [`TrainingConfig`] that is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is `{found}`: expected {expected}")]
pub struct ConfigProblem {
    /// The key, with `.` between its parts.
    pub field: &'static str,
    /// The range.
    pub expected: &'static str,
    /// The value.
    pub found: String,
}

impl TrainingConfig {
    /// Checks every range and returns everything that is wrong.
    ///
    /// # Errors
    /// One [`ConfigProblem`] for each value out of range.
    pub fn validate(&self) -> Result<(), Vec<ConfigProblem>> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, field, expected, found: String| {
            if !holds {
                problems.push(ConfigProblem {
                    field,
                    expected,
                    found,
                });
            }
        };
        let share = |value: f64| (0.0..1.0).contains(&value);
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let not_negative = |value: f64| value >= 0.0 && value.is_finite();
        let lora = &self.lora;
        require(
            (1..=256).contains(&lora.rank),
            "lora.rank",
            "1 to 256",
            lora.rank.to_string(),
        );
        require(
            positive(lora.alpha),
            "lora.alpha",
            "more than 0",
            lora.alpha.to_string(),
        );
        require(
            share(lora.dropout),
            "lora.dropout",
            "0 up to, not including, 1",
            lora.dropout.to_string(),
        );
        require(
            !lora.target_modules.is_empty(),
            "lora.target_modules",
            "at least one layer name",
            "[]".into(),
        );
        require(
            positive(self.learning_rate),
            "learning_rate",
            "more than 0",
            self.learning_rate.to_string(),
        );
        require(
            not_negative(self.weight_decay),
            "weight_decay",
            "0 or more",
            self.weight_decay.to_string(),
        );
        require(
            share(self.beta1),
            "beta1",
            "0 up to, not including, 1",
            self.beta1.to_string(),
        );
        require(
            share(self.beta2),
            "beta2",
            "0 up to, not including, 1",
            self.beta2.to_string(),
        );
        require(
            positive(self.epsilon),
            "epsilon",
            "more than 0",
            self.epsilon.to_string(),
        );
        require(
            not_negative(self.max_gradient_norm),
            "max_gradient_norm",
            "0 or more",
            self.max_gradient_norm.to_string(),
        );
        require(
            (0.0..=1.0).contains(&self.warmup_ratio),
            "warmup_ratio",
            "0 to 1",
            self.warmup_ratio.to_string(),
        );
        require(
            self.epochs >= 1,
            "epochs",
            "1 or more",
            self.epochs.to_string(),
        );
        require(
            self.max_steps != Some(0),
            "max_steps",
            "1 or more",
            "0".into(),
        );
        require(
            self.batch_size >= 1,
            "batch_size",
            "1 or more",
            self.batch_size.to_string(),
        );
        require(
            (1..=self.batch_size.max(1)).contains(&self.micro_batch_size),
            "micro_batch_size",
            "1 to `batch_size`",
            self.micro_batch_size.to_string(),
        );
        require(
            self.max_length.is_none_or(|length| length >= 2),
            "max_length",
            "2 or more",
            format!("{:?}", self.max_length),
        );
        require(
            share(self.dropout),
            "dropout",
            "0 up to, not including, 1",
            self.dropout.to_string(),
        );
        require(
            self.checkpoint_seconds >= 1,
            "checkpoint_seconds",
            "1 or more",
            self.checkpoint_seconds.to_string(),
        );
        require(
            self.checkpoint_steps != Some(0),
            "checkpoint_steps",
            "1 or more",
            "0".into(),
        );
        require(
            self.keep_checkpoints >= 1,
            "keep_checkpoints",
            "1 or more",
            self.keep_checkpoints.to_string(),
        );
        require(
            (1..=1024).contains(&self.threads),
            "threads",
            "1 to 1024",
            self.threads.to_string(),
        );
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}
