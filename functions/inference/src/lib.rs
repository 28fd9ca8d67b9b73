//! `/inference`: a text generator, for the processes that have none of their own.
//!
//! Knows the port's form on the wire: the request as JSON, the events as one JSON object a line. Does
//! not know who asks, nor what a model is called.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use futures::stream;
use llmopt_http::{JsonBody, Problem};
use llmopt_service::{
    GenerationError, GenerationEvent, GenerationRequest, GenerationStream, ServiceError,
    TextGenerator,
};
use serde_json::{Value, json};

/// Returns the route over `generator`.
pub fn router(generator: Arc<dyn TextGenerator>) -> Router {
    Router::new()
        .route("/inference", post(create_inference))
        .with_state(generator)
}

/// Generates, and sends each event as it comes; an error after the first is the last line.
async fn create_inference(
    State(generator): State<Arc<dyn TextGenerator>>,
    JsonBody(request): JsonBody<GenerationRequest>,
) -> Result<Response, Problem> {
    let stream = generator.generate(request).await;
    let stream = stream.map_err(ServiceError::from)?;
    let lines = stream::unfold(stream, |mut stream: GenerationStream| async {
        let event = stream.recv().await?;
        Some((Ok::<_, Infallible>(line(event)), stream))
    });
    let content_type = [("content-type", "application/x-ndjson")];
    Ok((content_type, Body::from_stream(lines)).into_response())
}

fn line(event: Result<GenerationEvent, GenerationError>) -> Bytes {
    let value = match event {
        Ok(event) => serde_json::to_value(event).unwrap_or(Value::Null),
        Err(error) => {
            let problem = Problem::from(ServiceError::from(error)).to_json(None);
            json!({ "event": "error", "problem": problem })
        }
    };
    Bytes::from(format!("{value}\n"))
}

#[cfg(test)]
mod tests;
