//! Measures how fast the engine generates, from the first token to the last, as its caller sees it:
//! tokens chosen, text made and sent. Prints a line of JSON.
//!
//! `generation_rate FOLDER TOKENIZER TOKENS THREADS` makes a model of GPT-2 small's shape with random
//! weights in FOLDER if there is none, with the tokenizer in TOKENIZER, and serves it in Q8_0.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use llmopt_artifact::{Gpt2Config, init_gpt2};
use llmopt_domain::{Conversation, Message, Role};
use llmopt_inference::{EngineOptions, LlamaEngine, WeightType};
use llmopt_service::{GenerationEvent, GenerationRequest, Sampling, ServedModel, TextGenerator};
use llmopt_tokenization::Encoder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, tokenizer, tokens, threads] = &arguments[..] else {
        return Err("expected FOLDER TOKENIZER TOKENS THREADS".into());
    };
    let folder = Path::new(folder);
    let model = folder.join("model");
    if !model.join("config.json").exists() {
        make(&model, Path::new(tokenizer))?;
    }
    let engine = LlamaEngine::new(&EngineOptions {
        weights: WeightType::Q8_0,
        threads: threads.parse()?,
        ..EngineOptions::new(folder.join("converted"))
    })?;
    for _ in 0..2 {
        // The first time also brings the weights into memory.
        println!("{}", answer(&engine, &model, tokens.parse()?).await?);
    }
    Ok(())
}

/// Makes a GPT-2 small: `vocab_size` and all else as there.
fn make(model: &Path, tokenizer: &Path) -> Result<(), Box<dyn Error>> {
    let encoder = Encoder::open(tokenizer, None)?;
    std::fs::create_dir_all(model)?;
    encoder.save(model)?;
    let config = Gpt2Config {
        vocab_size: encoder.vocabulary_size(),
        n_positions: 1024,
        n_embd: 768,
        n_layer: 12,
        n_head: 12,
        n_inner: None,
        layer_norm_epsilon: 1e-5,
        activation_function: "gelu_new".to_owned(),
        tie_word_embeddings: true,
        eos_token_id: Some(encoder.end_token_id()),
    };
    Ok(init_gpt2(model, &config, 42)?)
}

/// Generates `tokens` tokens after the first, which ends the prompt's time, and tells their rate.
async fn answer(engine: &LlamaEngine, model: &Path, tokens: u32) -> Result<String, Box<dyn Error>> {
    let begin = Instant::now();
    let mut stream = engine.generate(request(model, tokens + 1)).await?;
    while let Some(event) = stream.recv().await {
        if let GenerationEvent::Finished {
            prompt_tokens,
            completion_tokens,
            first_token_ms,
            ..
        } = event?
        {
            if completion_tokens != tokens + 1 {
                return Err("the model ended the answer".into());
            }
            let first = Duration::from_millis(first_token_ms);
            let rate = f64::from(tokens) / (begin.elapsed() - first).as_secs_f64();
            return Ok(format!(
                "{{\"tokens\": {tokens}, \"tokens_per_second\": {rate:.2}, \"prompt_tokens\": {prompt_tokens}, \"first_token_ms\": {first_token_ms}}}"
            ));
        }
    }
    Err("an answer without an end".into())
}

fn request(model: &Path, max_tokens: u32) -> GenerationRequest<PathBuf> {
    GenerationRequest {
        model: ServedModel {
            key: "bench".to_owned(),
            weights: model.to_owned(),
            weights_digest: None,
            adapter: None,
            tokenizer: model.to_owned(),
        },
        conversation: Conversation::new(vec![Message::new(
            Role::User,
            "What is seven times the number of days in a week?",
        )]),
        sampling: Sampling {
            max_tokens,
            temperature: 0.0,
            top_p: 1.0,
            stop: Vec::new(),
            seed: 0,
        },
    }
}
