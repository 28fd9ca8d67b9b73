use std::{path::PathBuf, sync::Arc};

use llmopt_domain::{Message, Method};
use llmopt_storage::FolderStore;
use serde::Serialize;

use crate::{
    CacheStatus, GenerationRequest, GenerationStream, Jobs, ModelReference, ModelSummary, Models,
    Sampling, ServedModel, ServiceError, TextGenerator,
    evaluation::{ADAPTER, base_folder},
    hub::NoHub,
    memory::ModelMemory,
};

/// Answers with the models that are here.
#[derive(Clone)]
pub struct Generation {
    folders: Arc<dyn FolderStore>,
    data_dir: PathBuf,
    generator: Arc<dyn TextGenerator>,
    memory: ModelMemory,
}

/// What a user asks a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The model: `ft:BASE:NAME[:VERSION]`, `NAME[:VERSION]` or `base:NAME`.
    pub model: String,
    /// The turns to answer.
    pub messages: Vec<Message>,
    /// How.
    pub sampling: Sampling,
}

/// A model that was found for a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answerer {
    /// Its whole id, the version included.
    pub id: String,
    /// What of it answers.
    pub weights: AnswerWeights,
    /// What the generator loads.
    pub served: ServedModel,
}

/// What of a model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerWeights {
    /// A base model's.
    Base,
    /// A base model's with an adapter on them, as trained.
    Adapter,
    /// Those that an adapter was merged into, which are of 16 bits: its base is not here.
    Merged,
    /// Those that training changed, all of them.
    Full,
}

impl Generation {
    /// Answers with `generator` from the models in `folders`.
    pub fn new(
        folders: Arc<dyn FolderStore>,
        data_dir: PathBuf,
        generator: Arc<dyn TextGenerator>,
    ) -> Self {
        Self {
            folders,
            data_dir,
            generator,
            memory: ModelMemory::default(),
        }
    }

    /// Finds the model that `name` names and begins to answer with it.
    ///
    /// # Errors
    /// [`ServiceError::UnknownModel`] and its kin, or [`ServiceError::Generation`].
    pub async fn answer(
        &self,
        question: Question,
    ) -> Result<(Answerer, GenerationStream), ServiceError> {
        let answerer = self.find(&question.model).await?;
        let request = GenerationRequest {
            model: answerer.served.clone(),
            messages: question.messages,
            sampling: question.sampling,
        };
        let stream = self.generator.generate(request).await?;
        Ok((answerer, stream))
    }

    /// Tells what is in memory.
    pub fn cache(&self) -> CacheStatus {
        self.generator.cache()
    }

    async fn find(&self, name: &str) -> Result<Answerer, ServiceError> {
        let memory = self.memory.clone();
        let models = Models::remembering(&*self.folders, &self.data_dir, memory);
        if let ModelReference::Base(_) = ModelReference::parse_name(name)? {
            let base = models.resolve_name(name, &NoHub).await?;
            return Ok(Answerer {
                id: base.name.clone(),
                weights: AnswerWeights::Base,
                served: ServedModel {
                    key: format!("{}@{}", base.name, base.path.display()),
                    weights: base.path.clone(),
                    weights_digest: None,
                    adapter: None,
                    tokenizer: base.path,
                },
            });
        }
        self.fine_tuned(&models.show(name).await?)
    }

    fn fine_tuned(&self, model: &ModelSummary) -> Result<Answerer, ServiceError> {
        let id = format!("{}:{}", model.id, model.version);
        let jobs = Jobs::new(&*self.folders, &self.data_dir);
        let base = match model.method {
            Method::Lora => base_folder(&jobs, &model.job)?,
            Method::Full => None,
        };
        let weights = match (model.method, &base) {
            (Method::Lora, Some(_)) => AnswerWeights::Adapter,
            (Method::Lora, None) => AnswerWeights::Merged,
            (Method::Full, _) => AnswerWeights::Full,
        };
        let adapter = base.is_some().then(|| model.path.join(ADAPTER));
        let (folder, weights_digest) = match base {
            Some((path, digest)) => (path, Some(digest)),
            None => (model.path.clone(), None),
        };
        Ok(Answerer {
            weights,
            served: ServedModel {
                // A version may be deleted and its number given to another job's result, and a base may
                // come or go.
                key: format!("{id}@{}/{}", model.job.short(), folder.display()),
                weights: folder,
                weights_digest,
                adapter,
                tokenizer: model.path.clone(),
            },
            id,
        })
    }
}
