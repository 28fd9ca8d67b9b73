use std::{fs, path::Path};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use safetensors::Dtype;
use serde_json::Value;

use crate::{
    ArtifactError, Gpt2Config, SafetensorsWriter, TensorSpec,
    derive::{CONFIG, GENERATION_CONFIG, generation_config},
    files, saved_tensor_name,
};

const WEIGHTS: &str = "model.safetensors";
/// The standard deviation that `initializer_range` defaults to in transformers.
const DEVIATION: f32 = 0.02;

/// Writes a GPT-2 model with fresh weights into `folder`, which is created where it is missing:
/// `config.json`, `generation_config.json` and `model.safetensors` in 32-bit floats.
///
/// Matrices and embeddings are normal with deviation 0.02, the projections back into the residual
/// stream with `0.02 / sqrt(2 n_layer)`; norms scale by one; biases are zero (Radford et al. 2019,
/// section 2.3, as in transformers). The same seed gives the same bytes. No more than one tensor is in
/// memory.
///
/// # Errors
/// [`ArtifactError::AlreadyExists`] if one of the files is there, [`ArtifactError::Unsupported`] if the
/// configuration is out of range, and [`ArtifactError::Io`].
pub fn init_gpt2(folder: &Path, config: &Gpt2Config, seed: u64) -> Result<(), ArtifactError> {
    check(&folder.join(CONFIG), config)?;
    fs::create_dir_all(folder).map_err(ArtifactError::io("create", folder))?;
    for file in [CONFIG, GENERATION_CONFIG, WEIGHTS] {
        let path = folder.join(file);
        if path.exists() {
            return Err(ArtifactError::AlreadyExists { path });
        }
    }
    write_weights(&folder.join(WEIGHTS), config, seed)?;
    let generation = generation_config(config.eos_token_id);
    files::write_json(folder, GENERATION_CONFIG, &generation)?;
    // The configuration comes last: a folder without it is not taken for a model.
    files::write_json(folder, CONFIG, &config.to_json())
}

fn check(path: &Path, config: &Gpt2Config) -> Result<(), ArtifactError> {
    Gpt2Config::from_json(path, config.to_json())?;
    match config.eos_token_id {
        Some(id) if id as usize >= config.vocab_size => Err(ArtifactError::Unsupported {
            path: path.to_owned(),
            field: "eos_token_id".to_owned(),
            expected: format!("less than `vocab_size`, which is {}", config.vocab_size),
            found: Value::from(id).to_string(),
        }),
        _ => Ok(()),
    }
}

fn write_weights(path: &Path, config: &Gpt2Config, seed: u64) -> Result<(), ArtifactError> {
    let specs: Vec<TensorSpec> = config
        .tensor_shapes()
        .into_iter()
        .map(|(name, shape)| TensorSpec {
            name: saved_tensor_name(&name),
            dtype: Dtype::F32,
            shape,
        })
        .collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut writer = SafetensorsWriter::create(path, specs.clone())?;
    for TensorSpec { name, shape, .. } in specs {
        let values = shape.iter().product();
        let bytes = match initial(&name, config.n_layer) {
            Initial::Constant(value) => value.to_le_bytes().repeat(values),
            Initial::Normal(deviation) => normal(&mut random, values, deviation),
        };
        writer.write(&name, &bytes)?;
    }
    writer.finish()
}

enum Initial {
    Constant(f32),
    /// With mean zero and this standard deviation.
    Normal(f32),
}

fn initial(name: &str, layers: usize) -> Initial {
    if name.ends_with(".bias") {
        Initial::Constant(0.0)
    } else if name.contains("ln_") {
        Initial::Constant(1.0)
    } else if name.ends_with(".c_proj.weight") {
        Initial::Normal(DEVIATION / (2.0 * layers as f32).sqrt())
    } else {
        Initial::Normal(DEVIATION)
    }
}

fn normal(random: &mut ChaCha8Rng, values: usize, deviation: f32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values * size_of::<f32>());
    for _ in 0..values {
        let value: f32 = StandardNormal.sample(random);
        bytes.extend_from_slice(&(value * deviation).to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelFolder, testing};

    fn values(model: &ModelFolder, name: &str) -> Vec<f64> {
        let bytes = model.tensor(name).unwrap().bytes;
        let (values, _) = bytes.as_chunks::<4>();
        values
            .iter()
            .map(|&value| f64::from(f32::from_le_bytes(value)))
            .collect()
    }

    fn deviation(values: &[f64]) -> f64 {
        let squares: f64 = values.iter().map(|value| value * value).sum();
        (squares / values.len() as f64).sqrt()
    }

    fn larger() -> Gpt2Config {
        Gpt2Config {
            vocab_size: 500,
            n_embd: 64,
            n_layer: 2,
            ..testing::config()
        }
    }

    #[test]
    fn a_fresh_model_opens_and_has_gpt2s_initialisation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        init_gpt2(&path, &larger(), 1).unwrap();
        let model = ModelFolder::open(&path).unwrap();
        assert_eq!(model.config(), &larger());
        let generation: Value = files::read_json(&path.join(GENERATION_CONFIG)).unwrap();
        assert_eq!(generation["eos_token_id"], 39);
        // With 12,288 or more values, four standard errors of a deviation are below 3 per cent.
        for (name, expected) in [
            ("wte.weight", 0.02),
            ("h.1.attn.c_attn.weight", 0.02),
            ("h.1.mlp.c_fc.weight", 0.02),
            ("h.0.mlp.c_proj.weight", 0.01),
        ] {
            let found = deviation(&values(&model, name));
            assert!((found / expected - 1.0).abs() < 0.03, "{name}: {found}");
        }
        let zeros = values(&model, "h.0.mlp.c_fc.bias");
        assert!(zeros.iter().all(|&value| value == 0.0));
        let ones = values(&model, "h.1.ln_2.weight");
        assert!(ones.iter().all(|&value| value == 1.0));
    }

    #[test]
    fn a_tied_model_has_no_output_projection_and_an_untied_one_has() {
        for tied in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let config = Gpt2Config {
                tie_word_embeddings: tied,
                ..testing::config()
            };
            init_gpt2(folder.path(), &config, 1).unwrap();
            let model = ModelFolder::open(folder.path()).unwrap();
            assert_eq!(model.tensor("lm_head.weight").is_err(), tied);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
        let weights = |seed| {
            let folder = tempfile::tempdir().unwrap();
            init_gpt2(folder.path(), &testing::config(), seed).unwrap();
            fs::read(folder.path().join(WEIGHTS)).unwrap()
        };
        assert_eq!(weights(7), weights(7));
        assert_ne!(weights(7), weights(8));
    }

    #[test]
    fn a_model_that_is_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CONFIG), "{}").unwrap();
        let error = init_gpt2(folder.path(), &testing::config(), 1).unwrap_err();
        assert!(
            matches!(error, ArtifactError::AlreadyExists { .. }),
            "{error}"
        );
        assert!(!folder.path().join(WEIGHTS).exists());
    }

    #[test]
    fn a_configuration_out_of_range_writes_nothing() {
        let base = testing::config();
        for config in [
            Gpt2Config {
                n_embd: 7,
                ..base.clone()
            },
            Gpt2Config {
                vocab_size: 39,
                ..base.clone()
            },
            Gpt2Config { n_layer: 0, ..base },
        ] {
            let folder = tempfile::tempdir().unwrap();
            let error = init_gpt2(folder.path(), &config, 1).unwrap_err();
            assert!(
                matches!(error, ArtifactError::Unsupported { .. }),
                "{error}"
            );
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
