use std::{path::PathBuf, sync::Arc};

use llmopt_domain::{Conversation, Method, ObjectKey};
use llmopt_storage::FolderStore;
use llmopt_tokenization::Encoder;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    GenerationRequest, GenerationStream, Jobs, ModelFiles, ModelReference, ModelSummary, Models,
    ResolvedModel, Sampling, ServedModel, ServiceError, TextGenerator, blocking::blocking,
    evaluation::base_folder, hub::NoHub, is_description, memory::ModelMemory,
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
    /// The turns to answer, and the tools that the answer may call.
    pub conversation: Conversation,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
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
            conversation: question.conversation,
            sampling: question.sampling,
        };
        let stream = self.generator.generate(request).await?;
        Ok((answerer, stream))
    }

    /// Finds the model that `name` names and counts the tokens of `prompts` as it does when it answers: those of
    /// one that it cannot be asked are an error of its own.
    ///
    /// # Errors
    /// [`ServiceError::UnknownModel`] and its kin, or [`ServiceError::Tokenization`] where its tokenizer cannot
    /// be opened.
    pub async fn count_tokens(
        &self,
        name: &str,
        prompts: Vec<Conversation>,
    ) -> Result<Vec<Result<u64, ServiceError>>, ServiceError> {
        let folder = match self.find(name).await?.served.tokenizer {
            ModelFiles::Folder(path) => path,
            ModelFiles::Published(key) => self.folders.open_part(&key, is_description).await?,
        };
        blocking("count tokens", move || {
            let encoder = Encoder::open(&folder, None)?;
            let count = |prompt: &Conversation| Ok(encoder.encode_prompt(prompt)?.len() as u64);
            Ok(prompts.iter().map(count).collect())
        })
        .await
    }

    /// Checks that there is a model that `name` names.
    ///
    /// # Errors
    /// [`ServiceError::UnknownModel`] and its kin.
    pub async fn check(&self, name: &str) -> Result<(), ServiceError> {
        self.find(name).await.map(drop)
    }

    async fn find(&self, name: &str) -> Result<Answerer, ServiceError> {
        let models = Models::remembering(&*self.folders, self.memory.clone());
        if let ModelReference::Base(_) = ModelReference::parse_name(name)? {
            let base = models.resolve_name(name, &NoHub).await?;
            let files = files(&base);
            return Ok(Answerer {
                id: base.name.clone(),
                weights: AnswerWeights::Base,
                served: ServedModel {
                    key: format!("{}@{}", base.name, base.path.display()),
                    weights: files.clone(),
                    weights_digest: None,
                    adapter: None,
                    tokenizer: files,
                },
            });
        }
        let model = models.show(name).await?;
        let base = match model.method {
            Method::Lora => self.base(&model, &models).await?,
            Method::Full => None,
        };
        Ok(fine_tuned(&model, base))
    }

    /// Finds the base that an adapter was trained on, if it is here.
    async fn base(
        &self,
        model: &ModelSummary,
        models: &Models<'_>,
    ) -> Result<Option<ModelFiles>, ServiceError> {
        if let Some(base) = models.stored(&model.base).await? {
            return Ok(Some(files(&base)));
        }
        let jobs = Jobs::new(&*self.folders, &self.data_dir);
        Ok(base_folder(&jobs, &model.job)?.map(ModelFiles::Folder))
    }
}

fn files(model: &ResolvedModel) -> ModelFiles {
    match &model.key {
        Some(key) => ModelFiles::Published(key.clone()),
        None => ModelFiles::Folder(model.path.clone()),
    }
}

fn fine_tuned(model: &ModelSummary, base: Option<ModelFiles>) -> Answerer {
    let id = format!("{}:{}", model.id, model.version);
    let published = ModelFiles::Published(ObjectKey::model(&model.id, model.version));
    let weights = match (model.method, &base) {
        (Method::Lora, Some(_)) => AnswerWeights::Adapter,
        (Method::Lora, None) => AnswerWeights::Merged,
        (Method::Full, _) => AnswerWeights::Full,
    };
    let place = match &base {
        Some(ModelFiles::Folder(path)) => path.display().to_string(),
        Some(ModelFiles::Published(key)) => key.to_string(),
        None => "alone".to_owned(),
    };
    Answerer {
        weights,
        served: ServedModel {
            // A version may be deleted and its number given to another job's result, and a base may
            // come or go.
            key: format!("{id}@{}/{place}", model.job.short()),
            weights_digest: base.is_some().then(|| model.base_digest.clone()),
            adapter: base.is_some().then(|| published.clone()),
            weights: base.unwrap_or_else(|| published.clone()),
            tokenizer: published,
        },
        id,
    }
}
