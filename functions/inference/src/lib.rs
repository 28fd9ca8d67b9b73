//! The function that holds models in memory, for the processes that have none: it is invoked, and has no
//! route.
//!
//! Knows the form of the text generator's port on the wire: the request as JSON, the answer as one JSON
//! object a line. Does not know who asks, nor what a model is called.

use std::sync::Arc;

use axum::body::Bytes;
use futures::{Stream, StreamExt, future, stream};
use llmopt_service::{
    GenerationError, GenerationEvent, GenerationLine, GenerationRequest, GenerationStream,
    ModelFiles, RemoteFailure, Sampling, TextGenerator,
};
use serde_json::Value;

/// Answers a request, which came as JSON, line by line; a line that tells of a failure is the last.
pub async fn answer(
    generator: Arc<dyn TextGenerator>,
    request: Value,
) -> impl Stream<Item = Bytes> + Send + 'static {
    lines(generator, request).await.map(|line| render(&line))
}

/// Answers as [`answer`], all lines at once, for what cannot take a stream.
pub async fn answer_whole(
    generator: Arc<dyn TextGenerator>,
    request: Value,
) -> Vec<GenerationLine> {
    lines(generator, request).await.collect().await
}

async fn lines(
    generator: Arc<dyn TextGenerator>,
    request: Value,
) -> impl Stream<Item = GenerationLine> + Send + 'static {
    let begun = match parse(request) {
        Ok(request) => generator
            .generate(request)
            .await
            .map_err(|error| failure(&error)),
        Err(failure) => Err(failure),
    };
    match begun {
        Err(failure) => stream::once(future::ready(GenerationLine::Failure(failure))).left_stream(),
        Ok(answer) => stream::unfold(answer, |mut answer: GenerationStream| async {
            let event = answer.recv().await?;
            Some((line(event), answer))
        })
        .right_stream(),
    }
}

fn parse(request: Value) -> Result<GenerationRequest, RemoteFailure> {
    let input = |message: String| RemoteFailure {
        kind: llmopt_service::FailureKind::Input,
        message,
    };
    let request: GenerationRequest = serde_json::from_value(request)
        .map_err(|error| input(format!("this is no request for an answer: {error}")))?;
    let model = &request.model;
    let files = [
        Some(&model.weights),
        model.adapter.as_ref(),
        Some(&model.tokenizer),
    ];
    for file in files.into_iter().flatten() {
        if let ModelFiles::Folder(path) = file {
            // Who invokes a function may name what is published, and nothing else of its machine.
            let path = path.display();
            return Err(input(format!(
                "expected models that are published, found the folder `{path}`"
            )));
        }
    }
    let Sampling {
        temperature, top_p, ..
    } = request.sampling;
    // A number that is too large for its type is read as infinity.
    let is_temperature = temperature.is_finite() && temperature >= 0.0;
    if !is_temperature || top_p <= 0.0 || top_p > 1.0 || top_p.is_nan() {
        return Err(input(format!(
            "expected a temperature of 0 or more, and a `top_p` of more than 0 and at most 1, found {temperature} and {top_p}"
        )));
    }
    Ok(request)
}

fn line(event: Result<GenerationEvent, GenerationError>) -> GenerationLine {
    match event {
        Ok(event) => GenerationLine::Event(event),
        Err(error) => GenerationLine::Failure(failure(&error)),
    }
}

fn failure(error: &GenerationError) -> RemoteFailure {
    let failure = RemoteFailure::from(error);
    tracing::warn!(message = failure.message, "an answer failed");
    failure
}

fn render(line: &GenerationLine) -> Bytes {
    let mut json = serde_json::to_vec(line).unwrap_or_default();
    json.push(b'\n');
    json.into()
}

#[cfg(test)]
mod tests;
