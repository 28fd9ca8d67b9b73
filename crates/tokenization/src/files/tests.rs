use std::{error::Error, fs, path::Path};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    DEFAULT_CHAT_TEMPLATE, Encoder, TokenizationError,
    testing::{chatml, copy, fixture, small_tokenizer},
};

/// A folder with a tokenizer and nothing that says which token ends a response.
fn bare() -> TempDir {
    let folder = small_tokenizer();
    for name in ["tokenizer_config.json", "special_tokens_map.json"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    folder
}

fn write(folder: &Path, name: &str, content: &Value) {
    fs::write(folder.join(name), content.to_string()).unwrap();
}

fn open(folder: &Path) -> Result<Encoder, TokenizationError> {
    Encoder::open(folder, None)
}

fn problem(folder: &Path) -> String {
    let text = open(folder).err().unwrap().to_string();
    text.replace(&folder.display().to_string(), "DIR")
}

#[test]
fn a_folder_without_a_template_gets_the_default_one() {
    let encoder = open(small_tokenizer().path()).unwrap();
    assert_eq!(encoder.chat_template(), DEFAULT_CHAT_TEMPLATE);
}

#[test]
fn an_override_goes_before_the_file_and_the_file_before_the_configuration() {
    let folder = small_tokenizer();
    let path = folder.path();
    let with = |template| json!({ "eos_token": "<|endoftext|>", "chat_template": template });
    write(path, "tokenizer_config.json", &with(json!("{{ 1 }}")));
    assert_eq!(open(path).unwrap().chat_template(), "{{ 1 }}");
    let named =
        json!([{ "name": "tools", "template": "" }, { "name": "default", "template": "{{ 2 }}" }]);
    write(path, "tokenizer_config.json", &with(named));
    assert_eq!(open(path).unwrap().chat_template(), "{{ 2 }}");
    fs::write(path.join("chat_template.jinja"), "{{ 3 }}").unwrap();
    assert_eq!(open(path).unwrap().chat_template(), "{{ 3 }}");
    let encoder = Encoder::open(path, Some(chatml())).unwrap();
    assert_eq!(encoder.chat_template(), chatml());
}

#[test]
fn a_template_knows_every_token_that_has_a_name() {
    let folder = small_tokenizer();
    let path = folder.path();
    let config = json!({
        "eos_token": "<|endoftext|>",
        "pad_token": "<pad>",
        "mask_token": { "content": "<mask>" },
        "image_token": "<img>",
        "add_bos_token": true,
        "extra_special_tokens": { "audio_token": "<audio>" },
        "chat_template": "{{ pad_token }}{{ mask_token }}{{ sep_token }}{{ image_token }}{{ audio_token }}{{ add_bos_token is defined }}{{ messages[0].content }}",
    });
    write(path, "tokenizer_config.json", &config);
    let rendered = |path: &Path| {
        let asked = crate::testing::conversation(&["Hi"]);
        open(path).unwrap().render(&asked).unwrap()
    };
    assert_eq!(rendered(path), "<pad><mask><img><audio>FalseHi");
    let saved = tempfile::tempdir().unwrap();
    open(path).unwrap().save(saved.path()).unwrap();
    assert_eq!(rendered(saved.path()), "<pad><mask><img><audio>FalseHi");
}

#[test]
fn conversations_with_tools_have_a_template_of_their_own_where_there_is_one() {
    let folder = small_tokenizer();
    let path = folder.path();
    let with = |templates| json!({ "eos_token": "<|endoftext|>", "chat_template": templates });
    let named = json!([
        { "name": "tool_use", "template": "tools: {{ messages[0].content }}" },
        { "name": "default", "template": "{{ messages[0].content }}" },
    ]);
    write(path, "tokenizer_config.json", &with(named));
    let plain = crate::testing::conversation(&["Hi"]);
    let mut with_tools = plain.clone();
    with_tools.tools = vec![serde_json::Map::from_iter([("name".into(), json!("f"))])];
    let saved = tempfile::tempdir().unwrap();
    open(path).unwrap().save(saved.path()).unwrap();
    for path in [path, saved.path()] {
        let encoder = open(path).unwrap();
        assert_eq!(encoder.render(&plain).unwrap(), "Hi");
        assert_eq!(encoder.render(&with_tools).unwrap(), "tools: Hi");
    }
    let overridden = Encoder::open(path, Some("{{ messages|length }}")).unwrap();
    assert_eq!(overridden.render(&with_tools).unwrap(), "1");
}

#[test]
fn a_chat_template_that_is_no_text_is_refused() {
    let folder = small_tokenizer();
    write(
        folder.path(),
        "tokenizer_config.json",
        &json!({ "chat_template": 7 }),
    );
    assert_eq!(
        problem(folder.path()),
        "`chat_template` in `DIR/tokenizer_config.json`: expected a text, or a list with an entry named `default`; write the one to use to `chat_template.jinja`"
    );
}

#[test]
fn the_end_token_is_looked_for_file_after_file() {
    let folder = bare();
    let path = folder.path();
    let end = || open(path).unwrap().end_token().to_owned();
    assert_eq!(end(), "<|endoftext|>");
    write(path, "config.json", &json!({ "eos_token_id": 0 }));
    assert_eq!(end(), "!");
    write(
        path,
        "generation_config.json",
        &json!({ "eos_token_id": [1, 2] }),
    );
    assert_eq!(end(), "\"");
    write(
        path,
        "special_tokens_map.json",
        &json!({ "eos_token": { "content": "#" } }),
    );
    assert_eq!(end(), "#");
    write(path, "tokenizer_config.json", &json!({ "eos_token": "$" }));
    assert_eq!(end(), "$");
    assert_eq!(open(path).unwrap().end_token_id(), 3);
}

#[test]
fn an_end_token_outside_the_vocabulary_is_refused() {
    let folder = bare();
    write(
        folder.path(),
        "config.json",
        &json!({ "eos_token_id": 9999 }),
    );
    assert_eq!(
        problem(folder.path()),
        "`config.json` of `DIR` names `9999` as eos_token_id: expected a token of the vocabulary; correct it or add the token"
    );
    write(
        folder.path(),
        "tokenizer_config.json",
        &json!({ "eos_token": "</s>" }),
    );
    assert_eq!(
        problem(folder.path()),
        "`tokenizer_config.json` of `DIR` names `</s>` as eos_token: expected a token of the vocabulary; correct it or add the token"
    );
}

#[test]
fn a_vocabulary_without_any_end_token_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "vocab.json",
        &json!({ "a": 0, "b": 1, "ab": 2 }),
    );
    fs::write(folder.path().join("merges.txt"), "a b\n").unwrap();
    let found = problem(folder.path());
    assert!(
        found.starts_with("`DIR` does not say which token ends a response"),
        "{found}"
    );
}

#[test]
fn a_folder_without_a_tokenizer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        problem(folder.path()),
        "`DIR` has no tokenizer: expected `tokenizer.json`, or `vocab.json` with `merges.txt`; copy them from the base model"
    );
}

#[test]
fn vocabulary_and_merges_of_another_tokenizer_than_gpt2s_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    copy(
        &["vocab.json", "merges.txt"],
        &fixture("tiny-gpt2"),
        folder.path(),
    );
    write(
        folder.path(),
        "tokenizer_config.json",
        &json!({ "tokenizer_class": "RobertaTokenizer" }),
    );
    let found = problem(folder.path());
    assert!(
        found.starts_with("`DIR` has a `RobertaTokenizer` without"),
        "{found}"
    );
}

#[test]
fn broken_files_are_named() {
    let folder = small_tokenizer();
    fs::write(folder.path().join("config.json"), "[]").unwrap();
    assert_eq!(problem(folder.path()), "failed to parse `DIR/config.json`");
    fs::remove_file(folder.path().join("config.json")).unwrap();
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    assert_eq!(
        problem(folder.path()),
        "failed to load the tokenizer of `DIR/tokenizer.json`"
    );
    assert!(open(folder.path()).err().unwrap().source().is_some());
}

#[test]
fn truncation_and_padding_of_the_file_are_ignored() {
    let folder = small_tokenizer();
    let path = folder.path().join("tokenizer.json");
    let plain = open(folder.path()).unwrap();
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["truncation"] =
        json!({ "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0 });
    file["padding"] = json!({ "strategy": { "Fixed": 64 }, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "!" });
    fs::write(&path, file.to_string()).unwrap();
    let asked = crate::testing::conversation(&["The quick brown fox"]);
    assert_eq!(
        open(folder.path()).unwrap().encode_prompt(&asked).unwrap(),
        plain.encode_prompt(&asked).unwrap()
    );
}

#[test]
fn a_file_that_the_library_panics_on_is_a_broken_file() {
    let folder = small_tokenizer();
    let path = folder.path().join("tokenizer.json");
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["decoder"] = json!({ "type": "Sequence", "decoders": { "a": 1 } });
    let cut_off = file.to_string().replace("\"a\":1", "\"a\" 1");
    fs::write(&path, cut_off).unwrap();
    assert_eq!(
        problem(folder.path()),
        "failed to load the tokenizer of `DIR/tokenizer.json`"
    );
}

#[test]
fn an_id_that_no_model_has_is_refused() {
    let folder = small_tokenizer();
    let path = folder.path().join("tokenizer.json");
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    file["model"]["vocab"]["there"] = json!(u32::MAX);
    fs::write(&path, file.to_string()).unwrap();
    let said = problem(folder.path());
    let expected = "the tokenizer of `DIR` has the id `4294967295`: expected ids below 16777216";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn an_id_that_two_tokens_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "vocab.json",
        &json!({ "a": 0, "b": 1, "<|endoftext|>": 1 }),
    );
    fs::write(folder.path().join("merges.txt"), "").unwrap();
    let said = problem(folder.path());
    let expected = "the tokenizer of `DIR` gives the id `1` to `<|endoftext|>` and to `b`";
    assert!(said.starts_with(expected), "{said}");
}
