//! How models come into memory and leave it.

use std::path::PathBuf;
use std::{fs, sync::Arc};

use llmopt_artifact::ModelFolder;
use llmopt_domain::{Conversation, error_chain};
use llmopt_inference::{EngineOptions, LlamaEngine};
use llmopt_service::{CacheStatus, GenerationError, ServedModel, TextGenerator};
use llmopt_tokenization::Encoder;
use tokio::time::{Duration, sleep, timeout};

use crate::workplace::{LONG, Workplace, ask, fixture, greedy, request, tiny};

async fn problem(engine: &LlamaEngine, model: &ServedModel<PathBuf>) -> String {
    let error = ask(engine, request(model, "Hello", greedy(1)))
        .await
        .unwrap_err();
    assert!(matches!(error, GenerationError::Load { .. }), "{error}");
    error_chain(&error)
}

#[tokio::test]
async fn a_hundred_first_requests_load_a_model_once() {
    let workplace = Workplace::new();
    let engine = workplace.engine(2);
    let requests = (0..100).map(|_| {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { ask(&engine, request(&tiny(None), "Hello", greedy(4))).await })
    });
    for answer in requests.collect::<Vec<_>>() {
        assert!(!answer.await.unwrap().unwrap().cached);
    }
    let status = engine.cache().unwrap();
    assert_eq!((status.models, status.hits, status.misses), (1, 0, 100));
    assert_eq!(
        (workplace.converted_files().len(), workplace.mapped_files()),
        (1, 1)
    );
}

#[tokio::test]
async fn what_a_process_that_died_had_begun_to_write_is_removed() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let [old, new] = ["old.partial", "new.partial"].map(|name| workplace.converted().join(name));
    for path in [&old, &new] {
        fs::write(path, "half").unwrap();
    }
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    let file = fs::File::options().write(true).open(&old).unwrap();
    file.set_modified(hour_ago).unwrap();
    drop(engine);
    workplace.engine(1);
    assert!(!old.exists() && new.exists());
}

#[tokio::test]
async fn adapters_on_the_same_base_share_its_weights() {
    let workplace = Workplace::new();
    let engine = workplace.engine(3);
    let adapted = tiny(Some(fixture("tiny-lora")));
    let twin = ServedModel {
        key: "twin".to_owned(),
        ..adapted.clone()
    };
    let base = ask(&engine, request(&tiny(None), "Hello", greedy(8)))
        .await
        .unwrap();
    let one = engine.cache().unwrap().size_bytes;
    let first = ask(&engine, request(&adapted, "Hello", greedy(8)))
        .await
        .unwrap();
    let second = ask(&engine, request(&twin, "Hello", greedy(8)))
        .await
        .unwrap();
    assert_eq!(first.text(), second.text());
    assert_ne!(first.text(), base.text());
    let status = engine.cache().unwrap();
    assert_eq!((status.models, workplace.mapped_files()), (3, 1));
    let weights = fs::metadata(workplace.converted().join(&workplace.converted_files()[1]));
    let weights = weights.unwrap().len();
    assert!(status.size_bytes < 3 * one - weights, "weights count once");
    assert_eq!(workplace.converted_files().len(), 2);
}

#[tokio::test]
async fn a_folder_with_other_content_gives_another_model() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let mut texts = Vec::new();
    for seed in [1, 2, 1] {
        let model = workplace.random_model("a", seed);
        let model = ServedModel {
            key: format!("a as of {}", texts.len()),
            ..model
        };
        let answer = ask(&engine, request(&model, "Hello", greedy(8)))
            .await
            .unwrap();
        texts.push(answer.text());
        fs::remove_dir_all(&model.weights).unwrap();
    }
    assert_eq!(texts[0], texts[2]);
    assert_ne!(texts[0], texts[1]);
    assert_eq!(workplace.converted_files().len(), 2);
}

#[tokio::test]
async fn a_base_that_changed_since_training_is_refused() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let digest = ModelFolder::open(&fixture("tiny-gpt2"))
        .unwrap()
        .digest()
        .unwrap();
    let right = ServedModel {
        weights_digest: Some(digest.clone()),
        ..tiny(None)
    };
    ask(&engine, request(&right, "Hello", greedy(1)))
        .await
        .unwrap();
    let wrong = ServedModel {
        weights_digest: Some(digest),
        ..workplace.random_model("b", 1)
    };
    let problem = problem(&engine, &wrong).await;
    assert!(
        problem.contains("which the adapter was trained on"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_template_that_changed_since_training_is_refused() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let model = workplace.random_model("a", 1);
    let conversation = Conversation::from_pair("Hi", "Hello");
    let encoder = Encoder::open(&model.tokenizer, None).unwrap();
    let lock = encoder.template_lock(&[conversation]).unwrap();
    let json = serde_json::to_string(&lock).unwrap();
    fs::write(model.tokenizer.join("template_lock.json"), json).unwrap();
    ask(&engine, request(&model, "Hello", greedy(1)))
        .await
        .unwrap();
    let changed = encoder.chat_template().replace("### User", "### Human");
    fs::write(model.tokenizer.join("chat_template.jinja"), changed).unwrap();
    let model = ServedModel {
        key: "changed".to_owned(),
        ..model
    };
    let problem = problem(&engine, &model).await;
    assert!(problem.contains("golden conversation 1"), "{problem}");
}

#[tokio::test]
async fn a_model_that_could_not_be_loaded_is_tried_again() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let model = workplace.random_model("a", 1);
    let weights = model.weights.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let problem = problem(&engine, &model).await;
    assert!(problem.contains("failed to load model `a`"), "{problem}");
    assert!(problem.contains("model.safetensors"), "{problem}");
    fs::write(&weights, bytes).unwrap();
    ask(&engine, request(&model, "Hello", greedy(1)))
        .await
        .unwrap();
    assert_eq!(engine.cache().unwrap().misses, 2);
}

#[tokio::test]
async fn models_are_bounded_by_bytes_too() {
    let workplace = Workplace::new();
    let models = [1, 2, 3].map(|seed| workplace.random_model(&format!("model-{seed}"), seed));
    let unbounded = workplace.engine(3);
    ask(&unbounded, request(&models[0], "Hello", greedy(1)))
        .await
        .unwrap();
    let one = unbounded.cache().unwrap().size_bytes;
    drop(unbounded);

    let bounded = |bytes| {
        let options = EngineOptions {
            max_bytes: Some(bytes),
            ..workplace.options(3)
        };
        LlamaEngine::new(&options).unwrap()
    };
    let engine = bounded(2 * one);
    for model in &models {
        ask(&engine, request(model, "Hello", greedy(1)))
            .await
            .unwrap();
    }
    assert_eq!(
        (
            engine.cache().unwrap().models,
            engine.cache().unwrap().size_bytes
        ),
        (2, 2 * one)
    );
    let error = ask(&bounded(one - 1), request(&models[0], "Hello", greedy(1)))
        .await
        .unwrap_err();
    let GenerationError::TooLarge {
        key,
        size_bytes,
        limit_bytes,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (key.as_str(), size_bytes, limit_bytes),
        ("model-1", one, one - 1)
    );
}

#[tokio::test]
async fn a_model_that_is_forgotten_leaves_memory() {
    let workplace = Workplace::new();
    let engine = workplace.engine(2);
    let model = workplace.random_model("a", 1);
    let expected = ask(&engine, request(&model, "Hello", greedy(8)))
        .await
        .unwrap();
    engine.forget("a");
    engine.forget("unknown");
    let gone = async {
        while engine.cache().unwrap().models > 0 || workplace.mapped_files() > 0 {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, gone).await.expect("it leaves");
    let expected_status = CacheStatus {
        max_models: 2,
        misses: 1,
        ..CacheStatus::default()
    };
    assert_eq!(engine.cache().unwrap(), expected_status);
    let again = ask(&engine, request(&model, "Hello", greedy(8)))
        .await
        .unwrap();
    assert_eq!((again.text(), again.cached), (expected.text(), false));
}

#[tokio::test]
async fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let workplace = Workplace::new();
    let engine = workplace.engine(1);
    let model = workplace.random_model("a", 1);
    let config = model.weights.join("config.json");
    let fewer = fs::read_to_string(&config).unwrap().replace("320", "300");
    let other = workplace.path("fewer");
    fs::create_dir(&other).unwrap();
    fs::write(&config, fewer).unwrap();
    let problem = problem(&engine, &model).await;
    assert!(problem.contains("300"), "{problem}");
}
