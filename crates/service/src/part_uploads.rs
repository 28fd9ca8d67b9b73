use std::{path::Path, time::Duration};

use llmopt_domain::{ColumnMap, Digest};
use llmopt_storage::{
    Part, PartPlace, PartPlan, PartStore, PartUpload, StagedFolder, StorageError,
};
use tokio::{fs::File, io::AsyncWriteExt};

use crate::{
    Datasets, ServiceError,
    blocking::blocking,
    datasets::{NewDataset, Uploaded, file_name},
};

pub use error::PartError;

mod error;

/// How long an upload in parts lasts. The rules of template.yaml end what is below `uploads/` then too.
const UPLOAD_LASTS: Duration = Duration::from_secs(48 * 3_600);
/// How long a URL for a part works.
const URL_VALID: Duration = Duration::from_secs(3_600);
/// What a file is called that came whole and has no name: its bytes tell its format.
const UNNAMED: &str = "dataset";
/// What a part is called before it is one.
const PART: &str = "part";

/// A part that is being received; what was written is removed when it is dropped.
pub struct PartReceipt {
    upload: String,
    part: Part,
    staged: StagedFolder,
    file: File,
    size_bytes: u64,
}

impl Datasets {
    /// Begins an upload in parts, which lasts for two days.
    ///
    /// # Errors
    /// [`ServiceError::NoUploads`] where nothing keeps parts, or [`ServiceError::Storage`].
    pub async fn begin_parts(&self, plan: PartPlan) -> Result<PartUpload, ServiceError> {
        Ok(self.parts()?.begin(plan, UPLOAD_LASTS).await?)
    }

    /// Returns how the upload in parts stands.
    ///
    /// # Errors
    /// [`ServiceError::UnknownUpload`], or [`ServiceError::Storage`].
    pub async fn part_upload(&self, id: &str) -> Result<PartUpload, ServiceError> {
        self.parts()?.look(id).await.map_err(of_upload(id))
    }

    /// Says where to send each of these parts of `upload`, in their order.
    ///
    /// # Errors
    /// [`ServiceError::UnknownUpload`], [`PartError::Done`] if it is complete, or [`ServiceError::Storage`].
    pub async fn locate_parts(
        &self,
        upload: &PartUpload,
        parts: &[Part],
    ) -> Result<Vec<PartPlace>, ServiceError> {
        open(upload)?;
        let located = self.parts()?.locate(&upload.id, parts, URL_VALID).await;
        located.map_err(of_upload(&upload.id))
    }

    /// Begins to receive a part of the upload `id`, whatever of it was there before.
    ///
    /// # Errors
    /// [`ServiceError::UnknownUpload`], [`PartError::Done`] if it is complete,
    /// [`PartError::NoPart`] if it has no such part, [`ServiceError::Storage`] or
    /// [`ServiceError::File`].
    pub async fn receive_part(&self, id: &str, number: u32) -> Result<PartReceipt, ServiceError> {
        let upload = self.part_upload(id).await?;
        open(&upload)?;
        let part = upload.record.part(number);
        let part = part.ok_or_else(|| PartError::NoPart {
            number,
            count: upload.record.count(),
        })?;
        let staged = self.stage().await?;
        let path = staged.path().join(PART);
        let file = File::create(&path).await;
        Ok(PartReceipt {
            upload: id.to_owned(),
            part,
            file: file.map_err(ServiceError::file("write", path))?,
            staged,
            size_bytes: 0,
        })
    }

    /// Keeps a part that was received whole.
    ///
    /// # Errors
    /// [`PartError::Size`] if bytes are missing, [`ServiceError::UnknownUpload`] if the upload has
    /// ended meanwhile, [`ServiceError::Storage`] or [`ServiceError::File`].
    pub async fn keep_part(&self, receipt: PartReceipt) -> Result<(), ServiceError> {
        let PartReceipt {
            upload,
            part,
            staged,
            mut file,
            size_bytes,
        } = receipt;
        if size_bytes != part.size_bytes {
            return Err(wrong_size(part, size_bytes));
        }
        let path = staged.path().join(PART);
        let flushed = file.flush().await;
        flushed.map_err(ServiceError::file("write", path.as_path()))?;
        drop(file);
        let kept = self.parts()?.put(&upload, part, &path).await;
        kept.map_err(of_upload(&upload))
    }

    /// Validates the file that was sent to the upload `id`, whole or in parts, and makes it visible as `name`, or as
    /// it was announced; one that was not, and has no name, is called `dataset`. It is read with `columns`.
    ///
    /// # Errors
    /// [`ServiceError::UnknownUpload`] if nothing was sent; [`PartError::Incomplete`] if parts are missing, and the
    /// upload stays; [`PartError::Changed`] if the bytes are others than those that were announced, and nothing stays;
    /// else as [`finish`](Self::finish).
    pub async fn complete(
        &self,
        id: &str,
        name: Option<&str>,
        columns: ColumnMap,
    ) -> Result<Uploaded, ServiceError> {
        if self.part_store().is_some() {
            match self.complete_parts(id, name, columns.clone()).await {
                Err(ServiceError::UnknownUpload(_)) if self.takes_whole_files() => {}
                completed => return completed,
            }
        }
        let name = name.unwrap_or(UNNAMED);
        self.complete_upload(id, name, columns).await
    }

    /// Makes a dataset of an upload in parts; of one that is complete already, the same again.
    async fn complete_parts(
        &self,
        id: &str,
        name: Option<&str>,
        columns: ColumnMap,
    ) -> Result<Uploaded, ServiceError> {
        let upload = self.part_upload(id).await?;
        if let Some(dataset) = &upload.record.outcome {
            return self.completed(id, dataset).await;
        }
        let missing = upload.missing();
        if !missing.is_empty() {
            let id = id.to_owned();
            return Err(PartError::Incomplete { id, missing }.into());
        }
        let plan = upload.record.plan;
        let name = name.unwrap_or(&plan.name);
        let staged = self.stage().await?;
        let path = staged.path().join(file_name(name));
        match self.parts()?.assemble(id, &path).await {
            Ok(()) => {}
            Err(error @ StorageError::NoRecord { .. }) => {
                // Another request may have completed it meanwhile.
                let now = self.part_upload(id).await?.record.outcome;
                return match now {
                    Some(dataset) => self.completed(id, &dataset).await,
                    None => Err(of_upload(id)(error)),
                };
            }
            Err(error) => return Err(error.into()),
        }
        self.check_digest(id, &path, plan.digest).await?;
        let new = NewDataset {
            name: name.to_owned(),
            size_bytes: plan.size_bytes,
            columns,
            parent: None,
        };
        let uploaded = self.keep(&staged, new).await?;
        // The dataset is there: who asks again is told so, or is given the same once more.
        if let Err(error) = self.parts()?.settle(id, &uploaded.dataset.id).await {
            tracing::warn!(%error, "an upload that is a dataset now could not be settled");
        }
        Ok(uploaded)
    }

    /// Deletes the upload in parts; where there is none, this succeeds too.
    ///
    /// # Errors
    /// [`ServiceError::NoUploads`], or [`ServiceError::Storage`].
    pub async fn discard_parts(&self, id: &str) -> Result<(), ServiceError> {
        Ok(self.parts()?.discard(id).await?)
    }

    async fn completed(&self, id: &str, dataset: &str) -> Result<Uploaded, ServiceError> {
        match self.get(dataset).await {
            Ok(dataset) => Ok(Uploaded {
                dataset,
                created: false,
            }),
            // It was deleted since, and its parts are gone.
            Err(ServiceError::UnknownDataset(_)) => Err(ServiceError::UnknownUpload(id.to_owned())),
            Err(error) => Err(error),
        }
    }

    async fn check_digest(
        &self,
        id: &str,
        path: &Path,
        expected: Option<Digest>,
    ) -> Result<(), ServiceError> {
        let Some(expected) = expected else {
            return Ok(());
        };
        let owned = path.to_owned();
        let found = blocking("digest", move || {
            let found = std::fs::File::open(&owned).and_then(Digest::of_reader);
            found.map_err(ServiceError::file("read", owned))
        });
        let found = found.await?;
        if found == expected {
            return Ok(());
        }
        self.discard_parts(id).await?;
        Err(PartError::Changed { expected, found }.into())
    }

    fn parts(&self) -> Result<&dyn PartStore, ServiceError> {
        self.part_store().ok_or(ServiceError::NoUploads)
    }
}

impl PartReceipt {
    /// Writes the next bytes of the part.
    ///
    /// # Errors
    /// [`PartError::Size`] if they are more than it has, or [`ServiceError::File`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.part.size_bytes {
            return Err(wrong_size(self.part, self.size_bytes));
        }
        let written = self.file.write_all(bytes).await;
        written.map_err(ServiceError::file("write", self.staged.path().join(PART)))
    }
}

/// Says that an upload takes no more, where it is complete.
fn open(upload: &PartUpload) -> Result<(), PartError> {
    match &upload.record.outcome {
        None => Ok(()),
        Some(dataset) => Err(PartError::Done {
            id: upload.id.clone(),
            dataset: dataset.clone(),
        }),
    }
}

fn wrong_size(part: Part, found: u64) -> ServiceError {
    let error = PartError::Size {
        number: part.number,
        expected: part.size_bytes,
        found,
    };
    error.into()
}

/// Returns a function that says what an error means to whoever names the upload `id`.
fn of_upload(id: &str) -> impl FnOnce(StorageError) -> ServiceError {
    move |error| match error {
        StorageError::NoRecord { .. } => ServiceError::UnknownUpload(id.to_owned()),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests;
