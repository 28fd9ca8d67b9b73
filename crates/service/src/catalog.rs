use std::sync::Arc;

use llmopt_domain::TrainingJob;
use llmopt_storage::{FolderStore, RecordStore};

use crate::{
    ModelReference, ModelSummary, Models, ServiceError, hub::NoHub, memory::ModelMemory,
    training_jobs::active_jobs,
};

/// The models that can be asked, as their owners see them.
#[derive(Clone)]
pub struct ModelCatalog {
    folders: Arc<dyn FolderStore>,
    jobs: Arc<dyn RecordStore<TrainingJob>>,
    memory: ModelMemory,
}

/// A model of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub enum CatalogModel {
    /// A base model that was imported: `base:NAME`.
    Base(String),
    /// A version of a model that was trained here.
    FineTuned(Box<ModelSummary>),
}

impl ModelCatalog {
    /// Shows the models in `folders`; `jobs` tells which are in use.
    pub fn new(folders: Arc<dyn FolderStore>, jobs: Arc<dyn RecordStore<TrainingJob>>) -> Self {
        Self {
            folders,
            jobs,
            memory: ModelMemory::default(),
        }
    }

    /// Returns the base models, and the newest version of each model that was trained here.
    ///
    /// # Errors
    /// [`ServiceError::Storage`], or [`ServiceError::Artifact`] if a published folder is damaged.
    pub async fn list(&self) -> Result<Vec<CatalogModel>, ServiceError> {
        let models = self.models();
        let (bases, tuned) = tokio::try_join!(models.bases(), models.list())?;
        let mut newest: Vec<ModelSummary> = Vec::new();
        for model in tuned {
            // Versions of a model come one after the other, the newest last.
            if newest.last().is_some_and(|last| last.id == model.id) {
                newest.pop();
            }
            newest.push(model);
        }
        let bases = bases.into_iter().map(CatalogModel::Base);
        let tuned = newest
            .into_iter()
            .map(|model| CatalogModel::FineTuned(Box::new(model)));
        Ok(bases.chain(tuned).collect())
    }

    /// Returns the model that `id` names.
    ///
    /// # Errors
    /// [`ServiceError::UnknownModel`] and its kin.
    pub async fn get(&self, id: &str) -> Result<CatalogModel, ServiceError> {
        let models = self.models();
        if let Ok(ModelReference::Base(_)) = ModelReference::parse_name(id) {
            let base = models.resolve_name(id, &NoHub).await?;
            return Ok(CatalogModel::Base(base.name));
        }
        let model = models.show(id).await?;
        Ok(CatalogModel::FineTuned(Box::new(model)))
    }

    /// Deletes the version that `id` names, or every version where it names none; or a base model.
    ///
    /// # Errors
    /// [`ServiceError::ModelInUse`] while a job that is queued or running starts from it;
    /// [`ServiceError::UnknownModel`] and its kin.
    pub async fn delete(&self, id: &str) -> Result<(), ServiceError> {
        let models = self.models();
        if let Ok(ModelReference::Base(name)) = ModelReference::parse_name(id) {
            // A base has one name that jobs know it by, and several that a caller may spell it with.
            let base = models.resolve_name(id, &NoHub).await?;
            self.refuse_in_use(id, |used| used == base.name).await?;
            return models.delete_base(&name).await;
        }
        let model = models.show(id).await?;
        let name = format!("{}:", model.id);
        self.refuse_in_use(id, |base| base.starts_with(&name))
            .await?;
        models.delete(id).await?;
        Ok(())
    }

    async fn refuse_in_use(
        &self,
        id: &str,
        is_it: impl Fn(&str) -> bool,
    ) -> Result<(), ServiceError> {
        let jobs = active_jobs(&*self.jobs).await?;
        match jobs.into_iter().find(|job| is_it(&job.spec.base.name)) {
            None => Ok(()),
            Some(job) => Err(ServiceError::ModelInUse {
                id: id.to_owned(),
                job: job.id,
            }),
        }
    }

    fn models(&self) -> Models<'_> {
        Models::remembering(&*self.folders, self.memory.clone())
    }
}
