use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use crate::{
    DEFAULT_CHAT_TEMPLATE, TokenizationError,
    byte_level::{self, END_OF_TEXT},
    guard::guarded,
    save::NamedTokens,
    sources::TemplateSources,
};

pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub(crate) const SPECIAL_TOKENS: &str = "special_tokens_map.json";
pub(crate) const CHAT_TEMPLATE: &str = "chat_template.jinja";
const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const GENERATION_CONFIG: &str = "generation_config.json";
const CONFIG: &str = "config.json";

/// The names of tokens that are known for more than their name.
const NAMES: [&str; 4] = ["bos_token", "eos_token", "unk_token", "pad_token"];

/// The settings files of a model folder; one that is absent is empty.
pub(crate) struct ModelFiles {
    folder: PathBuf,
    tokenizer_config: Map<String, Value>,
    special_tokens: Map<String, Value>,
    generation_config: Map<String, Value>,
    config: Map<String, Value>,
}

impl ModelFiles {
    pub(crate) fn read(folder: &Path) -> Result<Self, TokenizationError> {
        let read = |name| read_settings(&folder.join(name));
        Ok(Self {
            folder: folder.to_owned(),
            tokenizer_config: read(TOKENIZER_CONFIG)?,
            special_tokens: read(SPECIAL_TOKENS)?,
            generation_config: read(GENERATION_CONFIG)?,
            config: read(CONFIG)?,
        })
    }

    /// Opens the folder's tokenizer. It never truncates or pads, whatever its file says.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer, TokenizationError> {
        let path = self.folder.join(TOKENIZER);
        let Some(bytes) = optional(fs::read(&path), &path)? else {
            return self.byte_level_tokenizer();
        };
        let invalid = |source| TokenizationError::Tokenizer {
            path: path.clone(),
            source,
        };
        let mut tokenizer = guarded(|| Tokenizer::from_bytes(bytes)).map_err(invalid)?;
        tokenizer.with_truncation(None).map_err(invalid)?;
        tokenizer.with_padding(None);
        Ok(tokenizer)
    }

    fn byte_level_tokenizer(&self) -> Result<Tokenizer, TokenizationError> {
        let vocabulary = self.folder.join(VOCABULARY);
        let merges = self.folder.join(MERGES);
        if !vocabulary.is_file() || !merges.is_file() {
            return Err(TokenizationError::NoTokenizer {
                folder: self.folder.clone(),
            });
        }
        let class = self.tokenizer_config.get("tokenizer_class");
        if let Some(class) = class.and_then(Value::as_str)
            && !["GPT2Tokenizer", "GPT2TokenizerFast"].contains(&class)
        {
            return Err(TokenizationError::UnsupportedTokenizer {
                folder: self.folder.clone(),
                class: class.to_owned(),
            });
        }
        let add_prefix_space = self.tokenizer_config.get("add_prefix_space");
        byte_level::open(
            &vocabulary,
            &merges,
            add_prefix_space == Some(&Value::Bool(true)),
        )
    }

    /// Returns the tokens with a name; the one that ends a response is always known.
    pub(crate) fn named_tokens(
        &self,
        tokenizer: &Tokenizer,
    ) -> Result<NamedTokens, TokenizationError> {
        let named = |field| self.named_token(field).map(|(_, token)| token.to_owned());
        Ok(NamedTokens {
            bos: named("bos_token"),
            eos: self.end_token(tokenizer)?,
            unk: named("unk_token"),
            pad: named("pad_token"),
            others: self.other_tokens(),
        })
    }

    /// Returns what else `transformers` takes for a token with a name: what is called so, and the extra ones.
    fn other_tokens(&self) -> Vec<(String, String)> {
        let mut found = BTreeMap::new();
        for settings in [&self.tokenizer_config, &self.special_tokens] {
            let named = settings
                .iter()
                .filter(|(field, _)| field.ends_with("_token") && !NAMES.contains(&field.as_str()));
            let extra = settings.get("extra_special_tokens");
            let extra = extra.and_then(Value::as_object).into_iter().flatten();
            for (field, value) in named.chain(extra) {
                if let Some(token) = token_text(value) {
                    found.entry(field.clone()).or_insert(token.to_owned());
                }
            }
        }
        found.into_iter().collect()
    }

    fn end_token(&self, tokenizer: &Tokenizer) -> Result<String, TokenizationError> {
        let unknown = |file, field, token: String| TokenizationError::UnknownEndToken {
            folder: self.folder.clone(),
            file,
            field,
            token,
        };
        if let Some((file, token)) = self.named_token("eos_token") {
            let known = tokenizer.token_to_id(token).is_some();
            return known
                .then(|| token.to_owned())
                .ok_or_else(|| unknown(file, "eos_token", token.to_owned()));
        }
        if let Some((file, id)) = self.end_token_id() {
            return u32::try_from(id)
                .ok()
                .and_then(|id| tokenizer.id_to_token(id))
                .ok_or_else(|| unknown(file, "eos_token_id", id.to_string()));
        }
        let known = tokenizer.token_to_id(END_OF_TEXT).is_some();
        known
            .then(|| END_OF_TEXT.to_owned())
            .ok_or_else(|| TokenizationError::NoEndToken {
                folder: self.folder.clone(),
            })
    }

    /// Returns the token called `field`, and the file that says so.
    fn named_token(&self, field: &str) -> Option<(&'static str, &str)> {
        let files = [
            (TOKENIZER_CONFIG, &self.tokenizer_config),
            (SPECIAL_TOKENS, &self.special_tokens),
        ];
        files.into_iter().find_map(|(file, settings)| {
            let token = token_text(settings.get(field)?)?;
            Some((file, token))
        })
    }

    /// Returns the first `eos_token_id`, and the file that says so.
    fn end_token_id(&self) -> Option<(&'static str, u64)> {
        let files = [
            (GENERATION_CONFIG, &self.generation_config),
            (CONFIG, &self.config),
        ];
        files.into_iter().find_map(|(file, settings)| {
            let value = settings.get("eos_token_id")?;
            let id = value.as_u64().or_else(|| value.get(0)?.as_u64())?;
            Some((file, id))
        })
    }

    /// Returns the folder's chat templates, or ours where it has none.
    pub(crate) fn chat_templates(&self) -> Result<TemplateSources, TokenizationError> {
        let path = self.folder.join(CHAT_TEMPLATE);
        if let Some(template) = optional(fs::read_to_string(&path), &path)? {
            return Ok(template.into());
        }
        let templates = match self.tokenizer_config.get("chat_template") {
            None | Some(Value::Null) => Some(DEFAULT_CHAT_TEMPLATE.to_owned().into()),
            Some(Value::String(template)) => Some(template.clone().into()),
            Some(Value::Array(named)) => TemplateSources::named(named),
            Some(_) => None,
        };
        templates.ok_or_else(|| TokenizationError::TemplateField {
            path: self.folder.join(TOKENIZER_CONFIG),
        })
    }

    /// Returns the model's context in tokens, where a file says so.
    pub(crate) fn model_max_length(&self) -> Option<u64> {
        // A tokenizer without a limit says 1e30, which is no u64.
        let limit = self.tokenizer_config.get("model_max_length");
        let context = ["n_positions", "max_position_embeddings"];
        limit.and_then(Value::as_u64).or_else(|| {
            let mut found = context.iter().filter_map(|&field| self.config.get(field));
            found.find_map(Value::as_u64)
        })
    }
}

/// Returns a token's text, which may be one of several settings of it.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn read_settings(path: &Path) -> Result<Map<String, Value>, TokenizationError> {
    let Some(bytes) = optional(fs::read(path), path)? else {
        return Ok(Map::new());
    };
    serde_json::from_slice(&bytes).map_err(|source| TokenizationError::Json {
        path: path.to_owned(),
        source,
    })
}

/// Makes an absent file `None`.
fn optional<T>(read: io::Result<T>, path: &Path) -> Result<Option<T>, TokenizationError> {
    match read {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TokenizationError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests;
