use std::path::Path;

use llmopt_dataset::{DatasetError, ValidationReport, validate};
use llmopt_domain::{ColumnMap, Digest, Format, ObjectKey, UploadedDataset};
use llmopt_storage::{StagedFolder, StorageError};
use serde::Serialize;
use tokio::fs;

use super::{Datasets, RECORD, REPORT, file_name, read_json};
use crate::{DatasetSource, ServiceError, blocking::blocking, clock::now_ms};

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
pub(super) fn id(digest: &Digest, name: &str, columns: &ColumnMap) -> Result<String, ServiceError> {
    let file = file_name(name);
    let id = match columns.is_empty() {
        true => Digest::of_json(&(digest, file)),
        false => Digest::of_json(&(digest, file, columns)),
    };
    let id = id.map_err(|error| ServiceError::file("render", name)(error.into()))?;
    Ok(id.short().to_owned())
}
