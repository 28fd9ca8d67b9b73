use std::path::Path;

use llmopt_artifact::ModelFolder;
use llmopt_tokenization::Encoder;

use crate::{
    GgufError,
    metadata::{Metadata, Value},
    special::SpecialTokens,
    tokenizer_file::TokenizerFile,
    vocabulary::Vocabulary,
};

/// Adds what llama.cpp has to know of the tokenizer in `folder` to the metadata of `model`.
///
/// # Errors
/// Those of [`Encoder::open`], [`TokenizerFile::read`] and [`Vocabulary::new`].
pub(crate) fn describe(
    model: &ModelFolder,
    folder: &Path,
    metadata: &mut Metadata,
) -> Result<(), GgufError> {
    // One rule says everywhere which token ends a response and which template is in force.
    let encoder = Encoder::open(folder, None)?;
    let file = TokenizerFile::read(folder)?;
    let special = SpecialTokens::read(folder, &encoder)?;
    let vocabulary = Vocabulary::new(&file, &special, model.config().vocab_size)?;
    let ids = [
        ("bos_token_id", special.id("bos", &vocabulary, model)),
        ("eos_token_id", Some(special.eos.1)),
        ("unknown_token_id", special.id("unk", &vocabulary, model)),
        ("padding_token_id", special.id("pad", &vocabulary, model)),
    ];
    let types = vocabulary.types.iter().map(|&kind| kind as i32).collect();
    metadata.push_str("tokenizer.ggml.model", "gpt2");
    metadata.push_str("tokenizer.ggml.pre", "gpt-2");
    metadata.push("tokenizer.ggml.tokens", Value::Strings(vocabulary.tokens));
    metadata.push("tokenizer.ggml.token_type", Value::I32s(types));
    metadata.push("tokenizer.ggml.merges", Value::Strings(file.merges));
    for (key, id) in ids {
        if let Some(id) = id {
            metadata.push(format!("tokenizer.ggml.{key}"), Value::U32(id));
        }
    }
    metadata.push("tokenizer.ggml.add_bos_token", Value::Bool(false));
    metadata.push("tokenizer.ggml.add_eos_token", Value::Bool(false));
    if let Some(template) = &special.chat_template {
        metadata.push_str("tokenizer.chat_template", template);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::testing::{self, fixture};

    fn described(folder: &Path) -> Result<Vec<(String, Value)>, GgufError> {
        let (_base, model) = testing::model(&testing::config());
        let mut metadata = Metadata::default();
        describe(&model, folder, &mut metadata)?;
        Ok(metadata.into_entries())
    }

    fn with_settings(change: impl FnOnce(&mut Json)) -> Vec<(String, Value)> {
        let folder = testing::tokenizer("tokenizer_config.json", change);
        described(folder.path()).unwrap()
    }

    fn get<'a>(entries: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
        let mut entries = entries.iter();
        entries.find_map(|(found, value)| (found == key).then_some(value))
    }

    fn id(entries: &[(String, Value)], name: &str) -> Option<u32> {
        match get(entries, &format!("tokenizer.ggml.{name}_token_id"))? {
            Value::U32(id) => Some(*id),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_keys_are_those_of_a_byte_level_bpe() {
        let entries = described(&fixture("tiny-gpt2")).unwrap();
        let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
        let expected = [
            "model",
            "pre",
            "tokens",
            "token_type",
            "merges",
            "bos_token_id",
            "eos_token_id",
            "unknown_token_id",
            "add_bos_token",
            "add_eos_token",
        ];
        assert_eq!(keys, expected.map(|key| format!("tokenizer.ggml.{key}")));
        assert_eq!(entries[1].1, Value::String("gpt-2".to_owned()));
        let Some(Value::Strings(tokens)) = get(&entries, "tokenizer.ggml.tokens") else {
            panic!("no tokens")
        };
        assert_eq!(tokens.len(), 330);
        assert_eq!(
            (tokens[220].as_str(), tokens[320].as_str()),
            ("Ġ", "[PAD320]")
        );
        let Some(Value::I32s(types)) = get(&entries, "tokenizer.ggml.token_type") else {
            panic!("no types")
        };
        assert_eq!((types[220], types[319], types[320]), (1, 3, 5));
    }

    #[test]
    fn tokens_have_the_ids_that_their_names_lead_to() {
        let entries = with_settings(|json| {
            json["bos_token"] = json!({"content": "!"});
            json["eos_token"] = json!("#");
            json["pad_token"] = json!("\"");
            json["unk_token"] = json!("no such token");
        });
        let named = ["bos", "eos", "padding", "unknown"].map(|name| id(&entries, name));
        assert_eq!(named, [Some(0), Some(2), Some(1), None]);
        let Some(Value::I32s(types)) = get(&entries, "tokenizer.ggml.token_type") else {
            panic!("no types")
        };
        assert_eq!(types[..4], [3, 3, 3, 1]);
    }

    #[test]
    fn a_token_without_a_name_has_the_id_of_the_models_configuration() {
        let entries = with_settings(|json| *json = json!({}));
        // `bos_token_id` of the model is that of its end token.
        let named = ["bos", "eos", "padding", "unknown"].map(|name| id(&entries, name));
        assert_eq!(named, [Some(319), Some(319), None, None]);
    }

    #[test]
    fn a_chat_template_is_written_only_where_the_folder_has_one() {
        let entries = with_settings(|json| json["chat_template"] = json!("{{ messages }}"));
        let template = get(&entries, "tokenizer.chat_template");
        assert_eq!(template, Some(&Value::String("{{ messages }}".to_owned())));

        let folder = testing::tokenizer("tokenizer_config.json", |_| {});
        let none = described(folder.path()).unwrap();
        assert_eq!(get(&none, "tokenizer.chat_template"), None);
        fs::write(folder.path().join("chat_template.jinja"), "{{ 1 }}").unwrap();
        let entries = described(folder.path()).unwrap();
        let template = get(&entries, "tokenizer.chat_template");
        assert_eq!(template, Some(&Value::String("{{ 1 }}".to_owned())));
    }

    #[test]
    fn another_kind_of_tokenizer_is_refused() {
        let folder = testing::tokenizer("tokenizer.json", |json| {
            json["pre_tokenizer"] = json!({"type": "Whitespace"});
        });
        let error = described(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("`pre_tokenizer.type` is `Whitespace`; expected `ByteLevel`"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_without_a_tokenizer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = described(folder.path()).unwrap_err();
        assert!(matches!(error, GgufError::Tokenizer(_)), "{error}");
    }
}
