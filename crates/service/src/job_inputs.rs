use std::path::Path;

use llmopt_domain::{DatasetFile, JobSpec, ObjectKey, TrainingJob};
use llmopt_storage::{FolderStore, StorageError};

use crate::{
    Models, ServiceError, blocking::blocking, check_unchanged, datasets::dataset_path,
    training::changed,
};

/// Returns what the job is told, with its inputs where they are on this machine: what lies in the store
/// is fetched from there.
///
/// # Errors
/// [`ServiceError::JobChanged`] if an input is gone, [`ServiceError::Storage`].
pub async fn localise(
    job: &TrainingJob,
    folders: &dyn FolderStore,
    data_dir: &Path,
) -> Result<JobSpec, ServiceError> {
    let mut spec = with_stored_datasets(job, folders).await?;
    data_dir.clone_into(&mut spec.data_dir);
    let models = Models::new(folders);
    if let Some(base) = models.stored(&spec.base.name).await? {
        spec.base.path = models.whole(&base).await?;
    }
    Ok(spec)
}

/// Checks that the inputs of a job are what they were, without fetching the weights of its base.
///
/// # Errors
/// As [`check_unchanged`].
pub(crate) async fn check_stored(
    job: &TrainingJob,
    folders: &dyn FolderStore,
    code_version: &str,
) -> Result<(), ServiceError> {
    let spec = with_stored_datasets(job, folders).await?;
    let models = Models::new(folders);
    let stored = models.stored(&spec.base.name).await?;
    let digest = match &stored {
        Some(base) => Some(models.digest(base).await?),
        None => None,
    };
    let version = code_version.to_owned();
    blocking("check a job", move || {
        check_unchanged(&spec, digest.as_ref(), &version)
    })
    .await
}

async fn with_stored_datasets(
    job: &TrainingJob,
    folders: &dyn FolderStore,
) -> Result<JobSpec, ServiceError> {
    let mut spec = job.spec.clone();
    let files = [Some(&mut spec.dataset), spec.evaluation.as_mut()];
    for (file, id) in files.into_iter().flatten().zip(&job.datasets) {
        let file: &mut DatasetFile = file;
        file.path = match dataset_path(folders, id).await {
            Err(ServiceError::Storage(StorageError::NotFound { key }))
                if key == ObjectKey::dataset(id) =>
            {
                return Err(changed(&job.spec, format!("dataset `{id}`"))?);
            }
            path => path?,
        };
    }
    Ok(spec)
}

#[cfg(test)]
mod tests;
