use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{ArtifactError, files};

/// The shape of a GPT-2 model, from `config.json`.
///
/// Keys that are absent have the values that `transformers` gives them. What would change the
/// computation and is not supported is refused: another architecture or activation, and the flags
/// of unusual attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpt2Config {
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Longest sequence in tokens.
    pub n_positions: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Number of blocks.
    pub n_layer: usize,
    /// Attention heads in each block.
    pub n_head: usize,
    /// Width of the feed-forward layer; absent means four times `n_embd`.
    pub n_inner: Option<usize>,
    /// The term that keeps layer normalisation from dividing by zero.
    pub layer_norm_epsilon: f64,
    /// The activation's name: always one of the two that mean GELU's tanh approximation.
    pub activation_function: String,
    /// Whether the output projection is the token embedding; if not, it is `lm_head.weight`.
    pub tie_word_embeddings: bool,
    /// The token that ends a text; the first if there are several.
    pub eos_token_id: Option<u32>,
}

/// `config.json` as it lies on disk.
#[derive(Deserialize)]
#[serde(default)]
struct RawConfig {
    model_type: Option<String>,
    vocab_size: usize,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: Option<usize>,
    layer_norm_epsilon: f64,
    activation_function: String,
    tie_word_embeddings: bool,
    scale_attn_weights: bool,
    scale_attn_by_inverse_layer_idx: bool,
    reorder_and_upcast_attn: bool,
    add_cross_attention: bool,
    eos_token_id: Option<TokenIds>,
}

impl Default for RawConfig {
    /// The defaults of `GPT2Config` in transformers.
    fn default() -> Self {
        Self {
            model_type: None,
            vocab_size: 50_257,
            n_positions: 1_024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            layer_norm_epsilon: 1e-5,
            activation_function: "gelu_new".to_owned(),
            tie_word_embeddings: true,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            reorder_and_upcast_attn: false,
            add_cross_attention: false,
            eos_token_id: None,
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum TokenIds {
    One(u32),
    Several(Vec<u32>),
}

impl Gpt2Config {
    /// Reads `config.json` in `folder`.
    ///
    /// # Errors
    /// [`ArtifactError::MissingFile`], [`ArtifactError::Json`], or [`ArtifactError::Unsupported`].
    pub fn read(folder: &Path) -> Result<Self, ArtifactError> {
        let path = folder.join("config.json");
        if !path.is_file() {
            return Err(ArtifactError::MissingFile {
                folder: folder.to_owned(),
                file: "config.json".to_owned(),
                fix: "a model folder is what `save_pretrained` writes or the Hub holds",
            });
        }
        Self::from_json(&path, files::read_json(&path)?)
    }

    /// Reads the configuration from the JSON of `config.json`; `path` is named in errors.
    ///
    /// # Errors
    /// [`ArtifactError::Json`] or [`ArtifactError::Unsupported`].
    pub fn from_json(path: &Path, json: Map<String, Value>) -> Result<Self, ArtifactError> {
        let model_type = json.get("model_type").and_then(Value::as_str);
        if model_type != Some("gpt2") {
            let found = model_type.unwrap_or("absent");
            return Err(unsupported(path, "model_type", "`gpt2`", found));
        }
        let raw: RawConfig =
            serde_json::from_value(Value::Object(json)).map_err(|source| ArtifactError::Json {
                path: path.to_owned(),
                source,
            })?;
        raw.check(path)?;
        Ok(raw.into())
    }

    /// Renders the configuration as `config.json` of a `GPT2LMHeadModel` in 32-bit floats.
    pub fn to_json(&self) -> Map<String, Value> {
        let value = json!({
            "activation_function": self.activation_function,
            "architectures": ["GPT2LMHeadModel"],
            "attn_pdrop": 0.0,
            "bos_token_id": self.eos_token_id,
            "dtype": "float32",
            "embd_pdrop": 0.0,
            "eos_token_id": self.eos_token_id,
            "initializer_range": 0.02,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "model_type": "gpt2",
            "n_embd": self.n_embd,
            "n_head": self.n_head,
            "n_inner": self.n_inner,
            "n_layer": self.n_layer,
            "n_positions": self.n_positions,
            "resid_pdrop": 0.0,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": "float32",
            "vocab_size": self.vocab_size,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Returns the width of the feed-forward layer.
    pub fn inner(&self) -> usize {
        self.n_inner.unwrap_or(4 * self.n_embd)
    }

    /// Returns the width of one attention head.
    pub fn head_width(&self) -> usize {
        self.n_embd / self.n_head
    }

    /// Returns every tensor's name and shape in the order of the computation.
    ///
    /// Names are those of transformers without the prefix `transformer.`; `lm_head.weight` comes last
    /// where it is not tied. Matrices are `[in, out]`, as `Conv1D` keeps them; embeddings and
    /// `lm_head.weight` are `[vocabulary or positions, n_embd]`.
    pub fn tensor_shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (width, inner) = (self.n_embd, self.inner());
        let mut shapes = vec![
            ("wte.weight".to_owned(), vec![self.vocab_size, width]),
            ("wpe.weight".to_owned(), vec![self.n_positions, width]),
        ];
        for layer in 0..self.n_layer {
            let block = [
                ("ln_1.weight", vec![width]),
                ("ln_1.bias", vec![width]),
                ("attn.c_attn.weight", vec![width, 3 * width]),
                ("attn.c_attn.bias", vec![3 * width]),
                ("attn.c_proj.weight", vec![width, width]),
                ("attn.c_proj.bias", vec![width]),
                ("ln_2.weight", vec![width]),
                ("ln_2.bias", vec![width]),
                ("mlp.c_fc.weight", vec![width, inner]),
                ("mlp.c_fc.bias", vec![inner]),
                ("mlp.c_proj.weight", vec![inner, width]),
                ("mlp.c_proj.bias", vec![width]),
            ];
            shapes.extend(block.map(|(name, shape)| (format!("h.{layer}.{name}"), shape)));
        }
        shapes.push(("ln_f.weight".to_owned(), vec![width]));
        shapes.push(("ln_f.bias".to_owned(), vec![width]));
        if !self.tie_word_embeddings {
            shapes.push(("lm_head.weight".to_owned(), vec![self.vocab_size, width]));
        }
        shapes
    }
}

impl RawConfig {
    fn check(&self, path: &Path) -> Result<(), ArtifactError> {
        if !["gelu_new", "gelu_pytorch_tanh"].contains(&self.activation_function.as_str()) {
            let expected = "`gelu_new` or `gelu_pytorch_tanh`";
            return Err(unsupported(
                path,
                "activation_function",
                expected,
                &self.activation_function,
            ));
        }
        let flags = [
            ("scale_attn_weights", self.scale_attn_weights, true),
            (
                "scale_attn_by_inverse_layer_idx",
                self.scale_attn_by_inverse_layer_idx,
                false,
            ),
            (
                "reorder_and_upcast_attn",
                self.reorder_and_upcast_attn,
                false,
            ),
            ("add_cross_attention", self.add_cross_attention, false),
        ];
        for (field, found, expected) in flags {
            if found != expected {
                return Err(unsupported(
                    path,
                    field,
                    &format!("`{expected}`"),
                    &found.to_string(),
                ));
            }
        }
        self.check_sizes(path)
    }

    fn check_sizes(&self, path: &Path) -> Result<(), ArtifactError> {
        // Far above any GPT-2, and small enough that no product of two of them overflows.
        let sizes = [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("n_positions", self.n_positions, 1 << 24),
            ("n_embd", self.n_embd, 1 << 20),
            ("n_layer", self.n_layer, 1 << 12),
            ("n_head", self.n_head, 1 << 12),
            ("n_inner", self.n_inner.unwrap_or(1), 1 << 24),
        ];
        for (field, found, most) in sizes {
            if !(1..=most).contains(&found) {
                return Err(unsupported(
                    path,
                    field,
                    &format!("1 to {most}"),
                    &found.to_string(),
                ));
            }
        }
        if !self.n_embd.is_multiple_of(self.n_head) {
            let expected = format!("a multiple of `n_head`, which is {}", self.n_head);
            return Err(unsupported(
                path,
                "n_embd",
                &expected,
                &self.n_embd.to_string(),
            ));
        }
        Ok(())
    }
}

impl From<RawConfig> for Gpt2Config {
    fn from(raw: RawConfig) -> Self {
        Self {
            vocab_size: raw.vocab_size,
            n_positions: raw.n_positions,
            n_embd: raw.n_embd,
            n_layer: raw.n_layer,
            n_head: raw.n_head,
            n_inner: raw.n_inner,
            layer_norm_epsilon: raw.layer_norm_epsilon,
            activation_function: raw.activation_function,
            tie_word_embeddings: raw.tie_word_embeddings,
            eos_token_id: match raw.eos_token_id {
                Some(TokenIds::One(id)) => Some(id),
                Some(TokenIds::Several(ids)) => ids.first().copied(),
                None => None,
            },
        }
    }
}

fn unsupported(path: &Path, field: &str, expected: &str, found: &str) -> ArtifactError {
    ArtifactError::Unsupported {
        path: path.to_owned(),
        field: field.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: Value) -> Result<Gpt2Config, ArtifactError> {
        Gpt2Config::from_json(Path::new("config.json"), json.as_object().unwrap().clone())
    }

    #[test]
    fn the_hubs_gpt2_configuration_is_read() {
        let config = parse(json!({
            "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
            "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256,
            "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2",
            "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
            "resid_pdrop": 0.1, "summary_activation": null, "summary_use_proj": true,
            "task_specific_params": {"text-generation": {"do_sample": true}}, "vocab_size": 50257
        }))
        .unwrap();
        assert_eq!(
            (config.n_layer, config.inner(), config.head_width()),
            (12, 3072, 64)
        );
        assert_eq!(config.eos_token_id, Some(50_256));
        assert!(config.tie_word_embeddings);
        let parameters: usize = config
            .tensor_shapes()
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        assert_eq!(parameters, 124_439_808);
    }

    #[test]
    fn what_is_rendered_is_read_back() {
        let config = parse(json!({
            "model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1, "n_positions": 16,
            "vocab_size": 40, "n_inner": 20, "tie_word_embeddings": false, "eos_token_id": [39, 1]
        }))
        .unwrap();
        assert_eq!(config.eos_token_id, Some(39));
        assert_eq!(config.tensor_shapes().last().unwrap().0, "lm_head.weight");
        assert_eq!(parse(Value::Object(config.to_json())).unwrap(), config);
    }

    #[test]
    fn what_would_compute_something_else_is_refused_by_its_key() {
        for (key, value) in [
            ("model_type", json!("llama")),
            ("activation_function", json!("relu")),
            ("scale_attn_weights", json!(false)),
            ("scale_attn_by_inverse_layer_idx", json!(true)),
            ("reorder_and_upcast_attn", json!(true)),
            ("add_cross_attention", json!(true)),
            ("n_head", json!(0)),
            ("n_embd", json!(767)),
            ("vocab_size", json!(u64::MAX)),
        ] {
            let mut json = json!({"model_type": "gpt2"});
            json[key] = value;
            let error = parse(json).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}` is `")), "{error}");
            assert!(error.contains("expected"), "{error}");
        }
    }
}
