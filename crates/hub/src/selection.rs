use std::collections::BTreeSet;

use serde_json::Value;

/// Files that are fetched where they exist.
const OPTIONAL: [&str; 8] = [
    "generation_config.json",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const WEIGHTS: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
const PICKLES: [&str; 4] = [".bin", ".pt", ".pth", ".ckpt"];

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// Its name; only files at the top are of interest.
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
    /// SHA-256 in hexadecimal digits, where the Hub tells it.
    pub(crate) sha256: Option<String>,
}

/// Where a repository keeps its weights.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    One,
    Sharded,
    /// Only in a file that is never read.
    Pickled(String),
    None,
}

pub(crate) fn weights(files: &[RemoteFile]) -> Weights {
    let has = |name: &str| files.iter().any(|file| file.name == name);
    let pickle = |file: &&RemoteFile| PICKLES.iter().any(|end| file.name.ends_with(end));
    match files.iter().find(pickle) {
        _ if has(WEIGHTS) => Weights::One,
        _ if has(INDEX) => Weights::Sharded,
        Some(file) => Weights::Pickled(file.name.clone()),
        None => Weights::None,
    }
}

/// Returns the files beside the weights, small ones all.
pub(crate) fn small_files(files: &[RemoteFile]) -> Vec<RemoteFile> {
    let wanted = |file: &&RemoteFile| file.name == CONFIG || OPTIONAL.contains(&&*file.name);
    files.iter().filter(wanted).cloned().collect()
}

/// Reads the names of the shards from an index: files that lie beside it.
///
/// # Errors
/// What is wrong with the index, for people.
pub fn shard_names(index: &[u8]) -> Result<BTreeSet<String>, String> {
    let index: Value = serde_json::from_slice(index).map_err(|error| error.to_string())?;
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or("expected an object `weight_map`, found none")?;
    let shard = |value: &Value| match value.as_str() {
        Some(name) if name.ends_with(".safetensors") && !name.contains(['/', '\\']) => {
            Ok(name.to_owned())
        }
        _ => Err(format!(
            "`weight_map` names {value}: expected a `.safetensors` file beside the index"
        )),
    };
    map.values().map(shard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<RemoteFile> {
        let file = |name: &&str| RemoteFile {
            name: (*name).to_owned(),
            size_bytes: 1,
            sha256: None,
        };
        names.iter().map(file).collect()
    }

    #[test]
    fn safetensors_are_preferred_and_pickles_never_taken() {
        let all = files(&["pytorch_model.bin", INDEX, WEIGHTS]);
        assert_eq!(weights(&all), Weights::One);
        assert_eq!(weights(&all[..2]), Weights::Sharded);
        assert_eq!(
            weights(&all[..1]),
            Weights::Pickled("pytorch_model.bin".into())
        );
        assert_eq!(weights(&files(&["onnx/model.safetensors"])), Weights::None);
    }

    #[test]
    fn only_what_is_read_is_selected() {
        let all = files(&[
            "README.md",
            "config.json",
            "vocab.json",
            "onnx/config.json",
            "tf_model.h5",
        ]);
        let names: Vec<_> = small_files(&all)
            .into_iter()
            .map(|file| file.name)
            .collect();
        assert_eq!(names, ["config.json", "vocab.json"]);
    }

    #[test]
    fn an_index_cannot_name_files_elsewhere_or_pickles() {
        let good = br#"{"weight_map": {"a": "x.safetensors", "b": "x.safetensors"}}"#;
        assert_eq!(shard_names(good).unwrap().len(), 1);
        for name in ["../x.safetensors", "x.bin", "a\\x.safetensors"] {
            let index = serde_json::json!({"weight_map": {"a": name}}).to_string();
            assert!(shard_names(index.as_bytes()).is_err(), "{name}");
        }
        assert!(shard_names(b"[]").is_err());
    }
}
