use std::time::Duration;

use llmopt_domain::ColumnMap;
use llmopt_storage::{StagedFolder, StorageError, UploadStore, UploadTarget};
use tokio::{fs::File, io::AsyncWriteExt};

use super::{Datasets, NewDataset, Uploaded};
use crate::ServiceError;

/// How long a place to send a file to stays open.
const UPLOAD_VALID: Duration = Duration::from_secs(3600);

/// A dataset that is being uploaded; what was written is removed when it is dropped.
pub struct DatasetUpload {
    name: String,
    columns: ColumnMap,
    staged: StagedFolder,
    file: File,
    size_bytes: u64,
}

impl Datasets {
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

    fn uploads(&self) -> Result<&dyn UploadStore, ServiceError> {
        self.uploads.as_deref().ok_or(ServiceError::NoUploads)
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
