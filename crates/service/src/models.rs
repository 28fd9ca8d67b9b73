use std::{
    fs,
    path::{Path, PathBuf},
};

use futures::{StreamExt, TryStreamExt, stream};
use llmopt_artifact::ModelFolder;
use llmopt_domain::{Digest, ModelId, ModelName, ObjectKey};
use llmopt_storage::{FolderStore, StorageError};
use llmopt_tokenization::Encoder;

use crate::{
    HubFailure, HubRepository, ModelHub, ModelReference, ModelSummary, ResolvedModel, ServiceError,
    blocking::blocking, hub::well_known, memory::ModelMemory,
};

/// Models that are looked at once: each is a handful of files, and small functions list them too.
const AT_ONCE: usize = 4;
/// The revision of a base model that was copied from a folder.
const IMPORTED: &str = "imported";

/// The models that were published to a store, and what else can be a base.
///
/// What it finds is there to be described: the files with weights may be missing from the folder, where
/// the store is not on this machine, until [`Models::whole`] is asked for them.
pub struct Models<'a> {
    store: &'a dyn FolderStore,
    memory: ModelMemory,
}

impl<'a> Models<'a> {
    /// Looks after the models in `store`.
    pub fn new(store: &'a dyn FolderStore) -> Self {
        Self::remembering(store, ModelMemory::default())
    }

    /// As [`Models::new`], with what was read of the models before.
    pub(crate) fn remembering(store: &'a dyn FolderStore, memory: ModelMemory) -> Self {
        Self { store, memory }
    }

    /// Returns every published version, by id and then by version.
    ///
    /// # Errors
    /// [`ServiceError::Storage`], or [`ServiceError::Artifact`] if a published folder is damaged.
    pub async fn list(&self) -> Result<Vec<ModelSummary>, ServiceError> {
        let keys = self.store.list_below(&ObjectKey::models()).await?;
        let mut models = self.summaries(&keys).await?;
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
        // A folder of the same name in the current folder is not what was asked for.
        let found = match ModelReference::parse_name(text) {
            Ok(ModelReference::FineTuned { id, version }) => self.by_id(&id, version).await?,
            Ok(ModelReference::Name { name, version }) => self.by_name(&name, version).await?,
            Ok(
                ModelReference::Repository(_) | ModelReference::Base(_) | ModelReference::Folder(_),
            )
            | Err(_) => None,
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
        self.resolve_reference(ModelReference::parse(text)?, text, hub)
            .await
    }

    /// As [`Models::resolve`], for those who may not name a folder of this machine.
    ///
    /// # Errors
    /// As [`Models::resolve`].
    pub async fn resolve_name(
        &self,
        text: &str,
        hub: &dyn ModelHub,
    ) -> Result<ResolvedModel, ServiceError> {
        self.resolve_reference(ModelReference::parse_name(text)?, text, hub)
            .await
    }

    /// Returns the names of the base models, sorted.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn bases(&self) -> Result<Vec<String>, ServiceError> {
        let revisions = self.store.list_below(&ObjectKey::bases()).await?;
        let parents = revisions.iter().filter_map(ObjectKey::parent);
        let mut names: Vec<String> = parents.map(|it| format!("base:{}", it.name())).collect();
        names.dedup();
        Ok(names)
    }

    /// Copies the model in `folder` into the store as `base:NAME`.
    ///
    /// # Errors
    /// [`ServiceError::Artifact`] or [`ServiceError::Tokenization`] if it is no whole model,
    /// [`ServiceError::Storage`] if the name is taken.
    pub async fn import(
        &self,
        folder: &Path,
        name: &ModelName,
    ) -> Result<ResolvedModel, ServiceError> {
        let model = ModelFolder::open(folder)?;
        Encoder::open(folder, None)?;
        let staged = self.store.stage().await?;
        for file in model.files()? {
            let copied = fs::copy(folder.join(&file), staged.path().join(&file));
            copied.map_err(ServiceError::file("copy", folder.join(&file)))?;
        }
        let key = ObjectKey::base(name.as_str(), IMPORTED);
        self.store.publish(staged.path(), &key).await?;
        self.base(name.as_str())
            .await?
            .ok_or_else(|| ServiceError::UnknownModel {
                name: format!("base:{name}"),
            })
    }

    /// Deletes every revision of the base model that is called `name`. What was trained on it stays, and answers
    /// with the weights that its adapter was merged into.
    ///
    /// # Errors
    /// [`ServiceError::UnknownModel`], [`ServiceError::Storage`].
    pub async fn delete_base(&self, name: &str) -> Result<(), ServiceError> {
        let revisions = self.store.list(&ObjectKey::base_revisions(name)).await?;
        if revisions.is_empty() {
            return Err(ServiceError::UnknownModel {
                name: format!("base:{name}"),
            });
        }
        for revision in revisions {
            self.store.delete(&revision).await?;
        }
        Ok(())
    }

    /// Deletes a published version, or every version of a model where none is named.
    ///
    /// # Errors
    /// [`ServiceError::UnknownModel`], [`ServiceError::Ambiguous`], [`ServiceError::Storage`].
    pub async fn delete(&self, text: &str) -> Result<Vec<ModelSummary>, ServiceError> {
        let named = self.show(text).await?;
        let has_version = match ModelReference::parse_name(text)? {
            ModelReference::FineTuned { version, .. } | ModelReference::Name { version, .. } => {
                version.is_some()
            }
            _ => false,
        };
        let mut doomed = self.versions(&ObjectKey::model_versions(&named.id)).await?;
        doomed.retain(|model| !has_version || model.version == named.version);
        for model in &doomed {
            let key = ObjectKey::model(&model.id, model.version);
            self.store.delete(&key).await?;
        }
        Ok(doomed)
    }

    /// Returns the model that is called `name` in a job's specification, if it is in the store.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub(crate) async fn stored(&self, name: &str) -> Result<Option<ResolvedModel>, ServiceError> {
        match ModelReference::parse_name(name) {
            Ok(ModelReference::Base(name)) => self.base(&name).await,
            Ok(ModelReference::FineTuned { id, version }) => match self.by_id(&id, version).await {
                Ok(model) => Ok(model.map(Into::into)),
                Err(ServiceError::UnknownVersion { .. }) => Ok(None),
                Err(error) => Err(error),
            },
            _ => Ok(None),
        }
    }

    async fn base(&self, name: &str) -> Result<Option<ResolvedModel>, ServiceError> {
        self.newest_base(&ObjectKey::base_revisions(name)).await
    }

    async fn newest_base(&self, parent: &ObjectKey) -> Result<Option<ResolvedModel>, ServiceError> {
        let Some(key) = self.store.list(parent).await?.pop() else {
            return Ok(None);
        };
        let path = self.store.open_part(&key, is_description).await?;
        ResolvedModel::of_base(parent.name(), path, key).map(Some)
    }

    /// Returns a folder with every file of the model.
    ///
    /// # Errors
    /// [`ServiceError::Storage`].
    pub async fn whole(&self, model: &ResolvedModel) -> Result<PathBuf, ServiceError> {
        match &model.key {
            Some(key) => Ok(self.store.open(key).await?),
            None => Ok(model.path.clone()),
        }
    }

    /// Returns the digest over the model's files ([`ModelFolder::digest`]).
    ///
    /// # Errors
    /// [`ServiceError::Storage`], or [`ServiceError::Artifact`] if it is no whole model.
    pub async fn digest(&self, model: &ResolvedModel) -> Result<Digest, ServiceError> {
        if let Some(key) = &model.key
            && let Some(digest) = ModelFolder::digest_of(&self.store.digests(key).await?)?
        {
            return Ok(digest);
        }
        let path = model.path.clone();
        blocking("read a model", move || {
            Ok(ModelFolder::open(&path)?.digest()?)
        })
        .await
    }

    async fn resolve_reference(
        &self,
        reference: ModelReference,
        text: &str,
        hub: &dyn ModelHub,
    ) -> Result<ResolvedModel, ServiceError> {
        let unknown = || ServiceError::UnknownModel {
            name: text.to_owned(),
        };
        match reference {
            ModelReference::Folder(path) => ResolvedModel::of_folder(&path),
            ModelReference::Base(name) => self.base(&name).await?.ok_or_else(unknown),
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
        let keys = self.store.list(parent).await?;
        let mut models = self.summaries(&keys).await?;
        models.sort_by_key(|model| model.version);
        Ok(models)
    }

    async fn summaries(&self, keys: &[ObjectKey]) -> Result<Vec<ModelSummary>, ServiceError> {
        let mut summaries = Vec::new();
        for key in keys {
            summaries.push(self.summary(key));
        }
        let summaries = few_at_once(summaries).await?.into_iter();
        Ok(summaries.flatten().collect())
    }

    async fn summary(&self, key: &ObjectKey) -> Result<Option<ModelSummary>, ServiceError> {
        let Ok(version) = key.name().parse() else {
            return Ok(None);
        };
        match self.store.open_part(key, is_description).await {
            Ok(path) => self.memory.summary(version, path).map(Some),
            // Deleted since it was listed.
            Err(StorageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns what all of `work` returns, in its order.
async fn few_at_once<T>(
    work: Vec<impl Future<Output = Result<T, ServiceError>>>,
) -> Result<Vec<T>, ServiceError> {
    stream::iter(work).buffered(AT_ONCE).try_collect().await
}

/// Whether a file of a model's folder, by its path, tells of the model and holds no weights.
pub fn is_description(name: &str) -> bool {
    !name.ends_with(".safetensors") && !name.ends_with(".gguf")
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
