use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File},
    path::{Path, PathBuf},
};

use llmopt_domain::Digest;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ArtifactError, Gpt2Config, TensorFile, TensorView, files};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PREFIX: &str = "transformer.";

/// The files beside the weights that training and generation depend on.
const COMPANIONS: [&str; 9] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// A folder with a model's configuration and weights, opened and checked against each other.
///
/// Weights are mapped, not read: a view of a tensor lives as long as the folder is open.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
    config: Gpt2Config,
    json: Map<String, Value>,
    shards: Vec<TensorFile>,
    /// Each tensor's shard and its name there, by its name without prefix.
    places: HashMap<String, (usize, String)>,
}

impl ModelFolder {
    /// Opens the folder: `config.json`, and `model.safetensors` or the shards that
    /// `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// If a file is missing or damaged, the weights are only there as pickles, or the weights are not
    /// what the configuration calls for; the error names the file and the tensor.
    pub fn open(path: &Path) -> Result<Self, ArtifactError> {
        let config = Gpt2Config::read(path)?;
        let json = files::read_json(&path.join("config.json"))?;
        let shards = weight_files(path)?
            .iter()
            .map(|file| TensorFile::open(&path.join(file)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut places = HashMap::new();
        for (shard, file) in shards.iter().enumerate() {
            for name in file.names() {
                places.insert(plain(&name).to_owned(), (shard, name));
            }
        }
        let folder = Self {
            path: path.to_owned(),
            config,
            json,
            shards,
            places,
        };
        folder.check_tensors()?;
        Ok(folder)
    }

    /// Returns the model's shape.
    pub fn config(&self) -> &Gpt2Config {
        &self.config
    }

    /// Returns all of `config.json`, for writing a model derived from this one.
    pub fn config_json(&self) -> &Map<String, Value> {
        &self.json
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the tensor called `name`, with or without the prefix `transformer.`.
    ///
    /// # Errors
    /// [`ArtifactError::MissingTensor`].
    pub fn tensor(&self, name: &str) -> Result<TensorView<'_>, ArtifactError> {
        let (shard, name) = self.place(name)?;
        shard.tensor(name)
    }

    /// Drops the tensor's resident pages, so that weights that were copied elsewhere do not count
    /// twice. Its views stay valid.
    ///
    /// # Errors
    /// [`ArtifactError::MissingTensor`].
    pub fn discard(&self, name: &str) -> Result<(), ArtifactError> {
        let (shard, name) = self.place(name)?;
        shard.discard(name)
    }

    /// Computes the digest over the names and contents of configuration, tokenizer and weight files.
    ///
    /// # Errors
    /// [`ArtifactError::Io`] if a file cannot be read.
    pub fn digest(&self) -> Result<Digest, ArtifactError> {
        let mut digests = BTreeMap::new();
        for name in self.digested_files()? {
            let path = self.path.join(&name);
            let digest = File::open(&path).and_then(Digest::of_reader);
            digests.insert(name, digest.map_err(ArtifactError::io("read", &path))?);
        }
        render(&digests)
    }

    /// Returns the names of the files that make up the model: configuration, tokenizer and weights.
    ///
    /// # Errors
    /// [`ArtifactError::Json`] if the index of the shards cannot be read.
    pub fn files(&self) -> Result<Vec<String>, ArtifactError> {
        let mut names = self.digested_files()?;
        if names.iter().all(|name| name != SINGLE) {
            names.push(INDEX.to_owned());
        }
        Ok(names)
    }

    /// Computes [`digest`](Self::digest) of a folder of which only these digests of its files are known,
    /// by name; `None` if no file of weights is among them.
    ///
    /// # Errors
    /// [`ArtifactError::Render`].
    pub fn digest_of(files: &BTreeMap<String, Digest>) -> Result<Option<Digest>, ArtifactError> {
        let is_shard = |name: &str| name.ends_with(".safetensors") && !name.contains('/');
        let is_weights =
            |name: &str| name == SINGLE || (!files.contains_key(SINGLE) && is_shard(name));
        let counts = |name: &str| COMPANIONS.contains(&name) || is_weights(name);
        if !files.keys().any(|name| is_weights(name)) {
            return Ok(None);
        }
        let digested: BTreeMap<&String, &Digest> =
            files.iter().filter(|(name, _)| counts(name)).collect();
        render(&digested).map(Some)
    }

    fn digested_files(&self) -> Result<Vec<String>, ArtifactError> {
        let mut names: Vec<String> = COMPANIONS.map(str::to_owned).into();
        names.extend(weight_files(&self.path)?);
        names.retain(|name| self.path.join(name).is_file());
        Ok(names)
    }

    fn place(&self, name: &str) -> Result<(&TensorFile, &str), ArtifactError> {
        match self.places.get(plain(name)) {
            Some((shard, name)) => Ok((&self.shards[*shard], name)),
            None => Err(ArtifactError::MissingTensor {
                path: self.path.clone(),
                tensor: name.to_owned(),
            }),
        }
    }

    fn check_tensors(&self) -> Result<(), ArtifactError> {
        // In the order of the computation: the same damage is always named by the same tensor.
        let shapes = self.config.tensor_shapes();
        for (tensor, expected) in &shapes {
            let (shard, name) = self.place(tensor)?;
            check_tensor(shard.path(), tensor, expected, &shard.tensor(name)?)?;
        }
        let known: HashSet<_> = shapes.iter().map(|(name, _)| name).collect();
        let extra = self.places.keys();
        let extra = extra.filter(|name| !known.contains(name) && !is_buffer(name));
        match extra.min() {
            None => Ok(()),
            Some(name) => Err(ArtifactError::UnexpectedTensor {
                path: self.path.clone(),
                tensor: name.clone(),
            }),
        }
    }
}

/// Returns the name under which transformers saves the tensor that this crate calls `name`.
pub fn saved_tensor_name(name: &str) -> String {
    let name = plain(name);
    if name == "lm_head.weight" {
        name.to_owned()
    } else {
        format!("{PREFIX}{name}")
    }
}

fn plain(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// Whether `name` is a tensor that old exports hold and nothing reads: the causal mask and its fill
/// value, and an output projection that repeats the tied embedding.
fn is_buffer(name: &str) -> bool {
    name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") || name == "lm_head.weight"
}

fn check_tensor(
    path: &Path,
    tensor: &str,
    expected: &[usize],
    found: &TensorView<'_>,
) -> Result<(), ArtifactError> {
    let (path, tensor) = (path.to_owned(), tensor.to_owned());
    if !matches!(found.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
        let found = found.dtype;
        return Err(ArtifactError::UnsupportedDtype {
            path,
            tensor,
            found,
        });
    }
    if found.shape != expected {
        let (expected, found) = (expected.to_vec(), found.shape.to_vec());
        return Err(ArtifactError::Shape {
            path,
            tensor,
            expected,
            found,
        });
    }
    Ok(())
}

fn render(digests: &impl Serialize) -> Result<Digest, ArtifactError> {
    Digest::of_json(digests).map_err(|source| ArtifactError::Render {
        file: "digests of a model folder",
        source,
    })
}

/// Returns the names of the files with weights, the index first where there is one.
fn weight_files(folder: &Path) -> Result<Vec<String>, ArtifactError> {
    if folder.join(SINGLE).is_file() {
        return Ok(vec![SINGLE.to_owned()]);
    }
    let index = folder.join(INDEX);
    if index.is_file() {
        return shard_names(folder, &index);
    }
    Err(no_weights(folder))
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

fn shard_names(folder: &Path, index: &Path) -> Result<Vec<String>, ArtifactError> {
    let ShardIndex { weight_map } = files::read_json(index)?;
    let mut names: Vec<String> = weight_map.into_values().collect();
    names.sort();
    names.dedup();
    for name in &names {
        // A name with a path in it could point at any file of the machine.
        if Path::new(name)
            .file_name()
            .is_none_or(|file| file != name.as_str())
        {
            return Err(ArtifactError::Unsupported {
                path: index.to_owned(),
                field: "weight_map".to_owned(),
                expected: "names of files beside it".to_owned(),
                found: name.clone(),
            });
        }
        if !folder.join(name).is_file() {
            return Err(ArtifactError::MissingFile {
                folder: folder.to_owned(),
                file: name.clone(),
                fix: "`model.safetensors.index.json` names it; copy or download it again",
            });
        }
    }
    Ok(names)
}

fn no_weights(folder: &Path) -> ArtifactError {
    let pickle = fs::read_dir(folder).ok().and_then(|entries| {
        entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| {
                [".bin", ".pt", ".pth", ".ckpt"]
                    .iter()
                    .any(|ending| name.ends_with(ending))
                    && name != "training_args.bin"
            })
            .min()
    });
    match pickle {
        Some(found) => ArtifactError::PicklesOnly {
            folder: folder.to_owned(),
            found,
        },
        None => ArtifactError::MissingFile {
            folder: folder.to_owned(),
            file: SINGLE.to_owned(),
            fix: "a model folder needs it, or `model.safetensors.index.json` with its shards",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OwnedTensor, testing, testing::write_safetensors};

    #[test]
    fn a_folder_opens_whatever_the_prefix_of_its_tensors() {
        for saved in [true, false] {
            let folder = testing::model(|name| {
                if saved {
                    saved_tensor_name(name)
                } else {
                    name.to_owned()
                }
            });
            let model = ModelFolder::open(folder.path()).unwrap();
            let view = model.tensor("h.0.attn.c_attn.weight").unwrap();
            assert_eq!(view.shape, [8, 24]);
            assert_eq!(view.bytes.len(), 8 * 24 * 4);
            let same = model.tensor("transformer.h.0.attn.c_attn.weight").unwrap();
            assert_eq!(same.bytes.as_ptr(), view.bytes.as_ptr());
            let before = view.bytes.to_vec();
            model.discard("h.0.attn.c_attn.weight").unwrap();
            assert_eq!(view.bytes, before);
            assert!(model.tensor("h.7.ln_1.bias").is_err());
        }
    }

    #[test]
    fn masks_and_a_repeated_output_projection_are_tolerated() {
        let folder = testing::model(str::to_owned);
        let mut tensors = testing::tensors(str::to_owned);
        tensors.push(testing::tensor("h.0.attn.bias", Dtype::U8, &[1, 1, 16, 16]));
        tensors.push(testing::tensor("h.0.attn.masked_bias", Dtype::F32, &[]));
        tensors.push(testing::tensor("lm_head.weight", Dtype::F32, &[40, 8]));
        write_safetensors(&folder.path().join(SINGLE), tensors);
        ModelFolder::open(folder.path()).unwrap();
    }

    #[test]
    fn shards_open_like_one_file() {
        let folder = testing::model(str::to_owned);
        let whole = ModelFolder::open(folder.path()).unwrap().digest().unwrap();
        testing::shard(folder.path());
        let model = ModelFolder::open(folder.path()).unwrap();
        assert_eq!(model.tensor("ln_f.bias").unwrap().shape, [8]);
        assert_eq!(model.tensor("wte.weight").unwrap().shape, [40, 8]);
        assert_ne!(model.digest().unwrap(), whole);
        fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
        let error = ModelFolder::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("model-00002-of-00002.safetensors"),
            "{error}"
        );
    }

    #[test]
    fn a_shard_outside_the_folder_is_refused() {
        let folder = testing::model(str::to_owned);
        fs::remove_file(folder.path().join(SINGLE)).unwrap();
        for name in ["../x.safetensors", "/etc/passwd", "..", ""] {
            let index = serde_json::json!({"weight_map": {"wte.weight": name}});
            fs::write(folder.path().join(INDEX), index.to_string()).unwrap();
            let error = ModelFolder::open(folder.path()).unwrap_err();
            assert!(
                matches!(error, ArtifactError::Unsupported { .. }),
                "{error}"
            );
        }
    }

    fn with_tensor(change: impl Fn(&mut Vec<OwnedTensor>)) -> ArtifactError {
        let folder = testing::model(str::to_owned);
        let mut tensors = testing::tensors(str::to_owned);
        change(&mut tensors);
        write_safetensors(&folder.path().join(SINGLE), tensors);
        ModelFolder::open(folder.path()).unwrap_err()
    }

    #[test]
    fn weights_that_do_not_fit_the_configuration_are_refused_by_name() {
        let error = with_tensor(|tensors| tensors.retain(|tensor| tensor.name != "h.0.ln_2.bias"));
        assert!(error.to_string().contains("`h.0.ln_2.bias`"), "{error}");

        let error = with_tensor(|tensors| tensors[2].shape = vec![2, 4]);
        assert!(
            error.to_string().contains("has shape [2, 4]; expected [8]"),
            "{error}"
        );

        let error = with_tensor(|tensors| tensors[2].dtype = Dtype::I32);
        assert!(
            matches!(error, ArtifactError::UnsupportedDtype { .. }),
            "{error}"
        );

        let error = with_tensor(|tensors| {
            tensors.push(testing::tensor("h.1.ln_1.weight", Dtype::F32, &[8]));
        });
        assert!(
            matches!(error, ArtifactError::UnexpectedTensor { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_folder_that_lacks_a_file_is_refused_by_the_files_name() {
        let folder = testing::model(str::to_owned);
        fs::remove_file(folder.path().join(SINGLE)).unwrap();
        let error = ModelFolder::open(folder.path()).unwrap_err();
        assert!(
            matches!(&error, ArtifactError::MissingFile { file, .. } if file == SINGLE),
            "{error}"
        );
        assert!(error.to_string().contains("with its shards"), "{error}");

        fs::write(folder.path().join("pytorch_model.bin"), b"").unwrap();
        let error = ModelFolder::open(folder.path()).unwrap_err();
        assert!(
            matches!(&error, ArtifactError::PicklesOnly { .. }),
            "{error}"
        );

        fs::remove_file(folder.path().join("config.json")).unwrap();
        let error = ModelFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("`config.json`"), "{error}");
    }

    #[test]
    fn every_cut_of_the_weights_is_an_error() {
        let folder = testing::model(str::to_owned);
        let path = folder.path().join(SINGLE);
        let bytes = fs::read(&path).unwrap();
        for length in (0..bytes.len()).step_by(97).chain([7, 8, bytes.len() - 1]) {
            fs::write(&path, &bytes[..length]).unwrap();
            let error = ModelFolder::open(folder.path()).unwrap_err();
            assert!(
                matches!(error, ArtifactError::BrokenSafetensors { .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn the_digest_depends_on_tokenizer_and_weights_and_not_on_other_files() {
        let folder = testing::model(str::to_owned);
        let model = ModelFolder::open(folder.path()).unwrap();
        let digest = model.digest().unwrap();
        fs::write(folder.path().join("README.md"), "changed").unwrap();
        assert_eq!(model.digest().unwrap(), digest);
        fs::write(folder.path().join("chat_template.jinja"), "changed").unwrap();
        assert_ne!(model.digest().unwrap(), digest);
    }
}
