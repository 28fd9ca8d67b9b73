use std::{fs, sync::LazyLock};

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::testing::{
    assistant, chatml, conversation, copy, fixture, naughty_strings, read_fixture, small_tokenizer,
    system, test_data, user,
};

/// A template that leaves the end of a response to the caller.
const ENDLESS: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

static SMALL: LazyLock<Encoder> = LazyLock::new(|| small(None));

fn small(template: Option<&str>) -> Encoder {
    Encoder::open(small_tokenizer().path(), template).unwrap()
}

/// Returns the text of every run of tokens, with whether it carries loss.
fn runs(encoder: &Encoder, example: &EncodedExample) -> Vec<(bool, String)> {
    let tokens: Vec<(bool, u32)> = example
        .loss_mask
        .iter()
        .copied()
        .zip(example.ids.iter().copied())
        .collect();
    let runs = tokens.chunk_by(|left, right| left.0 == right.0);
    runs.map(|run| {
        let ids: Vec<u32> = run.iter().map(|&(_, id)| id).collect();
        (run[0].0, encoder.tokenizer.decode(&ids, false).unwrap())
    })
    .collect()
}

fn run(label: bool, text: &str) -> (bool, String) {
    (label, text.to_owned())
}

#[test]
fn only_the_response_and_its_end_token_carry_loss() {
    let example = SMALL
        .encode_training(&conversation(&["Hi", "Hello there!"]))
        .unwrap();
    assert_eq!(
        runs(&SMALL, &example),
        [
            run(false, "### User:\nHi\n\n### Assistant:\n"),
            run(true, "Hello there!<|endoftext|>"),
        ]
    );
    let response = SMALL.encode_text("Hello there!").unwrap().len();
    assert_eq!(example.trainable_tokens(), response + 1);
}

/// Writes the tools before the turns, as the templates of models with tools do.
const WITH_TOOLS: &str = "{% if tools %}tools: {{ tools | tojson }}\n{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}<|endoftext|>\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

#[test]
fn tools_are_in_the_prompt_as_they_were_in_training() {
    let encoder = small(Some(WITH_TOOLS));
    let Value::Object(tool) = json!({"type": "function", "function": {"name": "weather"}}) else {
        unreachable!()
    };
    let mut whole = conversation(&["Is it warm?", "Yes."]);
    whole.tools.push(tool);
    let prompt = encoder.encode_prompt(&whole.prompt()).unwrap();
    let text = encoder.decode(&prompt).unwrap();
    assert!(text.starts_with(r#"tools: [{"type": "function""#), "{text}");
    let example = encoder.encode_training(&whole).unwrap();
    assert_eq!(example.ids[..prompt.len()], prompt);
}

#[test]
fn every_response_of_several_turns_carries_loss() {
    let turns = [
        system("Be kind."),
        user("Hi"),
        assistant("Hello"),
        user("Bye"),
        assistant("Ciao"),
    ];
    let example = SMALL
        .encode_training(&Conversation::new(turns.into()))
        .unwrap();
    assert_eq!(
        runs(&SMALL, &example),
        [
            run(false, "Be kind.\n\n### User:\nHi\n\n### Assistant:\n"),
            run(true, "Hello<|endoftext|>"),
            run(false, "\n### User:\nBye\n\n### Assistant:\n"),
            run(true, "Ciao<|endoftext|>"),
        ]
    );
}

#[test]
fn the_end_token_is_appended_with_loss_where_the_template_lacks_it() {
    let encoder = small(Some(ENDLESS));
    let example = encoder
        .encode_training(&conversation(&["Hi", "Hello", "Bye", "Ciao"]))
        .unwrap();
    assert_eq!(
        runs(&encoder, &example),
        [
            run(false, "user: Hi\nassistant: "),
            run(true, "Hello\n<|endoftext|>"),
            run(false, "user: Bye\nassistant: "),
            run(true, "Ciao\n<|endoftext|>"),
        ]
    );
}

#[test]
fn what_follows_the_end_token_carries_no_loss() {
    let template = ENDLESS.replace("{{ m.content }}", "{{ m.content }}{{ eos_token }}");
    let encoder = small(Some(&template));
    let example = encoder
        .encode_training(&conversation(&["Hi", "Hello"]))
        .unwrap();
    assert_eq!(
        runs(&encoder, &example),
        [
            run(false, "user: Hi<|endoftext|>\nassistant: "),
            run(true, "Hello<|endoftext|>"),
            run(false, "\n"),
        ]
    );
}

#[test]
fn a_bos_is_there_exactly_once_if_the_template_renders_it() {
    let folder = small_tokenizer();
    let path = folder.path().join("tokenizer.json");
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // As Llama's: the tokenizer itself would put a BOS before everything.
    file["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "!", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [],
        "special_tokens": { "!": { "id": "!", "ids": [0], "tokens": ["!"] } },
    });
    fs::write(&path, file.to_string()).unwrap();
    let names = json!({ "bos_token": "!", "eos_token": "<|endoftext|>" });
    fs::write(
        folder.path().join("tokenizer_config.json"),
        names.to_string(),
    )
    .unwrap();
    for (template, count) in [
        (ENDLESS.to_owned(), 0),
        (format!("{{{{ bos_token }}}}{ENDLESS}"), 1),
    ] {
        let encoder = Encoder::open(folder.path(), Some(&template)).unwrap();
        let ids = encoder
            .encode_training(&conversation(&["Hi", "Hello"]))
            .unwrap()
            .ids;
        assert_eq!(ids.iter().filter(|&&id| id == 0).count(), count);
    }
}

#[test]
fn a_template_that_is_not_prefix_preserving_is_refused() {
    let template = "{% for m in messages %}{{ loop.revindex }} {{ m.content }}\n{% endfor %}";
    let error = small(Some(template))
        .encode_training(&conversation(&["Hi", "Hello"]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the chat template is not prefix-preserving at turn 2: expected the rendering to go on after `1 Hi\n`, found `2 Hi\n1 Hello\n`; training would see another prompt than serving, so use a template that renders earlier turns the same whatever follows"
    );
}

#[test]
fn content_with_a_special_token_is_refused_in_training_and_serving() {
    let smuggled = conversation(&["Hi", "Hello<|endoftext|>### User:"]);
    let expected = "the assistant message at turn 2 contains `<|endoftext|>`: expected text without the tokenizer's special tokens, which would become a control token; remove or reword it";
    assert_eq!(
        SMALL.encode_training(&smuggled).unwrap_err().to_string(),
        expected
    );
    assert_eq!(
        SMALL.encode_prompt(&smuggled).unwrap_err().to_string(),
        expected
    );
}

#[test]
fn a_special_token_that_only_normalizing_makes_is_refused() {
    let folder = small_tokenizer();
    let path = folder.path().join("tokenizer.json");
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["normalizer"] = json!({ "type": "NFKC" });
    file["added_tokens"][0]["normalized"] = json!(true);
    fs::write(&path, file.to_string()).unwrap();
    let encoder = Encoder::open(folder.path(), None).unwrap();
    // The first character is the full-width less-than sign.
    let error = encoder
        .encode_prompt(&conversation(&["\u{ff1c}|endoftext|>"]))
        .unwrap_err();
    assert!(
        matches!(error, TokenizationError::SpecialToken { turn: 1, .. }),
        "{error}"
    );
}

#[test]
fn conversations_without_a_last_response_are_refused() {
    let error = SMALL.encode_training(&conversation(&["Hi"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the conversation ends with a user message: expected it to end with the assistant's, which is trained on"
    );
    assert!(matches!(
        SMALL.encode_prompt(&Conversation::default()),
        Err(TokenizationError::NoMessages)
    ));
    assert!(matches!(
        SMALL.encode_training(&conversation(&[])),
        Err(TokenizationError::NoMessages)
    ));
}

#[test]
fn decoding_leaves_special_tokens_out_and_refuses_unknown_ids() {
    let ids = SMALL.encode_text("Größe<|endoftext|>").unwrap();
    assert_eq!(SMALL.decode(&ids).unwrap(), "Größe");
    assert_eq!(
        SMALL.token_text(SMALL.end_token_id()).as_deref(),
        Some("<|endoftext|>")
    );
    let beyond = u32::try_from(SMALL.vocabulary_size()).unwrap();
    assert_eq!(SMALL.token_text(beyond), None);
    let error = SMALL.decode(&[0, beyond]).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("token id `{beyond}` is not in the vocabulary: expected one of its {beyond} ids")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_prompt_is_a_strict_prefix_and_the_rest_is_the_response(turns in prop::collection::vec("\\PC{0,24}", 1..4), response in "\\PC{0,24}") {
        let mut turns: Vec<&str> = turns.iter().map(String::as_str).collect();
        if turns.len().is_multiple_of(2) {
            turns.pop();
        }
        turns.push(&response);
        let whole = conversation(&turns);
        let prompt = SMALL.encode_prompt(&whole.prompt()).unwrap();
        let example = SMALL.encode_training(&whole).unwrap();
        prop_assert_eq!(example.ids.len(), example.loss_mask.len());
        prop_assert!(example.ids.starts_with(&prompt));
        let answer = &example.ids[prompt.len()..];
        prop_assert!(example.loss_mask[prompt.len()..].iter().all(|&label| label));
        prop_assert!(!example.loss_mask[prompt.len() - 1]);
        prop_assert_eq!(answer.last(), Some(&SMALL.end_token_id()));
        prop_assert_eq!(SMALL.decode(answer).unwrap(), response);
    }
}

/// A text with the ids that `transformers` gives it.
#[derive(Deserialize)]
struct Encoding {
    text: String,
    ids: Vec<u32>,
}

#[test]
fn both_kinds_of_tokenizer_files_give_the_ids_of_transformers() {
    let tiny = fixture("tiny-gpt2");
    let pair = tempfile::tempdir().unwrap();
    copy(
        &["vocab.json", "merges.txt", "tokenizer_config.json"],
        &tiny,
        pair.path(),
    );
    let encodings: Vec<Encoding> = read_fixture("encodings.json");
    assert!(encodings.len() > 8);
    for folder in [tiny.as_path(), pair.path()] {
        let encoder = Encoder::open(folder, None).unwrap();
        assert_eq!(
            (encoder.vocabulary_size(), encoder.end_token_id()),
            (320, 319)
        );
        for Encoding { text, ids } in &encodings {
            assert_eq!(&encoder.encode_text(text).unwrap(), ids, "{text:?}");
        }
    }
}

#[test]
fn a_saved_encoder_opens_to_the_same() {
    let saved = tempfile::tempdir().unwrap();
    let folder = saved.path().join("new");
    let first = Encoder::open(&fixture("tiny-gpt2"), Some(chatml())).unwrap();
    first.save(&folder).unwrap();
    let second = Encoder::open(&folder, None).unwrap();
    let turns = conversation(&["Größe?\n", " 1 234 ", "素早い\t", "🙂"]);
    assert_eq!(
        first.encode_training(&turns).unwrap(),
        second.encode_training(&turns).unwrap()
    );
    assert_eq!(second.chat_template(), chatml());
    assert_eq!(second.end_token_id(), first.end_token_id());
    assert_eq!(second.vocabulary_size(), first.vocabulary_size());
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let config: Value = serde_json::from_str(&read("tokenizer_config.json")).unwrap();
    assert_eq!(config["tokenizer_class"], "PreTrainedTokenizerFast");
    assert_eq!(config["eos_token"], "<|endoftext|>");
    assert_eq!(config["model_max_length"], 96);
    assert_eq!(config["chat_template"], chatml());
    assert_eq!(read("chat_template.jinja"), chatml());
    // Saving again changes nothing.
    let before = read("tokenizer.json");
    second.save(&folder).unwrap();
    assert_eq!(read("tokenizer.json"), before);
}

#[test]
fn the_real_gpt2_vocabulary_gives_the_published_ids() {
    let Some(data) = test_data() else { return };
    let encoder = Encoder::open(&data.join("tokenizers/gpt2"), None).unwrap();
    assert_eq!(encoder.vocabulary_size(), 50257);
    assert_eq!(
        (encoder.end_token(), encoder.end_token_id()),
        ("<|endoftext|>", 50256)
    );
    let ids = encoder.encode_text("Hello, I'm a language model,").unwrap();
    assert_eq!(ids, [15496, 11, 314, 1101, 257, 3303, 2746, 11]);
}

#[test]
fn hostile_strings_survive_the_real_gpt2_vocabulary() {
    let (Some(data), Some(strings)) = (test_data(), naughty_strings()) else {
        return;
    };
    let encoder = Encoder::open(&data.join("tokenizers/gpt2"), None).unwrap();
    assert!(strings.len() > 400);
    for text in &strings {
        let whole = conversation(&[text, text]);
        let prompt = encoder.encode_prompt(&whole.prompt()).unwrap();
        let example = encoder.encode_training(&whole).unwrap();
        assert_eq!(example.ids[..prompt.len()], prompt, "{text:?}");
        assert_eq!(&encoder.decode(&example.ids[prompt.len()..]).unwrap(), text);
        let shown = encoder.decode(&prompt).unwrap();
        assert_eq!(shown, format!("### User:\n{text}\n\n### Assistant:\n"));
    }
}

#[test]
fn byte_level_tokenizers_are_encoded_without_the_library_and_others_with_it() {
    assert!(SMALL.fast.is_some());
    let tiny = Encoder::open(&fixture("tiny-gpt2"), None).unwrap();
    assert!(tiny.fast.is_some());
    if let Some(data) = test_data() {
        let real = Encoder::open(&data.join("tokenizers/gpt2"), None).unwrap();
        assert!(real.fast.is_some());
    }
    let folder = small_tokenizer();
    let path = folder.path().join("tokenizer.json");
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["added_tokens"][0]["lstrip"] = json!(true);
    fs::write(&path, file.to_string()).unwrap();
    let stripping = Encoder::open(folder.path(), None).unwrap();
    assert!(stripping.fast.is_none());
    let text = "Größe  <|endoftext|>";
    let (ids, plain) = (stripping.encode_text(text), SMALL.encode_text(text));
    assert_eq!(stripping.decode(&ids.unwrap()).unwrap(), "Größe");
    assert_eq!(SMALL.decode(&plain.unwrap()).unwrap(), "Größe  ");
}

#[test]
fn text_that_normalizing_changes_gets_the_ids_of_what_it_becomes() {
    let folder = small_tokenizer();
    let path = folder.path().join("tokenizer.json");
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["normalizer"] = json!({ "type": "NFC" });
    fs::write(&path, file.to_string()).unwrap();
    let encoder = Encoder::open(folder.path(), None).unwrap();
    assert!(encoder.fast.is_some());
    let [composed, decomposed] =
        ["Größe", "Gro\u{308}ße"].map(|text| encoder.encode_text(text).unwrap());
    assert_eq!(composed, decomposed);
    assert_ne!(SMALL.encode_text("Gro\u{308}ße").unwrap(), composed);
    for content in ["é <|endoftext|>", "e\u{301} <|endoftext|>"] {
        let error = encoder
            .encode_prompt(&conversation(&[content]))
            .unwrap_err();
        assert!(
            matches!(error, TokenizationError::SpecialToken { turn: 1, .. }),
            "{error}"
        );
    }
    assert!(
        encoder
            .encode_prompt(&conversation(&["é and e\u{301}"]))
            .is_ok()
    );
}

#[test]
fn a_text_is_cut_into_sequences_in_which_every_token_is_learnt_once() {
    for length in 1..40_u32 {
        let text = EncodedExample {
            ids: (0..length).collect(),
            loss_mask: vec![true; length as usize],
        };
        for longest in 1..12 {
            let sequences = text.clone().sequences(longest);
            let mut learnt = Vec::new();
            for (index, sequence) in sequences.iter().enumerate() {
                assert_eq!(sequence.ids.len(), sequence.loss_mask.len());
                assert!(sequence.ids.len() <= longest.max(2), "{sequence:?}");
                assert!(sequence.ids.len() >= 2 || length == 1, "{sequence:?}");
                assert_eq!(sequence.loss_mask[0], index == 0);
                let labels = sequence.ids.iter().zip(&sequence.loss_mask);
                learnt.extend(labels.filter(|(_, label)| **label).map(|(id, _)| *id));
            }
            assert_eq!(
                learnt, text.ids,
                "{length} tokens in sequences of {longest}"
            );
        }
    }
}
