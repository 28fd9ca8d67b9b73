//! What is answered.

use std::fs;
use std::path::PathBuf;

use llmopt_inference::{LlamaEngine, WeightType};
use llmopt_service::{FinishReason, GenerationError, Sampling, ServedModel};
use llmopt_tokenization::Encoder;
use serde::Deserialize;

use crate::workplace::{Workplace, ask, drawn, fixture, greedy, request, tiny};

/// What transformers and peft generated at temperature 0.
#[derive(Deserialize)]
struct Greedy {
    max_new_tokens: u32,
    eos_token_id: u32,
    base: Vec<Row>,
    lora: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    prompt: String,
    prompt_ids: Vec<u32>,
    generated_ids: Vec<u32>,
}

impl Row {
    /// What the user said, without the template.
    fn content(&self) -> &str {
        let turn = self.prompt.strip_prefix("### User:\n").unwrap();
        turn.strip_suffix("\n\n### Assistant:\n").unwrap()
    }
}

fn fixtures() -> Greedy {
    serde_json::from_str(&fs::read_to_string(fixture("greedy.json")).unwrap()).unwrap()
}

async fn check(engine: &LlamaEngine, model: &ServedModel<PathBuf>, greedy: &Greedy, rows: &[Row]) {
    let encoder = Encoder::open(&model.tokenizer, None).unwrap();
    assert_eq!(rows.len(), 20);
    for row in rows {
        let sampling = self::greedy(greedy.max_new_tokens);
        let answer = ask(engine, request(model, row.content(), sampling))
            .await
            .unwrap();
        assert_eq!(answer.text(), encoder.decode(&row.generated_ids).unwrap());
        assert_eq!(answer.prompt_tokens as usize, row.prompt_ids.len());
        assert_eq!(answer.completion_tokens as usize, row.generated_ids.len());
        let ended = row.generated_ids.last() == Some(&greedy.eos_token_id);
        let reason = if ended {
            FinishReason::Stop
        } else {
            FinishReason::Length
        };
        assert_eq!(answer.finish_reason, reason);
    }
}

#[tokio::test]
async fn greedy_answers_are_those_of_transformers_and_peft() {
    let workplace = Workplace::new();
    let engine = workplace.engine(2);
    let greedy = fixtures();
    let (base, adapted) = (tiny(None), tiny(Some(fixture("tiny-lora"))));
    check(&engine, &base, &greedy, &greedy.base).await;
    check(&engine, &adapted, &greedy, &greedy.lora).await;
    check(&engine, &base, &greedy, &greedy.base).await;
}

#[tokio::test]
async fn every_type_of_weights_answers_and_the_same_each_time() {
    for weights in [WeightType::F16, WeightType::Q8_0] {
        let workplace = Workplace::new();
        let options = llmopt_inference::EngineOptions {
            weights,
            ..workplace.options(1)
        };
        let engine = LlamaEngine::new(&options).unwrap();
        let first = ask(&engine, request(&tiny(None), "Hello", greedy(20)))
            .await
            .unwrap();
        let again = ask(&engine, request(&tiny(None), "Hello", greedy(20)))
            .await
            .unwrap();
        assert_eq!((first.text(), first.cached), (again.text(), false));
        assert!(again.cached);
    }
}

#[tokio::test]
async fn the_seed_fixes_an_answer_that_is_drawn() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let mut texts = Vec::new();
    for seed in [1, 2, 1, 2] {
        let answer = ask(&engine, request(&tiny(None), "Hello", drawn(24, seed)))
            .await
            .unwrap();
        texts.push(answer.text());
    }
    assert_eq!(texts[..2], texts[2..]);
    assert_ne!(texts[0], texts[1]);
}

#[tokio::test]
async fn a_stop_ends_the_answer_before_it() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let whole = ask(&engine, request(&tiny(None), "Hello", greedy(32)))
        .await
        .unwrap();
    let text = whole.text();
    let middle: Vec<char> = text.chars().skip(8).take(3).collect();
    let stop: String = middle.into_iter().collect();
    let expected = text.split(&stop).next().unwrap();
    let sampling = Sampling {
        stop: vec!["never".to_owned(), stop.clone()],
        ..greedy(32)
    };
    let answer = ask(&engine, request(&tiny(None), "Hello", sampling))
        .await
        .unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.finish_reason),
        (expected, FinishReason::Stop)
    );
    assert!(answer.completion_tokens < whole.completion_tokens);
}

#[tokio::test]
async fn an_answer_ends_where_the_context_does() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let answer = ask(&engine, request(&tiny(None), "Hello", greedy(u32::MAX)))
        .await
        .unwrap();
    assert_eq!(answer.finish_reason, FinishReason::Length);
    assert_eq!(answer.prompt_tokens + answer.completion_tokens, 96);
}

#[tokio::test]
async fn a_prompt_may_leave_room_for_one_token_but_not_for_none() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let mut tokens = Vec::new();
    // Each letter is one more token.
    for length in 0..96 {
        let content = "Q".repeat(length);
        match ask(&engine, request(&tiny(None), &content, greedy(2))).await {
            Ok(answer) => {
                let room = 96 - answer.prompt_tokens;
                assert_eq!(answer.completion_tokens, room.min(2));
                tokens.push(answer.prompt_tokens);
            }
            Err(GenerationError::Overlong { tokens, context }) => {
                assert!(tokens >= 96 && context == 96);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(tokens.last(), Some(&95));
}

#[tokio::test]
async fn turns_that_cannot_be_encoded_are_the_callers_error() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let error = ask(
        &engine,
        request(&tiny(None), "a <|endoftext|> b", greedy(2)),
    )
    .await;
    assert!(error.unwrap_err().is_input());
}

#[tokio::test]
async fn no_tokens_are_an_answer_too() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let answer = ask(&engine, request(&tiny(None), "Hello", greedy(0)))
        .await
        .unwrap();
    assert_eq!((answer.text().as_str(), answer.completion_tokens), ("", 0));
    assert_eq!(answer.finish_reason, FinishReason::Length);
}
