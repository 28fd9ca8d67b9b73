//! The Lambda function `inference`.

use std::{convert::Infallible, num::NonZeroU32, process::ExitCode, sync::Arc};

use futures::StreamExt;
use lambda_runtime::{
    BoxFuture, Error, LambdaEvent, Runtime, SnapStartResource, StreamResponse,
    layers::TracingLayer, service_fn,
};
use llmopt_config::{ModelWeights, Responses, Settings, variables};
use llmopt_inference::{EngineOptions, LlamaEngine, WeightType};
use llmopt_inference_function::{answer, answer_whole};
use llmopt_lambda::Failure;
use llmopt_service::{StoredGenerator, TextGenerator};
use llmopt_storage::FolderStore;
use llmopt_storage_aws::{Aws, S3FolderStore};
use serde_json::Value;

#[tokio::main]
async fn main() -> ExitCode {
    llmopt_lambda::run(serve).await
}

async fn serve(settings: Settings) -> Result<(), Failure> {
    let aws = Aws::connect().await;
    let folders =
        S3FolderStore::open(&aws, settings.need(&variables::BUCKET)?, &settings.data_dir)?;
    folders.check().await?;
    let folders = Arc::new(folders);
    let engine = LlamaEngine::new(&engine_options(&settings))?;
    let generator: Arc<dyn TextGenerator> = Arc::new(StoredGenerator::new(
        Arc::clone(&folders) as Arc<dyn FolderStore>,
        Arc::new(engine),
    ));
    let bucket = Arc::new(Bucket(folders));
    match settings.responses {
        Responses::Stream => stream(generator, bucket).await,
        Responses::Buffer => buffer(generator, bucket).await,
    }
}

/// What a snapshot of this process does not carry over: its way to the models.
struct Bucket(Arc<S3FolderStore>);

impl SnapStartResource for Bucket {
    /// Connections and credentials from before the snapshot are found out now, not by a request.
    fn after_restore(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(self.0.check().await?) })
    }
}

async fn stream(generator: Arc<dyn TextGenerator>, bucket: Arc<Bucket>) -> Result<(), Failure> {
    let answer = service_fn(|event: LambdaEvent<Value>| {
        let generator = Arc::clone(&generator);
        async move {
            let parts = answer(generator, event.payload).await;
            Ok::<_, Infallible>(StreamResponse::from(parts.map(Ok::<_, Infallible>).boxed()))
        }
    });
    Runtime::new(answer)
        .register_snapstart_resource(bucket)
        .layer(TracingLayer::new())
        .run()
        .await
}

async fn buffer(generator: Arc<dyn TextGenerator>, bucket: Arc<Bucket>) -> Result<(), Failure> {
    let answer = service_fn(|event: LambdaEvent<Value>| {
        let generator = Arc::clone(&generator);
        async move { Ok::<_, Infallible>(answer_whole(generator, event.payload).await) }
    });
    Runtime::new(answer)
        .register_snapstart_resource(bucket)
        .layer(TracingLayer::new())
        .run()
        .await
}

fn engine_options(settings: &Settings) -> EngineOptions {
    EngineOptions {
        max_models: settings.model_cache,
        max_bytes: settings.model_cache_bytes,
        weights: match settings.model_weights {
            ModelWeights::F32 => WeightType::F32,
            ModelWeights::F16 => WeightType::F16,
            ModelWeights::Q8_0 => WeightType::Q8_0,
        },
        threads: settings.model_threads,
        at_once: NonZeroU32::MIN,
        ..EngineOptions::new(settings.data_dir.join("gguf"))
    }
}
