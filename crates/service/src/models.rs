use std::{fs, io, path::Path};

use llmopt_domain::{Digest, ModelId, ModelName, ObjectKey};
use llmopt_storage::FolderStore;

use crate::{
    HubFailure, HubRepository, ModelHub, ModelReference, ModelSummary, ResolvedModel, ServiceError,
    hub::well_known,
};

/// The models that were published to a data directory, and what else can be a base.
pub struct Models<'a> {
    store: &'a dyn FolderStore,
    data_dir: &'a Path,
}

impl<'a> Models<'a> {
    /// Looks after the models in `data_dir`, whose folders `store` holds.
    pub fn new(store: &'a dyn FolderStore, data_dir: &'a Path) -> Self {
        Self { store, data_dir }
    }

    /// Returns every published version, by id and then by version.
    ///
    /// # Errors
    /// [`ServiceError::Storage`], or [`ServiceError::Artifact`] if a published folder is damaged.
    pub async fn list(&self) -> Result<Vec<ModelSummary>, ServiceError> {
        let mut models = Vec::new();
        for parent in self.parents()? {
            models.extend(self.versions(&parent).await?);
        }
        models.sort_by(|a, b| (&a.id, a.version).cmp(&(&b.id, b.version)));
        Ok(models)
    }

    /// Returns the published model that `text` names: `NAME[:VERSION]` or `ft:BASE:NAME[:VERSION]`.
    ///
    /// # Errors
    /// If `text` names none, or several.
    pub async fn show(&self, text: &str) -> Result<ModelSummary, ServiceError> {
        let unknown = || ServiceError::UnknownModel {
            name: text.to_owned(),
        };
        let found = match ModelReference::parse(text) {
            Ok(ModelReference::FineTuned { id, version }) => self.by_id(&id, version).await?,
            Ok(ModelReference::Name { name, version }) => self.by_name(&name, version).await?,
            // A folder of the same name in the current folder is not what was asked for.
            Ok(ModelReference::Folder(_)) => match text.parse() {
                Ok(name) => self.by_name(&name, None).await?,
                Err(_) => None,
            },
            Ok(ModelReference::Repository(_)) | Err(_) => None,
        };
        found.ok_or_else(unknown)
    }

    /// Finds the files of the model that `text` names; see [`ModelReference`].
    ///
    /// # Errors
    /// If `text` names no model, or its files cannot be had.
    pub async fn resolve(
        &self,
        text: &str,
        hub: &dyn ModelHub,
    ) -> Result<ResolvedModel, ServiceError> {
        let unknown = || ServiceError::UnknownModel {
            name: text.to_owned(),
        };
        match ModelReference::parse(text)? {
            ModelReference::Folder(path) => ResolvedModel::of_folder(&path),
            ModelReference::FineTuned { id, version } => {
                let model = self.by_id(&id, version).await?;
                model.map(Into::into).ok_or_else(unknown)
            }
            ModelReference::Name { name, version } => {
                if let Some(model) = self.by_name(&name, version).await? {
                    return Ok(model.into());
                }
                match well_known(name.as_str()).filter(|_| version.is_none()) {
                    Some(repository) => fetch(hub, repository, None).await,
                    None => Err(unknown()),
                }
            }
            ModelReference::Repository(HubRepository {
                repository,
                revision,
            }) => {
                let known = well_known(&repository).unwrap_or(&repository);
                fetch(hub, known, revision.clone()).await
            }
        }
    }

    /// Returns the version that the job published, if it did.
    ///
    /// # Errors
    /// [`ServiceError::Storage`], or [`ServiceError::Artifact`] if a published folder is damaged.
    pub async fn published_by(
        &self,
        id: &ModelId,
        job: &Digest,
    ) -> Result<Option<ModelSummary>, ServiceError> {
        let versions = self.versions(&ObjectKey::model_versions(id)).await?;
        Ok(versions.into_iter().find(|model| model.job == *job))
    }

    async fn by_id(
        &self,
        id: &ModelId,
        version: Option<u32>,
    ) -> Result<Option<ModelSummary>, ServiceError> {
        pick(
            self.versions(&ObjectKey::model_versions(id)).await?,
            version,
        )
    }

    async fn by_name(
        &self,
        name: &ModelName,
        version: Option<u32>,
    ) -> Result<Option<ModelSummary>, ServiceError> {
        let mut models = self.list().await?;
        models.retain(|model| model.id.name == *name);
        let mut candidates: Vec<ModelId> = models.iter().map(|model| model.id.clone()).collect();
        candidates.dedup();
        if candidates.len() > 1 {
            return Err(ServiceError::Ambiguous {
                name: name.to_string(),
                candidates,
            });
        }
        pick(models, version)
    }

    /// Returns the versions below `parent`, oldest first.
    async fn versions(&self, parent: &ObjectKey) -> Result<Vec<ModelSummary>, ServiceError> {
        let mut models = Vec::new();
        for key in self.store.list(parent).await? {
            if let Ok(version) = key.name().parse() {
                models.push(ModelSummary::read(version, self.store.open(&key).await?)?);
            }
        }
        models.sort_by_key(|model| model.version);
        Ok(models)
    }

    /// Returns the keys that hold versions. A store lists only what is published, and these are not.
    fn parents(&self) -> Result<Vec<ObjectKey>, ServiceError> {
        let models = ObjectKey::models();
        let folder = self.data_dir.join(models.as_str());
        let read = || {
            let names = fs::read_dir(&folder)?.map(|entry| Ok(entry?.file_name()));
            names.collect::<io::Result<Vec<_>>>()
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(ServiceError::file("read", &folder)(error)),
            Ok(names) => Ok(names
                .iter()
                .filter_map(|name| models.child(name.to_str()?))
                .collect()),
        }
    }
}

/// Returns the version asked for, or the newest; `None` where there is none at all.
fn pick(
    models: Vec<ModelSummary>,
    version: Option<u32>,
) -> Result<Option<ModelSummary>, ServiceError> {
    let Some(newest) = models.last().cloned() else {
        return Ok(None);
    };
    let Some(version) = version else {
        return Ok(Some(newest));
    };
    let found = models.into_iter().find(|model| model.version == version);
    let (id, newest) = (newest.id, newest.version);
    found.map(Some).ok_or(ServiceError::UnknownVersion {
        id,
        version,
        newest,
    })
}

async fn fetch(
    hub: &dyn ModelHub,
    repository: &str,
    revision: Option<String>,
) -> Result<ResolvedModel, ServiceError> {
    let asked = HubRepository {
        repository: repository.to_owned(),
        revision,
    };
    let path = hub.fetch(&asked).await.map_err(|failure| match failure {
        HubFailure::Refused(source) => ServiceError::HubRefused(source),
        HubFailure::Failed(source) => ServiceError::HubFailed(source),
    })?;
    ResolvedModel::of_repository(repository, path)
}

#[cfg(test)]
mod tests;
