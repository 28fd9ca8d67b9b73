use std::path::Path;

use llmopt_artifact::ModelFolder;
use llmopt_domain::{Conversation, Message, Role};
use llmopt_gguf::{WeightType, write_model};
use llmopt_tokenization::{Encoder, TokenizationError};

use crate::{
    platform::fixture,
    scratch::with_files,
    text::{check_error, lossy, parts},
};

/// What the tokenizer that a file describes is asked to encode.
const TEXTS: [&str; 4] = ["", "ab ba", "Größe 1\n\t  \u{1f642}", "<unk> [MASK] ▁a##b"];
/// A token of the fixture that no text may hold.
const END: &str = "<|endoftext|>";

thread_local! {
    static ENCODER: Encoder = Encoder::open(&fixture("tiny-gpt2"), None).unwrap();
    static MODEL: ModelFolder = ModelFolder::open(&fixture("tiny-gpt2")).unwrap();
}

/// `tokenizer.json`, and after a NUL `tokenizer_config.json`, if any.
pub(crate) fn file(bytes: &[u8]) {
    let [tokenizer, config] = parts(bytes);
    let mut files = vec![("tokenizer.json", tokenizer)];
    if !config.is_empty() {
        files.push(("tokenizer_config.json", config));
    }
    with_files(&files, check_folder);
}

/// `vocab.json`, `merges.txt` and `tokenizer_config.json`, with NULs between.
pub(crate) fn vocabulary(bytes: &[u8]) {
    let [vocabulary, merges, config] = parts(bytes);
    let mut files = vec![("vocab.json", vocabulary), ("merges.txt", merges)];
    if !config.is_empty() {
        files.push(("tokenizer_config.json", config));
    }
    with_files(&files, check_folder);
}

/// What opens gives ids that it knows, the same ones after it was saved, and may be written as GGUF.
fn check_folder(folder: &Path) {
    let encoder = match Encoder::open(folder, None) {
        Ok(encoder) => encoder,
        Err(error) => return drop(check_error(&error)),
    };
    assert!((encoder.end_token_id() as usize) < encoder.vocabulary_size());
    let encoded: Vec<_> = TEXTS.map(|text| encode(&encoder, text)).into();
    for ids in encoded.iter().flatten() {
        let known = |id: &u32| (*id as usize) < encoder.vocabulary_size();
        assert!(ids.iter().all(known), "{ids:?}");
        if let Err(error) = encoder.decode(ids) {
            check_error(&error);
        }
    }
    let saved = folder.join("saved");
    std::fs::create_dir(&saved).unwrap();
    encoder.save(&saved).unwrap();
    let again = Encoder::open(&saved, None).unwrap();
    let again: Vec<_> = TEXTS.map(|text| encode(&again, text)).into();
    assert_eq!(encoded, again, "a tokenizer that was saved is another");
    let gguf = folder.join("model.gguf");
    let written = MODEL.with(|model| write_model(model, folder, WeightType::F16, &gguf));
    match written {
        Ok(()) => assert!(std::fs::read(gguf).unwrap().starts_with(b"GGUF\x03")),
        Err(error) => drop(check_error(&error)),
    }
}

fn encode(encoder: &Encoder, text: &str) -> Option<Vec<u32>> {
    match encoder.encode_prompt(&Conversation::new(vec![message(Role::User, text)])) {
        Ok(ids) => Some(ids),
        Err(error) => {
            check_error(&error);
            None
        }
    }
}

pub(crate) fn message(role: Role, content: &str) -> Message {
    Message::new(role, content)
}

/// A prompt and, after a NUL, its response; both also as ids.
pub(crate) fn text(bytes: &[u8]) {
    let [prompt, response] = parts(bytes).map(lossy);
    ENCODER.with(|encoder| {
        prompt_is_kept(encoder, &prompt);
        response_is_learnt(encoder, &prompt, &response);
        let (pairs, _) = bytes.as_chunks::<2>();
        let ids = pairs
            .iter()
            .map(|&pair| u32::from(u16::from_le_bytes(pair)) % 330);
        streams_are_whole(encoder, &ids.collect::<Vec<_>>());
    });
}

fn prompt_is_kept(encoder: &Encoder, prompt: &str) {
    match encoder.encode_prompt(&Conversation::new(vec![message(Role::User, prompt)])) {
        Ok(ids) => {
            let text = encoder.decode(&ids).unwrap();
            assert_eq!(text, format!("### User:\n{prompt}\n\n### Assistant:\n"));
            streams_are_whole(encoder, &ids);
        }
        Err(error) => {
            check_error(&error);
            assert!(prompt.contains(END), "{error}");
        }
    }
}

/// What carries loss is the response and its end; what is before it is the prompt as it is served.
fn response_is_learnt(encoder: &Encoder, prompt: &str, response: &str) {
    let conversation = Conversation::from_pair(prompt, response);
    let Ok(example) = encoder.encode_training(&conversation) else {
        return;
    };
    let served = encoder.encode_prompt(&conversation.prompt()).unwrap();
    assert!(example.ids.starts_with(&served));
    let labels = example.ids.iter().zip(&example.loss_mask);
    let labels: Vec<u32> = labels
        .filter(|(_, label)| **label)
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(labels.len(), example.trainable_tokens());
    assert_eq!(labels.last(), Some(&encoder.end_token_id()));
    assert_eq!(encoder.decode(&labels).unwrap(), response);
}

/// Ids that come one by one give the text of all of them.
fn streams_are_whole(encoder: &Encoder, ids: &[u32]) {
    let mut stream = encoder.stream();
    let mut text = String::new();
    for &id in ids {
        match stream.push(id) {
            Ok(part) => text.extend(part),
            Err(error) => {
                assert!(
                    matches!(error, TokenizationError::UnknownId { .. }),
                    "{error}"
                );
                assert!(encoder.decode(ids).is_err());
                return;
            }
        }
    }
    text.extend(stream.finish().unwrap());
    assert_eq!(text, encoder.decode(ids).unwrap());
}
