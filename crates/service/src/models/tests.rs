use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use llmopt_artifact::{Resources, RowCounts, TrainingMetadata};
use llmopt_domain::{BaseModel, ColumnMap, DatasetFile, JobSpec, TrainingConfig};
use llmopt_storage_embedded::FileFolderStore;

use super::*;

/// A Hub that has everything, and remembers what it was asked for.
#[derive(Default)]
struct AnyModel(Mutex<Vec<String>>);

#[async_trait]
impl ModelHub for AnyModel {
    async fn fetch(&self, repository: &HubRepository) -> Result<PathBuf, HubFailure> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(repository.to_string());
        Ok("/hub/files".into())
    }
}

/// A Hub that nobody is to ask.
struct NoHub;

#[async_trait]
impl ModelHub for NoHub {
    async fn fetch(&self, repository: &HubRepository) -> Result<PathBuf, HubFailure> {
        panic!("asked for {repository}")
    }
}

struct Place {
    _folder: tempfile::TempDir,
    store: FileFolderStore,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = FileFolderStore::open(folder.path()).unwrap();
        Self {
            store,
            _folder: folder,
        }
    }

    fn models(&self) -> Models<'_> {
        Models::new(&self.store)
    }

    /// Publishes a version whose job has `seed`.
    async fn publish(&self, id: &str, version: u32, seed: u64) -> Digest {
        let id: ModelId = id.parse().unwrap();
        let metadata = metadata(&id, seed);
        let staged = self.store.stage().await.unwrap();
        metadata.write(staged.path()).unwrap();
        let key = ObjectKey::model(&id, version);
        self.store.publish(staged.path(), &key).await.unwrap();
        metadata.job
    }
}

fn metadata(id: &ModelId, seed: u64) -> TrainingMetadata {
    let digest = Digest::of_bytes(b"");
    let spec = JobSpec {
        format: 1,
        model: id.clone(),
        base: BaseModel {
            name: "gpt2".into(),
            digest: digest.clone(),
            path: "base".into(),
        },
        dataset: DatasetFile {
            digest,
            path: "rows.jsonl".into(),
            columns: ColumnMap::default(),
        },
        evaluation: None,
        config: TrainingConfig {
            seed,
            ..TrainingConfig::default()
        },
        code_version: "1".into(),
        data_dir: "data".into(),
    };
    TrainingMetadata {
        format: 1,
        job: spec.identity().unwrap(),
        code_version: spec.code_version.clone(),
        spec,
        rows: RowCounts {
            training: 10,
            evaluation: None,
            dropped: 0,
        },
        trainable_parameters: 1,
        parameters: 2,
        steps: 5,
        tokens: 100,
        loss_curve: Vec::new(),
        resources: Resources {
            device: "cpu".into(),
            peak_memory_bytes: 1,
            peak_gpu_memory_bytes: None,
            threads: 1,
            seconds: 4.0,
        },
        cost_picodollars: None,
    }
}

#[tokio::test]
async fn the_newest_version_is_meant_where_none_is_named() {
    let place = Place::new();
    for version in [2, 10, 1] {
        place
            .publish("ft:gpt2:orders", version, version.into())
            .await;
    }
    let models = place.models();
    assert_eq!(models.show("orders").await.unwrap().version, 10);
    assert_eq!(models.show("ft:gpt2:orders:2").await.unwrap().version, 2);
    let versions = models.list().await.unwrap();
    let versions: Vec<u32> = versions.iter().map(|model| model.version).collect();
    assert_eq!(versions, [1, 2, 10]);
    let error = models.show("orders:3").await.unwrap_err();
    assert!(
        matches!(
            error,
            ServiceError::UnknownVersion {
                version: 3,
                newest: 10,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_published_model_comes_before_a_well_known_one() {
    let place = Place::new();
    place.publish("ft:base:gpt2", 1, 0).await;
    let model = place.models().resolve("gpt2", &NoHub).await.unwrap();
    assert_eq!(model.name, "ft:base:gpt2:1");
    assert_eq!(model.short_name.as_str(), "gpt2");
}

#[tokio::test]
async fn well_known_names_and_repositories_are_fetched() {
    let place = Place::new();
    let hub = AnyModel::default();
    for text in ["distilgpt2", "gpt2@v1", "someone/model"] {
        let model = place.models().resolve(text, &hub).await.unwrap();
        assert_eq!(model.path, PathBuf::from("/hub/files"));
    }
    let asked = hub.0.into_inner().unwrap();
    assert_eq!(
        asked,
        [
            "distilbert/distilgpt2",
            "openai-community/gpt2@v1",
            "someone/model"
        ]
    );
}

#[tokio::test]
async fn a_word_that_nobody_knows_asks_no_hub() {
    let place = Place::new();
    let error = place.models().resolve("nothing", &NoHub).await.unwrap_err();
    assert!(matches!(error, ServiceError::UnknownModel { .. }));
}

#[tokio::test]
async fn a_job_is_found_again_by_what_it_published() {
    let place = Place::new();
    let id = "ft:gpt2:orders".parse().unwrap();
    let first = place.publish("ft:gpt2:orders", 1, 1).await;
    let second = place.publish("ft:gpt2:orders", 2, 2).await;
    let models = place.models();
    let version = async |job| {
        models
            .published_by(&id, job)
            .await
            .unwrap()
            .unwrap()
            .version
    };
    assert_eq!((version(&first).await, version(&second).await), (1, 2));
    let other = Digest::of_bytes(b"another job");
    assert!(models.published_by(&id, &other).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_read_before_is_not_taken_for_what_was_published_since() {
    let place = Place::new();
    let memory = ModelMemory::default();
    let models = || Models::remembering(&place.store, memory.clone());
    let first = place.publish("ft:gpt2:orders", 1, 1).await;
    for _ in 0..2 {
        assert_eq!(models().show("orders").await.unwrap().job, first);
    }
    models().delete("orders:1").await.unwrap();
    assert!(models().show("orders").await.is_err());
    let second = place.publish("ft:gpt2:orders", 1, 2).await;
    assert_ne!(second, first);
    assert_eq!(models().show("orders").await.unwrap().job, second);
}
