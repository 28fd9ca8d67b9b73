use std::{collections::BTreeMap, fs, path::Path};

use llmopt_artifact::{
    AdapterConfig, AdapterFolder, ArtifactError, EvaluationResults, LoraFactor, Manifest,
    ModelFolder, TrainingMetadata,
};
use llmopt_domain::{Digest, ObjectKey};
use llmopt_storage::FolderStore;
use llmopt_storage_embedded::FileFolderStore;
use llmopt_tokenization::TemplateLock;

use crate::{
    platform::with_platform,
    scratch::with_files,
    text::{check_error, parts},
};

/// `config.json`, `model.safetensors.index.json` (empty where there is none) and the weights, with NULs between.
pub(crate) fn model(bytes: &[u8]) {
    let [config, index, weights] = parts(bytes);
    let mut files = vec![("config.json", config)];
    if index.is_empty() {
        files.push(("model.safetensors", weights));
    } else {
        files.push(("model.safetensors.index.json", index));
        files.push(("model-00001-of-00001.safetensors", weights));
    }
    with_files(&files, |folder| {
        let model = match ModelFolder::open(folder) {
            Ok(model) => model,
            Err(error) => return drop(check_error(&error)),
        };
        let shapes = model.config().tensor_shapes();
        for (name, shape) in &shapes {
            assert_eq!(model.tensor(name).unwrap().shape, shape);
        }
        assert_eq!(
            model.config().head_width() * model.config().n_head,
            model.config().n_embd
        );
        let digests: BTreeMap<String, Digest> = model
            .files()
            .unwrap()
            .into_iter()
            .map(|name| (name.clone(), digest(&folder.join(name))))
            .collect();
        let digest_of = ModelFolder::digest_of(&digests).unwrap();
        assert_eq!(digest_of, Some(model.digest().unwrap()));
    });
}

fn digest(path: &Path) -> Digest {
    Digest::of_bytes(&fs::read(path).unwrap())
}

/// `adapter_config.json` and, after a NUL, the weights.
pub(crate) fn adapter(bytes: &[u8]) {
    let [config, weights] = parts(bytes);
    let files = [
        ("adapter_config.json", config),
        ("adapter_model.safetensors", weights),
    ];
    with_files(&files, |folder| {
        read_again(folder, AdapterConfig::read, |config, folder| {
            config.write(folder)
        });
        let adapter = match AdapterFolder::open(folder) {
            Ok(adapter) => adapter,
            Err(error) => return drop(check_error(&error)),
        };
        let rank = adapter.config().r as usize;
        assert!(rank > 0 && !adapter.modules().is_empty());
        assert!(
            adapter.config().scale().is_finite(),
            "{:?}",
            adapter.config()
        );
        for module in adapter.modules() {
            let a = adapter.factor(module, LoraFactor::A).unwrap();
            let b = adapter.factor(module, LoraFactor::B).unwrap();
            assert_eq!((a.shape[0], b.shape[1]), (rank, rank));
        }
    });
}

/// Reads a record, writes it, and reads the same again.
fn read_again<T: PartialEq + std::fmt::Debug>(
    folder: &Path,
    read: fn(&Path) -> Result<T, ArtifactError>,
    write: impl FnOnce(&T, &Path) -> Result<(), ArtifactError>,
) {
    match read(folder) {
        Ok(record) => {
            let again = folder.join("again");
            fs::create_dir_all(&again).unwrap();
            write(&record, &again).unwrap();
            assert_eq!(read(&again).unwrap(), record);
        }
        Err(error) => drop(check_error(&error)),
    }
}

/// `manifest.json`, `training_metadata.json`, `evaluation_results.json`, `template_lock.json` and the note of a
/// store, with NULs between.
pub(crate) fn published(bytes: &[u8]) {
    let [manifest, metadata, evaluation, lock, note] = parts(bytes);
    let files = [
        ("manifest.json", manifest),
        ("training_metadata.json", metadata),
        ("evaluation_results.json", evaluation),
        (TemplateLock::FILE_NAME, lock),
    ];
    with_files(&files, |folder| {
        if let Ok(manifest) = Manifest::read(folder)
            && let Err(error) = manifest.verify(folder)
        {
            check_error(&error);
        }
        read_again(folder, Manifest::read, Manifest::write);
        read_again(folder, TrainingMetadata::read, TrainingMetadata::write);
        read_again(folder, EvaluationResults::read, EvaluationResults::write);
        check_note(folder, note);
    });
}

/// A folder is open, or it is damaged and the error says how.
fn check_note(folder: &Path, note: &[u8]) {
    let root = folder.join("store");
    let key = ObjectKey::models().child("m").unwrap();
    let place = root.join(key.as_str());
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(".published.json"), note).unwrap();
    let store = FileFolderStore::open(&root).unwrap();
    match with_platform(|platform| platform.block_on(store.open(&key))) {
        Ok(opened) => assert_eq!(opened, place),
        Err(error) => drop(check_error(&error)),
    }
}
