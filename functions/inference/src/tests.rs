use async_trait::async_trait;
use llmopt_domain::{Conversation, Message, Role};
use llmopt_service::{CacheStatus, FailureKind, FinishReason, Sampling, ServedModel};
use tokio::sync::mpsc;

use super::*;

/// Says the last message, and fails where it is told to.
struct Echo;

#[async_trait]
impl TextGenerator for Echo {
    async fn generate(
        &self,
        request: GenerationRequest,
    ) -> Result<GenerationStream, GenerationError> {
        let text = request
            .conversation
            .messages
            .last()
            .unwrap()
            .content
            .clone();
        if text == "too long" {
            return Err(GenerationError::Overlong {
                tokens: 9,
                context: 8,
            });
        }
        let last = if text == "break off" {
            Err(GenerationError::Compute {
                key: request.model.key,
                source: "the machine is on fire".into(),
            })
        } else {
            Ok(finished())
        };
        let (sender, stream) = mpsc::channel(2);
        sender
            .send(Ok(GenerationEvent::Text { text }))
            .await
            .unwrap();
        sender.send(last).await.unwrap();
        Ok(stream)
    }

    fn cache(&self) -> Option<CacheStatus> {
        None
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

fn request(content: &str) -> GenerationRequest {
    let key = llmopt_domain::ObjectKey::base("tiny", "imported");
    GenerationRequest {
        model: ServedModel {
            key: "base:tiny".to_owned(),
            weights: ModelFiles::Published(key.clone()),
            weights_digest: None,
            adapter: None,
            tokenizer: ModelFiles::Published(key),
        },
        conversation: Conversation::new(vec![Message::new(Role::User, content)]),
        sampling: Sampling {
            max_tokens: 8,
            temperature: 0.0,
            top_p: 1.0,
            stop: Vec::new(),
            seed: 0,
        },
    }
}

async fn lines(request: Value) -> Vec<GenerationLine> {
    let answer = answer(Arc::new(Echo), request).await;
    let parts: Vec<Bytes> = answer.collect().await;
    parts
        .iter()
        .map(|part| serde_json::from_slice(part.strip_suffix(b"\n").unwrap()).unwrap())
        .collect()
}

fn json(request: &GenerationRequest) -> Value {
    serde_json::to_value(request).unwrap()
}

#[tokio::test]
async fn an_answer_is_a_line_for_each_event() {
    let text = "Hi".to_owned();
    assert_eq!(
        lines(json(&request("Hi"))).await,
        [
            GenerationLine::Event(GenerationEvent::Text { text }),
            GenerationLine::Event(finished())
        ]
    );
}

#[tokio::test]
async fn what_fails_is_the_last_line_and_says_whose_fault_it_is() {
    for (content, kind, count) in [
        ("too long", FailureKind::Input, 1),
        ("break off", FailureKind::Internal, 2),
    ] {
        let lines = lines(json(&request(content))).await;
        assert_eq!(lines.len(), count, "{lines:?}");
        let Some(GenerationLine::Failure(failure)) = lines.last() else {
            panic!("no failure: {lines:?}");
        };
        assert_eq!(failure.kind, kind);
    }
}

#[tokio::test]
async fn folders_of_the_machine_and_foreign_json_are_refused() {
    let mut folder = request("Hi");
    folder.model.weights = ModelFiles::Folder("/etc".into());
    for request in [json(&folder), serde_json::json!({"model": "/etc"})] {
        let lines = lines(request).await;
        assert!(
            matches!(lines.as_slice(), [GenerationLine::Failure(failure)] if failure.kind == FailureKind::Input),
            "{lines:?}"
        );
    }
}
