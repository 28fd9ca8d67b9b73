use std::path::Path;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use crate::{ArtifactError, ModelFolder, files};

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";

impl ModelFolder {
    /// Writes `config.json` and `generation_config.json` of a model derived from this one into
    /// `folder`: every key as it is here, but for the weights' type and the token that ends an answer.
    ///
    /// # Errors
    /// [`ArtifactError::Json`] if this model's `generation_config.json` is damaged, and
    /// [`ArtifactError::Io`].
    pub fn write_derived_config(
        &self,
        folder: &Path,
        weights: Dtype,
        eos_token_id: u32,
    ) -> Result<(), ArtifactError> {
        let mut config = self.config_json().clone();
        // Older versions of transformers know only `torch_dtype`, newer ones prefer `dtype`.
        for key in ["dtype", "torch_dtype"] {
            config.insert(key.to_owned(), json!(dtype_name(weights)));
        }
        config.insert("architectures".to_owned(), json!(["GPT2LMHeadModel"]));
        config.insert("eos_token_id".to_owned(), json!(eos_token_id));
        let path = self.path().join(GENERATION_CONFIG);
        let mut generation: Map<String, Value> = if path.is_file() {
            files::read_json(&path)?
        } else {
            generation_config(None)
        };
        generation.insert("eos_token_id".to_owned(), json!(eos_token_id));
        files::write_json(folder, GENERATION_CONFIG, &generation)?;
        files::write_json(folder, CONFIG, &config)
    }
}

/// Returns `generation_config.json` of a model whose texts begin and end with one token.
pub(crate) fn generation_config(eos_token_id: Option<u32>) -> Map<String, Value> {
    let mut config = Map::new();
    if let Some(id) = eos_token_id {
        config.insert("bos_token_id".to_owned(), json!(id));
        config.insert("eos_token_id".to_owned(), json!(id));
    }
    config
}

/// Returns PyTorch's name of the type.
fn dtype_name(dtype: Dtype) -> String {
    match dtype {
        Dtype::F32 => "float32".to_owned(),
        Dtype::F16 => "float16".to_owned(),
        Dtype::BF16 => "bfloat16".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gpt2Config, testing};

    #[test]
    fn a_derived_configuration_keeps_what_it_does_not_change() {
        let base = testing::model(str::to_owned);
        let mut json = testing::config().to_json();
        json.insert("task_specific_params".to_owned(), json!({"kept": true}));
        std::fs::write(base.path().join(CONFIG), Value::Object(json).to_string()).unwrap();
        std::fs::write(base.path().join(GENERATION_CONFIG), r#"{"top_k": 7}"#).unwrap();
        let derived = tempfile::tempdir().unwrap();
        let model = ModelFolder::open(base.path()).unwrap();
        model
            .write_derived_config(derived.path(), Dtype::BF16, 12)
            .unwrap();
        let config: Value = files::read_json(&derived.path().join(CONFIG)).unwrap();
        assert_eq!(config["task_specific_params"]["kept"], true);
        assert_eq!(config["dtype"], "bfloat16");
        assert_eq!(config["torch_dtype"], "bfloat16");
        let generation: Value = files::read_json(&derived.path().join(GENERATION_CONFIG)).unwrap();
        assert_eq!(generation, json!({"top_k": 7, "eos_token_id": 12}));
        let read = Gpt2Config::read(derived.path()).unwrap();
        assert_eq!(read.eos_token_id, Some(12));
        assert_eq!(read.n_embd, model.config().n_embd);
    }
}
