use std::path::PathBuf;

use clap::{Args, builder::PossibleValuesParser};
use llmopt_domain::{Method, TrainingConfig};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    config_file::{merge, read, read_keys},
    failure::Failure,
};

/// Every knob of a training run as a flag. A flag wins over the same key in `--config`.
#[derive(Args, Debug, Default, Serialize)]
#[command(next_help_heading = "Training configuration")]
pub(crate) struct ConfigFlags {
    /// A JSON file with any of these keys, the ones of --lora-* in an object `lora`
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// What training changes: adapters beside frozen weights, or every weight [default: lora]
    #[arg(long, value_parser = PossibleValuesParser::new(["lora", "full"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[command(flatten)]
    lora: LoraFlags,
    /// Peak learning rate of AdamW [default: 0.0002]
    #[arg(long, value_name = "RATE", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    /// Decoupled weight decay, on matrices only [default: 0.0]
    #[arg(long, value_name = "RATE", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_decay: Option<f64>,
    /// AdamW's decay of the first moment [default: 0.9]
    #[arg(long, value_name = "SHARE", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    beta1: Option<f64>,
    /// AdamW's decay of the second moment [default: 0.999]
    #[arg(long, value_name = "SHARE", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    beta2: Option<f64>,
    /// AdamW's term against division by zero [default: 1e-8]
    #[arg(long, value_name = "NUMBER", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    epsilon: Option<f64>,
    /// Longer gradients are scaled down to this norm; 0 turns clipping off [default: 1.0]
    #[arg(long, value_name = "NORM", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_gradient_norm: Option<f64>,
    /// How the learning rate falls after its warm-up [default: linear]
    #[arg(long, value_parser = PossibleValuesParser::new(["linear", "cosine"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    /// Share of the steps over which the learning rate rises from zero [default: 0.03]
    #[arg(long, value_name = "SHARE", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup_ratio: Option<f64>,
    /// Passes over the dataset [default: 3]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<u32>,
    /// Optimizer steps at most [default: as many as the epochs take]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_steps: Option<u64>,
    /// Rows per optimizer step [default: 16]
    #[arg(long, value_name = "ROWS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<u32>,
    /// Rows computed at once, which bounds the memory [default: 4, or the batch size if that is less]
    #[arg(long, value_name = "ROWS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    micro_batch_size: Option<u32>,
    /// Longest row in tokens [default: the model's context]
    #[arg(long, value_name = "TOKENS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_length: Option<u32>,
    /// What happens to longer rows; nothing is ever cut [default: error]
    #[arg(long, value_parser = PossibleValuesParser::new(["error", "drop"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    overlong: Option<String>,
    /// Probability with which activations are zeroed in training [default: 0.0]
    #[arg(long, value_name = "SHARE", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    dropout: Option<f64>,
    /// The type of matrix products [default: f32]
    #[arg(long, value_parser = PossibleValuesParser::new(["f32", "bf16"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<String>,
    /// Fixes the order of the rows, the initial adapters and dropout [default: 42]
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// Seconds between checkpoints [default: 60]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint_seconds: Option<u64>,
    /// Steps between checkpoints, in addition [default: by time only]
    #[arg(long, value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint_steps: Option<u64>,
    /// Checkpoints kept; older ones are deleted [default: 2]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_checkpoints: Option<u32>,
    /// Threads to compute with; part of a job's identity [default: LLMOPT_THREADS, or all cores]
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<u32>,
    /// Tokens generated at most for each held-out row, to count exact matches; 0 measures the loss
    /// only [default: 0]
    #[arg(long, value_name = "TOKENS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation_max_new_tokens: Option<u32>,
    /// A file with the chat template's Jinja source [default: the base model's own]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    chat_template: Option<PathBuf>,
}

/// The shape of the adapters.
#[derive(Args, Debug, Default, Serialize)]
struct LoraFlags {
    /// Rank of the adapters, 1 to 256 [default: 16]
    #[arg(long = "lora-rank", value_name = "RANK")]
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u32>,
    /// The adapters' update is scaled by alpha / rank [default: 32.0]
    #[arg(long = "lora-alpha", value_name = "ALPHA", value_parser = finite)]
    #[serde(skip_serializing_if = "Option::is_none")]
    alpha: Option<f64>,
    /// Probability with which an input of an adapter is zeroed in training [default: 0.0]
    #[arg(long = "lora-dropout", value_name = "SHARE", value_parser = finite)]
    #[serde(rename = "dropout", skip_serializing_if = "Option::is_none")]
    lora_dropout: Option<f64>,
    /// Layers to adapt, as PEFT spells them [default: c_attn,c_proj,c_fc]
    #[arg(
        long = "lora-target-modules",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    target_modules: Option<Vec<String>>,
}

impl ConfigFlags {
    /// Returns whether no flag was given.
    pub(crate) fn is_empty(&self) -> Result<bool, Failure> {
        let nothing_else = self.config.is_none() && self.chat_template.is_none();
        let flags = self.as_keys()?;
        Ok(nothing_else
            && flags
                .values()
                .all(|value| value.as_object().is_some_and(Map::is_empty)))
    }

    /// Resolves the configuration: defaults, then the keys of `--config`, then flags.
    pub(crate) fn resolve(&self, threads: u32) -> Result<TrainingConfig, Failure> {
        let defaults = to_object(&TrainingConfig {
            threads,
            ..TrainingConfig::default()
        })?;
        let mut keys = match &self.config {
            Some(path) => read_keys(path, &defaults)?,
            None => Map::new(),
        };
        merge(&mut keys, self.as_keys()?);
        let mut config: TrainingConfig = {
            let mut all = defaults;
            merge(&mut all, keys.clone());
            from_object(all).map_err(|error| Failure::input(error.to_string()))?
        };
        if let Some(path) = &self.chat_template {
            config.chat_template = Some(read(path)?);
        }
        if !keys.contains_key("micro_batch_size") {
            config.micro_batch_size = config.micro_batch_size.min(config.batch_size);
        }
        self.refuse_unread(&config)?;
        Ok(config)
    }

    fn as_keys(&self) -> Result<Map<String, Value>, Failure> {
        to_object(self)
    }

    /// A flag that nothing reads would be silently ignored.
    fn refuse_unread(&self, config: &TrainingConfig) -> Result<(), Failure> {
        let given = to_object(&self.lora)?;
        match given.keys().next() {
            Some(key) if config.method == Method::Full => Err(Failure::input(format!(
                "`--lora-{}` has no effect where every weight is trained: expected it with `--method lora`",
                key.replace('_', "-")
            ))
            .next("leave it out, or use `--method lora`")),
            _ => Ok(()),
        }
    }
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err("expected a number".to_owned()),
    }
}

fn to_object(value: &impl Serialize) -> Result<Map<String, Value>, Failure> {
    let json = serde_json::to_value(value).and_then(serde_json::from_value);
    json.map_err(|error| Failure::failed(format!("failed to render the configuration: {error}")))
}

fn from_object(object: Map<String, Value>) -> serde_json::Result<TrainingConfig> {
    serde_json::from_value(Value::Object(object))
}

#[cfg(test)]
mod tests;
