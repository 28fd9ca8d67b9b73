mod kept;
mod uploads;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use llmopt_domain::{ObjectKey, TrainingJob, UploadedDataset};
use llmopt_storage::{
    FolderStore, Listing, Page, PartStore, RecordStore, StorageError, UploadStore,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{fs, sync::Mutex};

use crate::{DatasetSource, ServiceError, training_jobs::active_jobs};

pub(crate) use self::{kept::NewDataset, uploads::file_name};
pub use self::{kept::Uploaded, uploads::DatasetUpload};

const REPORT: &str = "report.json";
/// The record as it was when the folder was published.
const RECORD: &str = "dataset.json";

/// The datasets that were uploaded.
///
/// A dataset is its bytes and how they are read: its id comes of their digest, of the file's
/// extension and of the map of its columns, and the same are kept once. Its file and report lie in a published
/// folder, its record says that it is there.
#[derive(Clone)]
pub struct Datasets {
    folders: Arc<dyn FolderStore>,
    records: Arc<dyn RecordStore<UploadedDataset>>,
    jobs: Arc<dyn RecordStore<TrainingJob>>,
    uploads: Option<Arc<dyn UploadStore>>,
    parts: Option<Arc<dyn PartStore>>,
    /// Held while this process changes folder and record: both are there, or neither.
    changing: Arc<Mutex<()>>,
}

impl Datasets {
    /// Keeps files in `folders` and what is known of them in `records`; `jobs` tells what is in use.
    pub fn new(
        folders: Arc<dyn FolderStore>,
        records: Arc<dyn RecordStore<UploadedDataset>>,
        jobs: Arc<dyn RecordStore<TrainingJob>>,
    ) -> Self {
        Self {
            folders,
            records,
            jobs,
            uploads: None,
            parts: None,
            changing: Arc::default(),
        }
    }

    /// Has files that are too large for a request's body sent to `uploads`.
    #[must_use]
    pub fn with_uploads(mut self, uploads: Arc<dyn UploadStore>) -> Self {
        self.uploads = Some(uploads);
        self
    }

    /// Has files that are sent in parts kept in `parts` until they are whole.
    #[must_use]
    pub fn with_parts(mut self, parts: Arc<dyn PartStore>) -> Self {
        self.parts = Some(parts);
        self
    }

    /// Returns where files are kept, models among them.
    pub(crate) fn folders(&self) -> &dyn FolderStore {
        &*self.folders
    }

    /// Returns what is known of the datasets.
    pub(crate) fn records(&self) -> &dyn RecordStore<UploadedDataset> {
        &*self.records
    }

    /// Returns whether files can be sent whole past this process.
    pub(crate) fn takes_whole_files(&self) -> bool {
        self.uploads.is_some()
    }

    /// Returns what keeps the parts of files, where something does.
    pub(crate) fn part_store(&self) -> Option<&dyn PartStore> {
        self.parts.as_deref()
    }

    /// Returns the dataset with this id.
    ///
    /// # Errors
    /// [`ServiceError::UnknownDataset`], or [`ServiceError::Storage`].
    pub async fn get(&self, id: &str) -> Result<UploadedDataset, ServiceError> {
        match self.records.get(id).await {
            Ok(stored) => Ok(stored.record),
            Err(StorageError::NoRecord { .. }) => Err(ServiceError::UnknownDataset(id.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns datasets, the last uploaded first.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn list(&self, listing: &Listing) -> Result<Page<UploadedDataset>, ServiceError> {
        Ok(self.records.list(listing).await?)
    }

    /// Returns what validation found when the dataset was uploaded, a [`ValidationReport`] as JSON.
    ///
    /// # Errors
    /// [`ServiceError::UnknownDataset`], or if the report cannot be read.
    pub async fn report(&self, id: &str) -> Result<Value, ServiceError> {
        self.get(id).await?;
        let key = ObjectKey::dataset(id);
        let folder = self.folders.open_part(&key, |name| name == REPORT).await?;
        read_json(&folder, REPORT).await
    }

    /// Returns the dataset's file.
    ///
    /// # Errors
    /// [`ServiceError::UnknownDataset`], or [`ServiceError::Storage`].
    pub async fn path(&self, id: &str) -> Result<PathBuf, ServiceError> {
        Ok(self.source(id).await?.path)
    }

    /// Returns the dataset's file, and how it is read.
    ///
    /// # Errors
    /// As [`path`](Self::path).
    pub async fn source(&self, id: &str) -> Result<DatasetSource, ServiceError> {
        let columns = self.get(id).await?.columns;
        let path = dataset_path(&*self.folders, id).await?;
        Ok(DatasetSource { path, columns })
    }

    /// Deletes the dataset; where there is none, this succeeds too.
    ///
    /// # Errors
    /// [`ServiceError::DatasetInUse`] while a job that is queued or running needs it.
    pub async fn delete(&self, id: &str) -> Result<(), ServiceError> {
        let _changing = self.changing.lock().await;
        for job in active_jobs(&*self.jobs).await? {
            if job.datasets.iter().any(|needed| needed == id) {
                return Err(ServiceError::DatasetInUse {
                    id: id.to_owned(),
                    job: job.id,
                });
            }
        }
        // The record first: without it nothing shows, whatever happens to the files.
        self.records.delete(id).await?;
        let key = ObjectKey::dataset(id);
        self.folders.delete(&key).await?;
        // Another process that was sent the same bytes may have found the folder before, and made a record of
        // what is gone now; or it sent all of it anew.
        match self.folders.open_part(&key, |_| false).await {
            Ok(_) => Ok(()),
            Err(StorageError::NotFound { .. }) => Ok(self.records.delete(id).await?),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the file of the dataset that is published with this id.
pub(crate) async fn dataset_path(
    folders: &dyn FolderStore,
    id: &str,
) -> Result<PathBuf, ServiceError> {
    let folder = folders.open(&ObjectKey::dataset(id)).await?;
    let record: UploadedDataset = read_json(&folder, RECORD).await?;
    Ok(folder.join(file_name(&record.name)))
}

async fn read_json<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, ServiceError> {
    let path = folder.join(name);
    let json = fs::read(&path).await;
    let parsed = json.and_then(|json| Ok(serde_json::from_slice(&json)?));
    parsed.map_err(ServiceError::file("read", path))
}

#[cfg(test)]
mod tests;
