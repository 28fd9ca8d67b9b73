//! What the tests of this crate share.

use std::{
    fs,
    path::{Path, PathBuf},
};

use llmopt_domain::{Conversation, Message, Role};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::{save::NamedTokens, train_bpe};

/// Texts to train a tokenizer on: repeats, digits, several scripts, runs of one letter.
pub(crate) const TEXTS: &[&str] = &[
    "The quick brown fox jumps over the lazy dog. The dog sleeps; the fox does not.",
    "To be, or not to be, that is the question: whether 'tis nobler in the mind to suffer",
    "1234567890 1234 5678 90 12 34, 1,000,000 and 3.14159\n\n\tindented\r\nlines",
    "aaaa aaaaaaa aaa bananas ananas nananana hahahahaha",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Größe, Straße.",
    "Быстрая лиса прыгает через ленивую собаку. 素早い茶色の狐はのろまな犬を飛び越える。",
    "User asks, assistant answers. ### User:\nHello\n\n### Assistant:\nHello there!",
];

pub(crate) fn system(content: &str) -> Message {
    message(Role::System, content)
}

pub(crate) fn user(content: &str) -> Message {
    message(Role::User, content)
}

pub(crate) fn assistant(content: &str) -> Message {
    message(Role::Assistant, content)
}

fn message(role: Role, content: &str) -> Message {
    Message::new(role, content)
}

/// Makes a conversation of turns that alternate, beginning with the user's.
pub(crate) fn conversation(turns: &[&str]) -> Conversation {
    let roles = [Role::User, Role::Assistant].into_iter().cycle();
    let messages = turns.iter().zip(roles);
    Conversation::new(
        messages
            .map(|(content, role)| message(role, content))
            .collect(),
    )
}

/// The tokens that begin a text and end it.
pub(crate) fn named(bos: &str, eos: &str) -> NamedTokens {
    NamedTokens {
        bos: Some(bos.to_owned()),
        ..NamedTokens::ending_with(eos)
    }
}

/// The template of the Qwen family without tools.
pub(crate) fn chatml() -> &'static str {
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
}

/// Makes a folder with a small tokenizer.
pub(crate) fn small_tokenizer() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    train_bpe(TEXTS.iter().map(|&text| text.into()), 400, folder.path()).unwrap();
    folder
}

/// Returns the folder of outside data, or says what is skipped for want of it.
#[expect(
    clippy::disallowed_methods,
    reason = "tests find outside data through this one variable"
)]
pub(crate) fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("LLMOPT_TEST_DATA");
    if folder.is_none() {
        println!("skipped: LLMOPT_TEST_DATA is not set");
    }
    folder.map(PathBuf::from)
}

/// Returns lines of GSM8K, as they stand in the file.
pub(crate) fn gsm8k_texts(count: usize) -> Option<Vec<String>> {
    let text = fs::read_to_string(test_data()?.join("gsm8k/test.jsonl")).unwrap();
    Some(text.lines().take(count).map(str::to_owned).collect())
}

/// Returns the strings of the Big List of Naughty Strings.
pub(crate) fn naughty_strings() -> Option<Vec<String>> {
    let text = fs::read(test_data()?.join("naughty_strings/blns.json")).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}

/// Returns a file or folder of the reference numbers that `scripts/reference` writes.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../trainer/tests/fixtures");
    PathBuf::from(folder).join(name)
}

/// Reads a fixture in JSON.
pub(crate) fn read_fixture<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&fs::read(fixture(name)).unwrap()).unwrap()
}

/// Copies files of one folder to another.
pub(crate) fn copy(names: &[&str], from: &Path, to: &Path) {
    for name in names {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}
