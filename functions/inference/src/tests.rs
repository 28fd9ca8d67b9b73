use async_trait::async_trait;
use axum::{
    body::to_bytes,
    http::{Request, StatusCode},
};
use llmopt_domain::{Message, Role};
use llmopt_service::{CacheStatus, FinishReason, Sampling, ServedModel};
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::*;

/// Says the last message, and fails where it is told to.
struct Echo;

#[async_trait]
impl TextGenerator for Echo {
    async fn generate(
        &self,
        request: GenerationRequest,
    ) -> Result<GenerationStream, GenerationError> {
        let text = request.messages.last().unwrap().content.clone();
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

    fn cache(&self) -> CacheStatus {
        CacheStatus::default()
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

async fn ask(text: &str) -> (StatusCode, Vec<Value>) {
    let request = GenerationRequest {
        model: ServedModel {
            key: "m".to_owned(),
            weights: "/models/m".into(),
            weights_digest: None,
            adapter: None,
            tokenizer: "/models/m".into(),
        },
        messages: vec![Message {
            role: Role::User,
            content: text.to_owned(),
        }],
        sampling: Sampling {
            max_tokens: 2,
            temperature: 0.0,
            top_p: 1.0,
            stop: Vec::new(),
            seed: 1,
        },
    };
    let request = Request::post("/inference")
        .header("content-type", "application/json")
        .body(Body::from(serde_json::to_vec(&request).unwrap()))
        .unwrap();
    let response = router(Arc::new(Echo)).oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let lines = std::str::from_utf8(&body).unwrap().lines();
    let lines = lines.map(|line| serde_json::from_str(line).unwrap());
    (status, lines.collect())
}

#[tokio::test]
async fn events_come_one_a_line_and_are_read_as_they_were() {
    let (status, lines) = ask("Grüße\n").await;
    assert_eq!(status, StatusCode::OK);
    let read = |line: &Value| serde_json::from_value::<GenerationEvent>(line.clone()).unwrap();
    let text = "Grüße\n".to_owned();
    assert_eq!(read(&lines[0]), GenerationEvent::Text { text });
    assert_eq!(read(&lines[1]), finished());
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn an_answer_that_breaks_off_ends_with_the_problem() {
    let (status, lines) = ask("break off").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(lines[1]["event"], "error");
    assert_eq!(lines[1]["problem"]["code"], "internal");
    let said = lines[1].to_string();
    assert!(
        !said.contains("fire"),
        "what failed inside is not for callers: {said}"
    );
}

#[tokio::test]
async fn what_is_wrong_before_the_first_token_is_a_problem() {
    let (status, lines) = ask("too long").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(lines[0]["code"], "validation_failed");
}
