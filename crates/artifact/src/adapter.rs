use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use safetensors::Dtype;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{ArtifactError, TensorFile, TensorView, files};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const PREFIX: &str = "base_model.model.transformer.";

/// Which of the two factors of a low-rank update `B A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoraFactor {
    /// The factor that is applied first: `[rank, in]`.
    A,
    /// The factor that is applied second: `[out, rank]`.
    B,
}

impl LoraFactor {
    fn suffix(self) -> &'static str {
        match self {
            Self::A => ".lora_A.weight",
            Self::B => ".lora_B.weight",
        }
    }
}

/// Returns PEFT's name for a factor of the layer `module`, such as `h.0.attn.c_attn`.
pub fn adapter_tensor_name(module: &str, factor: LoraFactor) -> String {
    format!("{PREFIX}{module}{}", factor.suffix())
}

/// PEFT's `adapter_config.json`, with the keys that every version of PEFT knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Always `LORA`.
    pub peft_type: String,
    /// Always `CAUSAL_LM` where we write it.
    #[serde(default)]
    pub task_type: Option<String>,
    /// The base model, as the user named it.
    #[serde(default)]
    pub base_model_name_or_path: Option<String>,
    /// The base model's revision.
    #[serde(default)]
    pub revision: Option<String>,
    /// True for an adapter that is loaded to generate with.
    #[serde(default)]
    pub inference_mode: bool,
    /// Rank of the update.
    #[serde(default = "default_rank")]
    pub r: u32,
    /// The update is scaled by `lora_alpha / r`.
    #[serde(default = "default_alpha", serialize_with = "whole_if_whole")]
    pub lora_alpha: f64,
    /// Probability with which an input of an adapter was zeroed in training.
    #[serde(default)]
    pub lora_dropout: f64,
    /// Names of the adapted layers, sorted: the whole path or its end. Where the file has a pattern in
    /// their place, [`AdapterConfig::read`] leaves this empty and [`AdapterFolder::open`] fills in the
    /// paths that the tensors are for.
    #[serde(deserialize_with = "names_or_pattern")]
    pub target_modules: Vec<String>,
    /// Always `none`.
    #[serde(default = "default_bias")]
    pub bias: String,
    /// Whether the adapted weights are `[in, out]`: true for GPT-2's `Conv1D`.
    #[serde(default)]
    pub fan_in_fan_out: bool,
    /// Whether the scale is `lora_alpha / sqrt(r)` instead.
    #[serde(default)]
    pub use_rslora: bool,
    /// Always false.
    #[serde(default)]
    pub use_dora: bool,
    /// Always absent: no layer is trained in full beside the adapters.
    #[serde(default)]
    pub modules_to_save: Option<Vec<String>>,
}

impl AdapterConfig {
    /// Makes the configuration of an adapter for a GPT-2 model.
    pub fn for_gpt2(base_model: &str, lora: &llmopt_domain::LoraConfig) -> Self {
        let mut target_modules = lora.target_modules.clone();
        target_modules.sort();
        target_modules.dedup();
        Self {
            peft_type: "LORA".to_owned(),
            task_type: Some("CAUSAL_LM".to_owned()),
            base_model_name_or_path: Some(base_model.to_owned()),
            revision: None,
            inference_mode: true,
            r: lora.rank,
            lora_alpha: lora.alpha,
            lora_dropout: lora.dropout,
            target_modules,
            bias: default_bias(),
            fan_in_fan_out: true,
            use_rslora: false,
            use_dora: false,
            modules_to_save: None,
        }
    }

    /// Returns what the update `B A` is multiplied by.
    pub fn scale(&self) -> f64 {
        let rank = f64::from(self.r);
        self.lora_alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// Writes `adapter_config.json` into `folder` and waits until it is on disk.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), ArtifactError> {
        files::write_json(folder, CONFIG, self)
    }

    /// Reads `adapter_config.json` in `folder`. Keys that PEFT added later are ignored unless they
    /// change the computation.
    ///
    /// # Errors
    /// [`ArtifactError::MissingFile`], [`ArtifactError::Json`], or [`ArtifactError::Unsupported`] for
    /// what is not plain LoRA, by key.
    pub fn read(folder: &Path) -> Result<Self, ArtifactError> {
        require_file(folder, CONFIG)?;
        let path = folder.join(CONFIG);
        let json: Map<String, Value> = files::read_json(&path)?;
        check_plain_lora(&path, &json)?;
        serde_json::from_value(Value::Object(json))
            .map_err(|source| ArtifactError::Json { path, source })
    }
}

/// A folder with a PEFT adapter for GPT-2, opened and checked.
#[derive(Debug)]
pub struct AdapterFolder {
    path: PathBuf,
    config: AdapterConfig,
    weights: TensorFile,
    modules: Vec<String>,
}

impl AdapterFolder {
    /// Opens `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// # Errors
    /// If a file is missing or damaged, the adapter is not plain LoRA, a tensor's name is not PEFT's
    /// for GPT-2 or not for a layer in `target_modules`, a factor lacks its other half, or a shape
    /// does not have the rank.
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let mut config = AdapterConfig::read(path)?;
        require_file(path, WEIGHTS)?;
        let weights = TensorFile::open(&path.join(WEIGHTS))?;
        let modules = modules(&weights)?;
        if config.target_modules.is_empty() {
            config.target_modules.clone_from(&modules);
        }
        let folder = Self {
            path: path.to_owned(),
            config,
            weights,
            modules,
        };
        for module in &folder.modules {
            folder.check_target(module)?;
            folder.check_factor(module, LoraFactor::A)?;
            folder.check_factor(module, LoraFactor::B)?;
        }
        Ok(folder)
    }

    /// Returns the adapter's configuration.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the adapted layers, such as `h.0.attn.c_attn`, sorted by name.
    pub fn modules(&self) -> &[String] {
        &self.modules
    }

    /// Returns a factor of an adapted layer: `[r, in]` for `A`, `[out, r]` for `B`.
    ///
    /// # Errors
    /// [`ArtifactError::MissingTensor`] if the layer is not adapted.
    pub fn factor(
        &self,
        module: &str,
        factor: LoraFactor,
    ) -> Result<TensorView<'_>, ArtifactError> {
        self.weights.tensor(&adapter_tensor_name(module, factor))
    }

    /// Returns the tensor called exactly `name`; see [`adapter_tensor_name`].
    ///
    /// # Errors
    /// [`ArtifactError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>, ArtifactError> {
        self.weights.tensor(name)
    }

    /// A tensor for a layer that is no target would be left out without a word.
    fn check_target(&self, module: &str) -> Result<(), ArtifactError> {
        let matches = |target: &String| {
            module
                .strip_suffix(target.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        if self.config.target_modules.iter().any(matches) {
            return Ok(());
        }
        Err(ArtifactError::UnexpectedTensor {
            path: self.path.join(WEIGHTS),
            tensor: adapter_tensor_name(module, LoraFactor::A),
        })
    }

    fn check_factor(&self, module: &str, factor: LoraFactor) -> Result<(), ArtifactError> {
        let view = self.factor(module, factor)?;
        let (path, tensor) = (self.path.join(WEIGHTS), adapter_tensor_name(module, factor));
        if !matches!(view.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Err(ArtifactError::UnsupportedDtype {
                path,
                tensor,
                found: view.dtype,
            });
        }
        let rank = self.config.r as usize;
        let expected = match (factor, view.shape) {
            (LoraFactor::A, &[found, _]) | (LoraFactor::B, &[_, found]) if found == rank => {
                return Ok(());
            }
            (LoraFactor::A, shape) => vec![rank, shape.last().copied().unwrap_or(0)],
            (LoraFactor::B, shape) => vec![shape.first().copied().unwrap_or(0), rank],
        };
        Err(ArtifactError::Shape {
            path,
            tensor,
            expected,
            found: view.shape.to_vec(),
        })
    }
}

/// Returns the layers that the file's tensors belong to.
fn modules(weights: &TensorFile) -> Result<Vec<String>, ArtifactError> {
    let mut modules = BTreeSet::new();
    for name in weights.names() {
        let module = name.strip_prefix(PREFIX).and_then(|rest| {
            rest.strip_suffix(LoraFactor::A.suffix())
                .or_else(|| rest.strip_suffix(LoraFactor::B.suffix()))
        });
        match module {
            Some(module) => modules.insert(module.to_owned()),
            None => {
                return Err(ArtifactError::UnexpectedTensor {
                    path: weights.path().to_owned(),
                    tensor: name,
                });
            }
        };
    }
    if modules.is_empty() {
        return Err(ArtifactError::MissingTensor {
            path: weights.path().to_owned(),
            tensor: format!("{PREFIX}*{}", LoraFactor::A.suffix()),
        });
    }
    Ok(modules.into_iter().collect())
}

/// Refuses what would compute something else than `W + scale B A`.
fn check_plain_lora(path: &Path, json: &Map<String, Value>) -> Result<(), ArtifactError> {
    let refuse = |field: &str, expected: &str, found: &Value| {
        Err(ArtifactError::Unsupported {
            path: path.to_owned(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found: found.to_string(),
        })
    };
    let get = |field| json.get(field).unwrap_or(&Value::Null);
    if get("peft_type") != "LORA" {
        return refuse("peft_type", "`LORA`", get("peft_type"));
    }
    if !get("bias").is_null() && get("bias") != "none" {
        return refuse("bias", "`none`", get("bias"));
    }
    if get("r").as_u64() == Some(0) {
        return refuse("r", "1 or more", get("r"));
    }
    for field in [
        "use_dora",
        "lora_bias",
        "modules_to_save",
        "rank_pattern",
        "alpha_pattern",
    ] {
        if !is_unset(get(field)) {
            return refuse(
                field,
                "it to be unset: only plain LoRA is supported",
                get(field),
            );
        }
    }
    Ok(())
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        _ => false,
    }
}

fn require_file(folder: &Path, file: &str) -> Result<(), ArtifactError> {
    if folder.join(file).is_file() {
        return Ok(());
    }
    Err(ArtifactError::MissingFile {
        folder: folder.to_owned(),
        file: file.to_owned(),
        fix: "a PEFT adapter is `adapter_config.json` and `adapter_model.safetensors`",
    })
}

/// Writes 32 rather than 32.0: some readers take only whole numbers.
fn whole_if_whole<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}

fn names_or_pattern<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Targets {
        Names(Vec<String>),
        Pattern(#[expect(dead_code, reason = "the tensors say which layers are adapted")] String),
    }
    Ok(match Option::<Targets>::deserialize(deserializer)? {
        Some(Targets::Names(names)) => names,
        Some(Targets::Pattern(_)) | None => Vec::new(),
    })
}

fn default_rank() -> u32 {
    8
}

fn default_alpha() -> f64 {
    8.0
}

fn default_bias() -> String {
    "none".to_owned()
}

#[cfg(test)]
mod tests;
