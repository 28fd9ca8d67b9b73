//! Ids are compared with the library's for each text.

mod refused;
mod texts;

use std::{sync::LazyLock, thread};

use serde_json::{Value, json};
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _, Tokenizer,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
    },
    pre_tokenizers::byte_level::ByteLevel,
};

use self::texts::{characters, contexts, corpora, random_texts, training_texts};
use super::*;
use crate::{
    files::ModelFiles,
    testing::{naughty_strings, small_tokenizer, test_data},
};

/// What is looked for in text by every tokenizer here that has added tokens.
const ADDED: [&str; 6] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|im",
    "é",
    " x",
];

fn byte_level(add_prefix_space: Value) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": true })
}

/// As in the files of GPT-4, Llama 3 and Qwen 2.
fn split(pattern: Pattern, behavior: &str) -> Value {
    let split = json!({
        "type": "Split", "pattern": { "Regex": pattern.text() }, "behavior": behavior, "invert": behavior == "Removed",
    });
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
    json!({ "type": "Sequence", "pretokenizers": [split, bytes] })
}

/// Trains a BPE under a pre-tokenizer and returns its file.
fn trained(pre_tokenizer: &Value) -> Value {
    let mut tokenizer = Tokenizer::new(BPE::default());
    let mut file = serde_json::to_value(&tokenizer).unwrap();
    file["pre_tokenizer"] = pre_tokenizer.clone();
    tokenizer = opened(&file);
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .min_frequency(2)
        .vocab_size(900)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let mut trainer = TrainerWrapper::BpeTrainer(trainer);
    tokenizer.train(&mut trainer, training_texts()).unwrap();
    serde_json::to_value(&tokenizer).unwrap()
}

fn opened(file: &Value) -> Tokenizer {
    Tokenizer::from_bytes(file.to_string()).unwrap()
}

fn with_added(file: &Value) -> Tokenizer {
    let mut tokenizer = opened(file);
    let [special, rest] = [&ADDED[..3], &ADDED[3..]];
    tokenizer.add_special_tokens(
        &special
            .iter()
            .map(|&token| AddedToken::from(token, true))
            .collect::<Vec<_>>(),
    );
    tokenizer.add_tokens(
        &rest
            .iter()
            .map(|&token| AddedToken::from(token, false))
            .collect::<Vec<_>>(),
    );
    tokenizer
}

/// Makes a model whose vocabulary has words that its merges do not make.
fn without_some_merges(mut file: Value, ignore_merges: bool) -> Value {
    file["model"]["ignore_merges"] = json!(ignore_merges);
    let merges = file["model"]["merges"].as_array_mut().unwrap();
    let mut place = 0;
    merges.retain(|_| {
        place += 1;
        place % 5 != 0
    });
    file
}

/// A tokenizer of the library and what was made of it.
struct Both {
    name: &'static str,
    library: Tokenizer,
    fast: FastEncoder,
}

impl Both {
    fn of(name: &'static str, library: Tokenizer) -> Self {
        let fast = FastEncoder::of(&library).map_err(|part| format!("{name}: {part:?}"));
        Self {
            name,
            fast: fast.unwrap(),
            library,
        }
    }

    fn expected(&self, text: &str) -> Vec<u32> {
        self.library
            .encode_fast(text, false)
            .unwrap()
            .get_ids()
            .to_vec()
    }

    fn assert_same(&self, text: &str) {
        let expected = self.expected(text);
        match self.fast.encode(text) {
            Some(ids) if ids == expected => (),
            found => panic!(
                "{}: {text:?}: expected {expected:?}, found {found:?}",
                self.name
            ),
        }
    }

    /// Compares the words that text is split into, which ids depend on only where merges could join them.
    fn assert_same_words(&self, text: &str) {
        let mut split = PreTokenizedString::from(text);
        let splitting = self.library.get_pre_tokenizer().unwrap();
        splitting.pre_tokenize(&mut split).unwrap();
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let expected: Vec<(usize, usize)> = splits.into_iter().map(|split| split.1).collect();
        let found: Vec<(usize, usize)> = words(text, self.fast.pattern)
            .map(|word| (word.start, word.end))
            .collect();
        assert!(
            found == expected,
            "{}: {text:?}: expected {expected:?}, found {found:?}",
            self.name
        );
    }

    /// Compares where the normalizer changes nothing, and returns how many were left to the library.
    fn assert_same_or_left(&self, texts: &[String]) -> usize {
        let mut left = 0;
        for text in texts {
            if self.fast.leaves(text) {
                self.assert_same(text);
            } else {
                assert_eq!(self.fast.encode(text), None);
                left += 1;
            }
        }
        left
    }
}

/// One of each kind, trained here.
static KINDS: LazyLock<Vec<Both>> = LazyLock::new(|| {
    let gpt2 = trained(&byte_level(json!(false)));
    let prefixed = trained(&byte_level(json!(true)));
    let llama3 = trained(&split(Pattern::Llama3, "Isolated"));
    let qwen2 = trained(&split(Pattern::Qwen2, "Isolated"));
    let split_gpt2 = trained(&split(Pattern::Gpt2, "Isolated"));
    let gpt4 = trained(&split(Pattern::Llama3, "Removed"));
    let mut normalized = qwen2.clone();
    normalized["normalizer"] = json!({ "type": "NFC" });
    vec![
        Both::of("GPT-2", opened(&gpt2)),
        Both::of("GPT-2 with added tokens", with_added(&gpt2)),
        Both::of("GPT-2 with a space before", with_added(&prefixed)),
        Both::of("GPT-2's pattern in a split", opened(&split_gpt2)),
        Both::of("GPT-4", with_added(&gpt4)),
        Both::of(
            "Llama 3",
            opened(&without_some_merges(llama3.clone(), false)),
        ),
        Both::of(
            "Llama 3, words before merges",
            with_added(&without_some_merges(llama3, true)),
        ),
        Both::of("Qwen 2", opened(&qwen2)),
        Both::of("Qwen 2, normalized", with_added(&normalized)),
    ]
});

fn one_of_each_pattern() -> [&'static Both; 3] {
    [&KINDS[0], &KINDS[5], &KINDS[7]]
}

fn real_gpt2() -> Option<Both> {
    let folder = test_data()?.join("tokenizers/gpt2");
    let library = ModelFiles::read(&folder).unwrap().tokenizer().unwrap();
    Some(Both::of("the real GPT-2", library))
}

#[test]
fn random_texts_get_the_words_and_ids_of_the_library() {
    for (kind, seed) in one_of_each_pattern().into_iter().zip(30..) {
        for text in random_texts(seed, 1500) {
            kind.assert_same_words(&text);
        }
    }
    for (kind, seed) in KINDS.iter().zip(0..) {
        let texts = random_texts(seed, 1500);
        let left = kind.assert_same_or_left(&texts);
        // Of texts so mixed, many have a mark that may compose with what is before it.
        let most = if kind.name == "Qwen 2, normalized" {
            1400
        } else {
            0
        };
        assert!(
            left <= most,
            "{}: {left} were left to the library",
            kind.name
        );
    }
}

#[test]
fn the_real_gpt2_vocabulary_gives_the_ids_of_the_library_for_random_texts() {
    let Some(gpt2) = real_gpt2() else { return };
    for text in random_texts(99, 3000) {
        gpt2.assert_same(&text);
    }
}

#[test]
fn real_texts_get_the_ids_of_the_library() {
    let (Some(gpt2), Some(naughty), Some(texts)) = (real_gpt2(), naughty_strings(), corpora())
    else {
        return;
    };
    assert!(texts.len() > 2000);
    for text in naughty.iter().chain(&texts) {
        gpt2.assert_same(text);
    }
    for kind in &*KINDS {
        kind.assert_same_or_left(&naughty);
    }
    for kind in &*KINDS {
        let few: Vec<String> = texts.iter().step_by(23).cloned().collect();
        let left = kind.assert_same_or_left(&few);
        assert!(
            left * 10 < few.len(),
            "{}: {left} were left to the library",
            kind.name
        );
    }
}

#[test]
fn every_character_alone_gets_the_ids_of_the_library() {
    let kind = &KINDS[0];
    for character in '\0'..=char::MAX {
        kind.assert_same(character.encode_utf8(&mut [0; 4]));
    }
}

#[test]
fn every_character_between_others_is_in_the_words_of_the_library() {
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    for block in all.chunks(512) {
        let text: String = block.iter().map(|c| format!("a{c}1 {c}")).collect();
        KINDS[0].assert_same_words(&text);
    }
    let some = characters();
    for kind in one_of_each_pattern() {
        for block in some.chunks(16) {
            let texts: Vec<String> = block.iter().map(|&c| contexts(c)).collect();
            kind.assert_same_words(&texts[0]);
            kind.assert_same_words(&texts.concat());
            kind.assert_same(&texts.concat());
        }
        // What is at the end of a text is looked at otherwise.
        for &c in &some {
            kind.assert_same_words(&format!("a {c}{c}"));
        }
    }
}

#[test]
fn contractions_have_the_letters_that_the_library_takes_for_theirs() {
    let cased = characters().into_iter().chain(texts::cased());
    let cased: Vec<char> = cased.collect();
    for kind in one_of_each_pattern() {
        for block in cased.chunks(512) {
            let text: String = block
                .iter()
                .map(|c| format!("'{c}'{c}e'r{c}'L{c}'{c}l!'{c}E'V{c}x"))
                .collect();
            kind.assert_same_words(&text);
        }
    }
}

#[test]
fn words_of_every_length_get_the_ids_of_the_library() {
    for kind in one_of_each_pattern() {
        for length in (1..=80_usize).chain([127, 128, 4099, 50_000]) {
            for part in [
                "a",
                "an",
                "nanaba",
                "hahah",
                "é",
                "素早い",
                "🙂",
                " ",
                "\n",
                "\n ",
                "7",
                "-",
                "-=",
                "'",
            ] {
                kind.assert_same(&part.repeat(length.div_ceil(part.len())));
            }
        }
    }
}

#[test]
fn the_small_vocabulary_that_is_trained_here_is_encoded_without_the_library() {
    let folder = small_tokenizer();
    let library = ModelFiles::read(folder.path())
        .unwrap()
        .tokenizer()
        .unwrap();
    let small = Both::of("small", library);
    small.assert_same("");
    for text in random_texts(7, 1500) {
        small.assert_same(&text);
    }
}

#[test]
fn words_that_no_merges_make_are_tokens_where_merges_are_ignored() {
    let [merged, ignored] = [&KINDS[5], &KINDS[6]];
    let texts: Vec<String> = training_texts().collect();
    let differ = texts
        .iter()
        .filter(|text| merged.fast.encode(text) != ignored.fast.encode(text));
    assert!(differ.count() > 3);
}

#[test]
fn text_that_normalizing_may_change_is_left_to_the_library() {
    let normalized = &KINDS[8].fast;
    assert!(normalized.encode("Größe, 素早い 🙂").is_some());
    assert!(normalized.encode("Gro\u{308}ße").is_none());
    assert!(normalized.encode("\u{212b}").is_none());
}

#[test]
fn special_tokens_are_found_wherever_they_are() {
    let fast = &KINDS[1].fast;
    assert!(fast.is_free_of_special_tokens("<|im and <|endoftext| and |>é x"));
    for text in ["<|endoftext|>", "a<|im_end|>", "<|im<|im_start|>b"] {
        assert!(!fast.is_free_of_special_tokens(text), "{text}");
    }
}

#[test]
fn threads_that_share_an_encoder_get_the_same_ids() {
    let kind = &KINDS[0];
    let texts: Vec<(String, Vec<u32>)> = random_texts(3, 200)
        .into_iter()
        .map(|text| (text.clone(), kind.expected(&text)))
        .collect();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for (text, expected) in &texts {
                    assert_eq!(kind.fast.encode(text).as_ref(), Some(expected), "{text:?}");
                }
            });
        }
    });
}
