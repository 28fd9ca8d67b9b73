use llmopt_domain::{Conversation, Message, Role};
use llmopt_tokenization::{Encoder, TemplateLock};

use crate::{
    scratch::with_files,
    text::{check_error, lossy},
    tokenizers::message,
};

/// A tokenizer of some letters and an end.
const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [], "normalizer": null,
"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
"post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}, "merges": [["a", "b"]]}}"#;

/// A template and, after NULs, turns: a system text where there are three of them.
pub(crate) fn template(bytes: &[u8]) {
    let mut parts = bytes.split(|&byte| byte == 0).map(lossy);
    let template = parts.next().unwrap_or_default();
    let texts: Vec<String> = parts.take(4).collect();
    let files = [("tokenizer.json", TOKENIZER.as_bytes())];
    let opened = with_files(&files, |folder| Encoder::open(folder, Some(&template)));
    let encoder = match opened {
        Ok(encoder) => encoder,
        Err(error) => return drop(check_error(&error)),
    };
    assert_eq!(encoder.chat_template(), template);
    let conversation = Conversation::new(turns(&texts));
    let prompt = encoder.encode_prompt(&conversation.prompt());
    match encoder.encode_training(&conversation) {
        Ok(example) => {
            assert_eq!(example.ids.len(), example.loss_mask.len());
            assert!(example.trainable_tokens() >= 1);
            assert!(example.ids.starts_with(&prompt.unwrap()));
            check_lock(&encoder, conversation);
        }
        Err(error) => drop(check_error(&error)),
    }
}

/// User and assistant in turn, after a system text where there is one text more.
fn turns(texts: &[String]) -> Vec<Message> {
    let has_system = texts.len() % 2;
    let roles = [Role::User, Role::Assistant].into_iter().cycle();
    let roles = [Role::System].into_iter().take(has_system).chain(roles);
    texts
        .iter()
        .zip(roles)
        .map(|(text, role)| message(role, text))
        .collect()
}

/// What was recorded once holds always.
fn check_lock(encoder: &Encoder, conversation: Conversation) {
    let lock = encoder.template_lock(&[conversation]).unwrap();
    lock.verify(encoder).unwrap();
    let written = serde_json::to_vec(&lock).unwrap();
    assert_eq!(
        serde_json::from_slice::<TemplateLock>(&written).unwrap(),
        lock
    );
}
