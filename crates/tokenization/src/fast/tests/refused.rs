//! What is left to the library.

use tokenizers::{NormalizedString, Normalizer as _, normalizers::NFC};

use super::*;

fn refused(file: &Value) -> Option<Unsupported> {
    FastEncoder::of(&opened(file)).err()
}

/// A file that is supported until `edit` changes it.
fn edited(edit: impl FnOnce(&mut Value)) -> Value {
    let folder = small_tokenizer();
    let library = ModelFiles::read(folder.path())
        .unwrap()
        .tokenizer()
        .unwrap();
    let mut file = serde_json::to_value(&library).unwrap();
    assert_eq!(refused(&file), None);
    edit(&mut file);
    file
}

#[test]
fn models_that_merge_otherwise_are_left_to_the_library() {
    for model in [
        json!({ "type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0], ["b", -2.0]] }),
        json!({ "type": "WordPiece", "unk_token": "a", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9, "vocab": { "a": 0 } }),
        json!({ "type": "WordLevel", "unk_token": "a", "vocab": { "a": 0 } }),
        json!({ "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": [["a", "b"]] }),
    ] {
        let file = edited(|file| file["model"] = model.clone());
        assert_eq!(refused(&file), Some(Unsupported::Model), "{model}");
    }
    for (field, value) in [
        ("dropout", json!(0.5)),
        ("end_of_word_suffix", json!("</w>")),
    ] {
        let file = edited(|file| file["model"][field] = value);
        assert_eq!(refused(&file), Some(Unsupported::Model), "{field}");
    }
}

#[test]
fn fields_of_a_model_that_change_nothing_are_supported() {
    for (field, value) in [
        ("dropout", json!(0.0)),
        ("end_of_word_suffix", json!("")),
        ("continuing_subword_prefix", json!("")),
        ("unk_token", json!("<|endoftext|>")),
        ("fuse_unk", json!(true)),
        ("byte_fallback", json!(true)),
    ] {
        let both = Both::of(field, opened(&edited(|file| file["model"][field] = value)));
        for text in random_texts(5, 200) {
            both.assert_same(&text);
        }
    }
}

#[test]
fn other_pre_tokenizers_and_normalizers_are_left_to_the_library() {
    let mut other_pattern = split(Pattern::Llama3, "Isolated");
    other_pattern["pretokenizers"][0]["pattern"]["Regex"] = json!(r"\s+");
    let mut spaced = split(Pattern::Llama3, "Isolated");
    spaced["pretokenizers"][1]["add_prefix_space"] = json!(true);
    let mut twice = split(Pattern::Llama3, "Isolated");
    twice["pretokenizers"][1]["use_regex"] = json!(true);
    let mut gaps = split(Pattern::Llama3, "Isolated");
    gaps["pretokenizers"][0]["behavior"] = json!("Removed");
    let digits = json!({ "type": "Sequence", "pretokenizers": [{ "type": "Digits", "individual_digits": true }, byte_level(json!(false))] });
    let whole = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
    let merged = split(Pattern::Qwen2, "MergedWithNext");
    for part in [
        other_pattern,
        spaced,
        twice,
        gaps,
        digits,
        whole,
        merged,
        Value::Null,
    ] {
        let file = edited(|file| file["pre_tokenizer"] = part.clone());
        assert_eq!(refused(&file), Some(Unsupported::PreTokenizer), "{part}");
    }
    for name in ["NFKC", "NFD", "Lowercase"] {
        let file = edited(|file| file["normalizer"] = json!({ "type": name }));
        assert_eq!(refused(&file), Some(Unsupported::Normalizer), "{name}");
    }
}

#[test]
fn added_tokens_that_take_more_or_less_than_their_text_are_left_to_the_library() {
    for flag in ["lstrip", "rstrip", "single_word"] {
        let file = edited(|file| file["added_tokens"][0][flag] = json!(true));
        assert_eq!(refused(&file), Some(Unsupported::AddedTokens), "{flag}");
    }
    // What normalizing changes is found in other texts than its own.
    let mut file = edited(|file| file["normalizer"] = json!({ "type": "NFC" }));
    file["added_tokens"][0]["content"] = json!("e\u{301}");
    assert_eq!(refused(&file), Some(Unsupported::AddedTokens));
    let mut tokenizer = opened(&edited(|_| ()));
    tokenizer.set_encode_special_tokens(true);
    let found = FastEncoder::of(&tokenizer).err();
    assert_eq!(found, Some(Unsupported::AddedTokens));
}

#[test]
fn tokens_that_were_added_twice_otherwise_are_left_to_the_library() {
    let mut tokenizer = opened(&edited(|_| ()));
    let normalized = AddedToken::from("<|endoftext|>", true).normalized(true);
    tokenizer.add_special_tokens(&[normalized]);
    let found = FastEncoder::of(&tokenizer).err();
    assert_eq!(found, Some(Unsupported::AddedTokens));
}

#[test]
fn ids_that_are_changed_at_the_end_are_left_to_the_library() {
    let truncation =
        json!({ "direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0 });
    let padding = json!({
        "strategy": { "Fixed": 99 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "!",
    });
    let twice = json!({
        "type": "TemplateProcessing", "pair": [], "special_tokens": {},
        "single": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
    });
    for (part, value) in [
        ("truncation", truncation),
        ("padding", padding),
        ("post_processor", twice),
    ] {
        let file = edited(|file| file[part] = value);
        assert_eq!(refused(&file), Some(Unsupported::PostProcessing), "{part}");
    }
}

#[test]
fn what_a_post_processor_only_adds_is_never_there() {
    let begun = json!({
        "type": "TemplateProcessing", "pair": [],
        "single": [{ "SpecialToken": { "id": "!", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "special_tokens": { "!": { "id": "!", "ids": [0], "tokens": ["!"] } },
    });
    let both = Both::of(
        "begun",
        opened(&edited(|file| file["post_processor"] = begun)),
    );
    for text in random_texts(6, 200) {
        both.assert_same(&text);
    }
}

#[test]
fn no_text_that_normalizing_changes_is_taken_for_normal() {
    // Blocks are small, so that most are free of what is changed; marks are tried on every character that has another
    // case or is below U+3000, since they compose with letters.
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    let alone = all.chunks(8).map(|block| block.iter().collect());
    let marked = characters()
        .into_iter()
        .chain(texts::cased())
        .flat_map(|c| {
            let marks = [
                '\u{301}', '\u{327}', '\u{345}', '\u{3099}', '\u{1161}', '\u{11a8}',
            ];
            marks.map(|mark| format!("{c}{mark}"))
        });
    let mut kept = 0;
    for text in alone.chain(marked) {
        let mut normalized = NormalizedString::from(text.as_str());
        NFC.normalize(&mut normalized).unwrap();
        if is_nfc(&text) {
            assert_eq!(normalized.get(), text);
            kept += 1;
        }
    }
    assert!(kept > 130_000, "{kept}");
}
