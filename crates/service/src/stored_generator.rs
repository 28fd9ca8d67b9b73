use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use llmopt_domain::ObjectKey;
use llmopt_storage::{FolderStore, StorageError, Wanted};

use crate::{
    CacheStatus, GenerationError, GenerationRequest, GenerationStream, ModelFiles, ServedModel,
    TextGenerator, evaluation::ADAPTER, is_description,
};

/// Finds the files of models in a store, for a generator that takes them from folders of this machine.
pub struct StoredGenerator {
    folders: Arc<dyn FolderStore>,
    generator: Arc<dyn TextGenerator<PathBuf>>,
}

impl StoredGenerator {
    /// Answers with `generator` from the models in `folders`.
    pub fn new(folders: Arc<dyn FolderStore>, generator: Arc<dyn TextGenerator<PathBuf>>) -> Self {
        Self { folders, generator }
    }

    async fn fetch(&self, model: ServedModel) -> Result<ServedModel<PathBuf>, StorageError> {
        let adapter = match model.adapter {
            None => None,
            Some(ModelFiles::Folder(path)) => Some(path),
            Some(ModelFiles::Published(key)) => Some(self.adapter(&key).await?),
        };
        Ok(ServedModel {
            key: model.key,
            weights: self.folder(model.weights, |_| true).await?,
            weights_digest: model.weights_digest,
            adapter,
            tokenizer: self.folder(model.tokenizer, is_description).await?,
        })
    }

    async fn adapter(&self, key: &ObjectKey) -> Result<PathBuf, StorageError> {
        let folder = self.folders.open_part(key, |name| {
            name.split_once('/')
                .is_some_and(|(folder, _)| folder == ADAPTER)
        });
        Ok(folder.await?.join(ADAPTER))
    }

    async fn folder(&self, files: ModelFiles, wanted: Wanted) -> Result<PathBuf, StorageError> {
        match files {
            ModelFiles::Folder(path) => Ok(path),
            ModelFiles::Published(key) => self.folders.open_part(&key, wanted).await,
        }
    }
}

#[async_trait]
impl TextGenerator for StoredGenerator {
    async fn generate(
        &self,
        request: GenerationRequest,
    ) -> Result<GenerationStream, GenerationError> {
        let key = request.model.key.clone();
        let model = self.fetch(request.model).await;
        let request = GenerationRequest {
            model: model.map_err(|source| GenerationError::Files { key, source })?,
            conversation: request.conversation,
            sampling: request.sampling,
        };
        self.generator.generate(request).await
    }

    fn cache(&self) -> Option<CacheStatus> {
        self.generator.cache()
    }
}
