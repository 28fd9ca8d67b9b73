//! Embedded stores in a folder of their own, for tests.

use std::{num::NonZeroU32, path::Path, sync::Arc};

use llmopt_domain::{
    BaseModel, ColumnMap, DatasetFile, Digest, JobEventBody, JobSpec, TrainingConfig, TrainingJob,
};
use llmopt_storage_embedded::{
    Database, FileFolderStore, SqliteEventLog, SqliteMessageQueue, SqliteRecordStore,
};
use serde_json::Value;

use crate::{Datasets, JobStores, job_log::JobLog};

pub(crate) struct Stores {
    pub(crate) stores: JobStores,
    pub(crate) datasets: Datasets,
    folder: tempfile::TempDir,
}

impl Stores {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (stores, datasets) = open(folder.path());
        Self {
            stores,
            datasets,
            folder,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the record of a job that was just submitted.
    pub(crate) async fn job(&self, id: &str) -> TrainingJob {
        let job = TrainingJob::new(id, spec(), vec!["d1".to_owned()], 1);
        self.stores.records.create(&job).await.unwrap().record
    }

    pub(crate) async fn record(&self, id: &str) -> TrainingJob {
        self.stores.records.get(id).await.unwrap().record
    }

    /// The names of the job's events, in order.
    pub(crate) async fn events(&self, id: &str) -> Vec<String> {
        let log = JobLog::new(Arc::clone(&self.stores.logs));
        let events = log.read(id, 0, 1_000).await.unwrap();
        let name = |body: &JobEventBody| -> String {
            let json: Value = serde_json::to_value(body).unwrap();
            json["event"].as_str().unwrap().to_owned()
        };
        events.iter().map(|it| name(&it.event.body)).collect()
    }
}

fn open(folder: &Path) -> (JobStores, Datasets) {
    let database = Database::open(&folder.join(Database::FILE_NAME)).unwrap();
    let receives = NonZeroU32::new(100).unwrap();
    let stores = JobStores {
        folders: Arc::new(FileFolderStore::open(folder).unwrap()),
        records: Arc::new(SqliteRecordStore::new(database.clone())),
        logs: Arc::new(SqliteEventLog::new(database.clone())),
        queue: Arc::new(SqliteMessageQueue::new(database.clone(), "jobs", receives)),
    };
    let datasets = Datasets::new(
        Arc::clone(&stores.folders),
        Arc::new(SqliteRecordStore::new(database)),
        Arc::clone(&stores.records),
    );
    (stores, datasets)
}

pub(crate) fn spec() -> JobSpec {
    let digest = Digest::of_bytes(b"x");
    JobSpec {
        format: 1,
        model: "ft:tiny:orders".parse().unwrap(),
        base: BaseModel {
            name: "base:tiny".to_owned(),
            digest: digest.clone(),
            path: "/nowhere/tiny".into(),
        },
        dataset: DatasetFile {
            digest,
            path: "/nowhere/rows.jsonl".into(),
            columns: ColumnMap::default(),
        },
        evaluation: None,
        config: TrainingConfig::default(),
        code_version: "test".to_owned(),
        data_dir: "/nowhere".into(),
    }
}
