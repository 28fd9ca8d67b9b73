use std::{fs, path::Path};

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use crate::{
    TokenizationError,
    files::{CHAT_TEMPLATE, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG},
    guard::guarded,
    sources::TemplateSources,
};

/// The tokens that have a name.
pub(crate) struct NamedTokens {
    pub(crate) bos: Option<String>,
    pub(crate) eos: String,
    pub(crate) unk: Option<String>,
    pub(crate) pad: Option<String>,
    /// What else has a name, such as `mask_token`, with that name.
    pub(crate) others: Vec<(String, String)>,
}

impl NamedTokens {
    /// Names only the token that ends a response.
    pub(crate) fn ending_with(eos: &str) -> Self {
        Self {
            bos: None,
            eos: eos.to_owned(),
            unk: None,
            pad: None,
            others: Vec::new(),
        }
    }

    /// Returns every named token.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.fields().map(|(_, token)| token)
    }

    /// Returns every named token with its name, which chat templates know it by.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = [
            ("bos_token", self.bos.as_deref()),
            ("eos_token", Some(self.eos.as_str())),
            ("unk_token", self.unk.as_deref()),
            ("pad_token", self.pad.as_deref()),
        ];
        let others = self
            .others
            .iter()
            .map(|(field, token)| (&**field, &**token));
        fields
            .into_iter()
            .filter_map(|(field, token)| Some((field, token?)))
            .chain(others)
    }

    fn to_json(&self) -> Map<String, Value> {
        let entries = self.fields();
        entries
            .map(|(field, token)| (field.to_owned(), json!(token)))
            .collect()
    }
}

/// Makes the content of `tokenizer_config.json`.
///
/// The class is the one that takes everything from `tokenizer.json` and adds nothing of its own.
pub(crate) fn config(
    names: &NamedTokens,
    model_max_length: Option<u64>,
    templates: Option<&TemplateSources>,
) -> Map<String, Value> {
    let mut config = names.to_json();
    let mut set = |field: &str, value: Value| config.insert(field.to_owned(), value);
    set("tokenizer_class", json!("PreTrainedTokenizerFast"));
    set("clean_up_tokenization_spaces", json!(false));
    if let Some(length) = model_max_length {
        set("model_max_length", json!(length));
    }
    if let Some(templates) = templates {
        set("chat_template", templates.to_json());
    }
    config
}

/// Writes `tokenizer.json` and `tokenizer_config.json`, making the folder where it is missing.
pub(crate) fn write_tokenizer(
    folder: &Path,
    tokenizer: &Tokenizer,
    config: Map<String, Value>,
) -> Result<(), TokenizationError> {
    fs::create_dir_all(folder).map_err(|source| TokenizationError::Write {
        path: folder.to_owned(),
        source,
    })?;
    let path = folder.join(TOKENIZER);
    let json = guarded(|| tokenizer.to_string(true));
    let json = json.map_err(|source| TokenizationError::Tokenizer {
        path: path.clone(),
        source,
    })?;
    write(&path, &json)?;
    write_json(&folder.join(TOKENIZER_CONFIG), config)
}

/// Writes `special_tokens_map.json`.
pub(crate) fn write_special_tokens(
    folder: &Path,
    names: &NamedTokens,
) -> Result<(), TokenizationError> {
    write_json(&folder.join(SPECIAL_TOKENS), names.to_json())
}

/// Writes `chat_template.jinja`.
pub(crate) fn write_template(folder: &Path, template: &str) -> Result<(), TokenizationError> {
    write(&folder.join(CHAT_TEMPLATE), template)
}

fn write_json(path: &Path, content: Map<String, Value>) -> Result<(), TokenizationError> {
    write(path, &format!("{:#}\n", Value::Object(content)))
}

fn write(path: &Path, content: &str) -> Result<(), TokenizationError> {
    fs::write(path, content).map_err(|source| TokenizationError::Write {
        path: path.to_owned(),
        source,
    })
}
