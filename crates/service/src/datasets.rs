use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use llmopt_dataset::{DatasetError, ValidationReport, validate};
use llmopt_domain::{ColumnMap, Digest, Format, ObjectKey, TrainingJob, UploadedDataset};
use llmopt_storage::{
    FolderStore, Listing, Page, PartStore, RecordStore, StagedFolder, StorageError, UploadStore,
    UploadTarget,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt,
    sync::Mutex,
};

use crate::{
    DatasetSource, ServiceError, blocking::blocking, clock::now_ms, training_jobs::active_jobs,
};

/// How long a place to send a file to stays open.
const UPLOAD_VALID: Duration = Duration::from_secs(3600);
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

/// A dataset that is being uploaded; what was written is removed when it is dropped.
pub struct DatasetUpload {
    name: String,
    columns: ColumnMap,
    staged: StagedFolder,
    file: File,
    size_bytes: u64,
}

/// A file that is to be a dataset.
pub(crate) struct NewDataset<'a> {
    /// What its owner calls it.
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
    /// Which of its columns stand for those that are recognised.
    pub(crate) columns: ColumnMap,
    /// The dataset that it is a mended version of.
    pub(crate) parent: Option<&'a UploadedDataset>,
}

/// What came of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The dataset.
    pub dataset: UploadedDataset,
    /// Whether these bytes were not there before.
    pub created: bool,
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

    /// Begins the upload of a file called `name`; its extension tells the format.
    ///
    /// # Errors
    /// [`ServiceError::Storage`] or [`ServiceError::File`].
    pub async fn upload(&self, name: &str) -> Result<DatasetUpload, ServiceError> {
        let staged = self.folders.stage().await?;
        let path = staged.path().join(file_name(name));
        let file = File::create(&path).await;
        Ok(DatasetUpload {
            name: name.to_owned(),
            columns: ColumnMap::default(),
            file: file.map_err(ServiceError::file("write", path))?,
            staged,
            size_bytes: 0,
        })
    }

    /// Validates what was written and makes it visible.
    ///
    /// Rows with errors are no failure: the report tells of them, and no job takes the dataset.
    ///
    /// # Errors
    /// [`ServiceError::Upload`] if the file is of no kind that can be read, [`ServiceError::Storage`]
    /// or [`ServiceError::File`] if it cannot be kept.
    pub async fn finish(&self, upload: DatasetUpload) -> Result<Uploaded, ServiceError> {
        let DatasetUpload {
            name,
            columns,
            staged,
            mut file,
            size_bytes,
        } = upload;
        let flushed = file.flush().await;
        flushed.map_err(ServiceError::file("write", name.as_str()))?;
        drop(file);
        let new = NewDataset {
            name,
            size_bytes,
            columns,
            parent: None,
        };
        self.keep(&staged, new).await
    }

    /// Opens a place to send a file to past this process, for what is too large for a request's body.
    ///
    /// # Errors
    /// [`ServiceError::NoUploads`] where requests take everything, or [`ServiceError::Storage`].
    pub async fn begin_upload(&self) -> Result<UploadTarget, ServiceError> {
        Ok(self.uploads()?.begin(UPLOAD_VALID).await?)
    }

    /// Validates the file that was sent to the upload `id`, and makes it visible as `name`; it is read with `columns`.
    ///
    /// # Errors
    /// [`ServiceError::UnknownUpload`] if nothing was sent; else as [`finish`](Self::finish).
    pub(crate) async fn complete_upload(
        &self,
        id: &str,
        name: &str,
        columns: ColumnMap,
    ) -> Result<Uploaded, ServiceError> {
        let uploads = self.uploads()?;
        let staged = self.folders.stage().await?;
        let path = staged.path().join(file_name(name));
        let size_bytes = uploads
            .fetch(id, &path)
            .await
            .map_err(|error| match error {
                StorageError::NoRecord { .. } => ServiceError::UnknownUpload(id.to_owned()),
                error => error.into(),
            })?;
        let new = NewDataset {
            name: name.to_owned(),
            size_bytes,
            columns,
            parent: None,
        };
        let uploaded = self.keep(&staged, new).await?;
        // The dataset is there: what is left of the upload is deleted in some days in any case.
        if let Err(error) = uploads.discard(id).await {
            tracing::warn!(%error, "an upload that is a dataset now could not be deleted");
        }
        Ok(uploaded)
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

    fn uploads(&self) -> Result<&dyn UploadStore, ServiceError> {
        self.uploads.as_deref().ok_or(ServiceError::NoUploads)
    }

    /// Begins a folder for a dataset.
    pub(crate) async fn stage(&self) -> Result<StagedFolder, ServiceError> {
        Ok(self.folders.stage().await?)
    }

    /// Validates the file in `staged` and publishes it; as a version of its parent, if it has one.
    pub(crate) async fn keep(
        &self,
        staged: &StagedFolder,
        new: NewDataset<'_>,
    ) -> Result<Uploaded, ServiceError> {
        let source = DatasetSource {
            path: staged.path().join(file_name(&new.name)),
            columns: new.columns.clone(),
        };
        let shown = new.name.clone();
        let report = blocking("validate", move || inspect(&source, &shown)).await?;
        let record = record(new, &report)?;
        let _changing = self.changing.lock().await;
        if let Some(dataset) = self.existing(&record.id).await? {
            return Ok(Uploaded {
                dataset,
                created: false,
            });
        }
        write_json(staged.path(), REPORT, &report).await?;
        write_json(staged.path(), RECORD, &record).await?;
        let key = ObjectKey::dataset(&record.id);
        match self.folders.publish(staged.path(), &key).await {
            Ok(()) => self.create(&record).await,
            // An upload of the same bytes died before its record was written.
            Err(StorageError::AlreadyExists { .. }) => {
                let folder = self.folders.open_part(&key, |name| name == RECORD).await?;
                let uploaded = self.create(&read_json(&folder, RECORD).await?).await?;
                // Another process may have been deleting what was found.
                match self.folders.open_part(&key, |_| false).await {
                    Ok(_) => Ok(uploaded),
                    Err(error) => {
                        self.records.delete(&record.id).await?;
                        Err(error.into())
                    }
                }
            }
            Err(error) => Err(error.into()),
        }
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

    /// Returns the dataset with this id, if its record and its folder are there.
    async fn existing(&self, id: &str) -> Result<Option<UploadedDataset>, ServiceError> {
        match self
            .folders
            .open_part(&ObjectKey::dataset(id), |_| false)
            .await
        {
            Ok(_) => {}
            Err(StorageError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        match self.get(id).await {
            Ok(dataset) => Ok(Some(dataset)),
            Err(ServiceError::UnknownDataset(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create(&self, record: &UploadedDataset) -> Result<Uploaded, ServiceError> {
        match self.records.create(record).await {
            Ok(stored) => Ok(Uploaded {
                dataset: stored.record,
                created: true,
            }),
            Err(StorageError::RecordExists { .. }) => Ok(Uploaded {
                dataset: self.get(&record.id).await?,
                created: false,
            }),
            Err(error) => Err(error.into()),
        }
    }
}

impl DatasetUpload {
    /// Says which of the file's columns stand for those that are recognised.
    pub fn map_columns(&mut self, columns: ColumnMap) {
        self.columns = columns;
    }

    /// Writes the next bytes of the file.
    ///
    /// # Errors
    /// [`ServiceError::File`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        let written = self.file.write_all(bytes).await;
        written.map_err(ServiceError::file("write", self.name.as_str()))?;
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Returns what the file is called in its folder: what the user calls it may be no file's name.
pub(crate) fn file_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let mut extensions = name.rsplit('.');
    let last = extensions.next().unwrap_or_default();
    let (packing, extension) = match last {
        "gz" | "zst" => (format!(".{last}"), extensions.next().unwrap_or_default()),
        _ => (String::new(), last),
    };
    match extension {
        "jsonl" | "ndjson" | "json" | "csv" | "tsv" | "txt" | "md" | "parquet" => {
            format!("rows.{extension}{packing}")
        }
        _ => format!("rows{packing}"),
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

/// Validates the file of `source`, which its owner calls `name`.
fn inspect(source: &DatasetSource, name: &str) -> Result<ValidationReport, ServiceError> {
    let report = validate(&source.path, &source.options().into());
    let mut report = report.map_err(|error| match error {
        DatasetError::Unsupported { found, fix, .. } => ServiceError::Upload {
            name: name.to_owned(),
            found,
            fix,
        },
        other => other.into(),
    })?;
    report.rename(name);
    Ok(report)
}

async fn write_json(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), ServiceError> {
    let path = folder.join(name);
    let written = match serde_json::to_vec(value) {
        Ok(json) => fs::write(&path, json).await,
        Err(error) => Err(error.into()),
    };
    written.map_err(ServiceError::file("write", path))
}

async fn read_json<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, ServiceError> {
    let path = folder.join(name);
    let json = fs::read(&path).await;
    let parsed = json.and_then(|json| Ok(serde_json::from_slice(&json)?));
    parsed.map_err(ServiceError::file("read", path))
}

fn record(new: NewDataset<'_>, report: &ValidationReport) -> Result<UploadedDataset, ServiceError> {
    let NewDataset {
        name,
        size_bytes,
        columns,
        parent,
    } = new;
    let (errors, warnings) = report.counts();
    Ok(UploadedDataset {
        format: Format,
        id: id(&report.digest, &name, &columns)?,
        created_ms: now_ms(),
        name,
        digest: report.digest.clone(),
        size_bytes,
        layout: report.format.to_string().to_ascii_lowercase(),
        columns,
        rows: report.rows,
        errors,
        warnings,
        parent: parent.map(|it| it.id.clone()),
        origin: parent.map(|it| it.origin().to_owned()),
    })
}

/// Renders the id of these bytes, read so. What is read with a map is another dataset than what is read without, or
/// with another; ids of what has none are those that they were before there were maps.
fn id(digest: &Digest, name: &str, columns: &ColumnMap) -> Result<String, ServiceError> {
    let file = file_name(name);
    let id = match columns.is_empty() {
        true => Digest::of_json(&(digest, file)),
        false => Digest::of_json(&(digest, file, columns)),
    };
    let id = id.map_err(|error| ServiceError::file("render", name)(error.into()))?;
    Ok(id.short().to_owned())
}

#[cfg(test)]
mod tests;
