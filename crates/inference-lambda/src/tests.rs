//! Against a Lambda that knows no streams, as emulators do; streams are tested with the functions
//! (`tests/aws`).

use aws_config::BehaviorVersion;
use aws_sdk_lambda::config::{Credentials, Region};
use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use llmopt_domain::{Conversation, Message, ObjectKey, Role};
use llmopt_service::{FinishReason, ModelFiles, Sampling, ServedModel};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;

/// A generator of a Lambda that answers an invocation with `whole` and streams with `streamed`.
async fn generator<Whole, Streamed>(streamed: Streamed, whole: Whole) -> LambdaTextGenerator
where
    Whole: IntoResponse + Clone + Send + Sync + 'static,
    Streamed: IntoResponse + Clone + Send + Sync + 'static,
{
    let lambda = Router::new()
        .route(
            "/2021-11-15/functions/inference/response-streaming-invocations",
            post(move || async move { streamed }),
        )
        .route(
            "/2015-03-31/functions/inference/invocations",
            post(move || async move { whole }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, lambda).await });
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(aws_sdk_lambda::config::SharedCredentialsProvider::new(
            Credentials::new("test", "test", None, None, "tests"),
        ))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    LambdaTextGenerator::new(&config, "inference")
}

fn request() -> GenerationRequest {
    let key = ObjectKey::base("tiny", "imported");
    GenerationRequest {
        model: ServedModel {
            key: "base:tiny".to_owned(),
            weights: ModelFiles::Published(key.clone()),
            weights_digest: None,
            adapter: None,
            tokenizer: ModelFiles::Published(key),
        },
        conversation: Conversation::new(vec![Message::new(Role::User, "Hi")]),
        sampling: Sampling {
            max_tokens: 8,
            temperature: 0.0,
            top_p: 1.0,
            stop: Vec::new(),
            seed: 0,
        },
    }
}

fn text(text: &str) -> GenerationEvent {
    GenerationEvent::Text {
        text: text.to_owned(),
    }
}

fn finished() -> GenerationEvent {
    GenerationEvent::Finished {
        finish_reason: FinishReason::Stop,
        prompt_tokens: 3,
        completion_tokens: 2,
        cached: true,
        first_token_ms: 1,
    }
}

async fn events(generator: &LambdaTextGenerator) -> Vec<Result<GenerationEvent, RemoteFailure>> {
    let mut answer = match generator.generate(request()).await {
        Ok(answer) => answer,
        Err(error) => return vec![Err(RemoteFailure::from(&error))],
    };
    let mut events = Vec::new();
    while let Some(event) = answer.recv().await {
        events.push(event.map_err(|error| RemoteFailure::from(&error)));
    }
    events
}

fn whole(lines: &[GenerationEvent]) -> String {
    let lines: Vec<GenerationLine> = lines.iter().cloned().map(GenerationLine::Event).collect();
    serde_json::to_string(&lines).unwrap()
}

/// What a service says that does not let itself be asked.
#[derive(Clone)]
struct Refused(StatusCode, &'static str);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({ "Message": "no" }).to_string();
        (self.0, [("x-amzn-errortype", self.1)], body).into_response()
    }
}

#[tokio::test]
async fn an_endpoint_without_streams_is_asked_for_the_whole_answer() {
    for status in [
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::NOT_IMPLEMENTED,
    ] {
        let answer = [text("Hello"), text(" there"), finished()];
        let generator = generator(status, whole(&answer)).await;
        assert_eq!(events(&generator).await, answer.map(Ok), "{status}");
    }
}

#[tokio::test]
async fn a_whole_answer_that_is_not_whole_is_a_failure() {
    let without_end = whole(&[text("Hello")]);
    let found = events(&generator(StatusCode::NOT_IMPLEMENTED, without_end).await).await;
    let [Ok(first), Err(failure)] = found.as_slice() else {
        panic!("expected a text and a failure, found {found:?}");
    };
    assert_eq!(first, &text("Hello"));
    assert_eq!(failure.kind, FailureKind::Internal);
    assert!(failure.message.contains("broke off"), "{failure:?}");

    for nonsense in ["", "{\"a\": 1}", "[{\"event\":"] {
        let found = events(&generator(StatusCode::NOT_IMPLEMENTED, nonsense).await).await;
        assert!(
            matches!(found.as_slice(), [Err(failure)] if failure.kind == FailureKind::Internal),
            "{nonsense}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_function_that_fails_or_is_not_there_is_told_and_not_asked_again() {
    let died = (
        [("x-amz-function-error", "Unhandled")],
        json!({ "errorType": "Runtime.ExitError" }).to_string(),
    );
    let found = events(&generator(StatusCode::NOT_IMPLEMENTED, died).await).await;
    let [Err(failure)] = found.as_slice() else {
        panic!("expected a failure, found {found:?}");
    };
    assert_eq!(failure.kind, FailureKind::Internal);
    assert!(failure.message.contains("Runtime.ExitError"), "{failure:?}");

    for (status, error) in [
        (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
        (StatusCode::FORBIDDEN, "AccessDeniedException"),
        (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
    ] {
        let answer = whole(&[text("nobody asked"), finished()]);
        let generator = generator(Refused(status, error), answer).await;
        let found = events(&generator).await;
        assert!(
            matches!(found.as_slice(), [Err(failure)] if failure.kind == FailureKind::Unavailable),
            "{error}: {found:?}"
        );
    }
}
