use std::path::Path;

use llmopt_artifact::ModelFolder;
use llmopt_tokenization::Encoder;
use serde_json::{Map, Value};

use crate::{GgufError, tokenizer_file::read_json, vocabulary::Vocabulary};

const SETTINGS: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];
const CHAT_TEMPLATE: &str = "chat_template.jinja";
/// The names of tokens beside the one that ends a response.
const NAMES: [&str; 3] = ["bos", "unk", "pad"];

/// The tokens with a name and the chat template of a tokenizer's folder.
#[derive(Debug)]
pub(crate) struct SpecialTokens {
    /// The token that ends a response.
    pub(crate) eos: (String, u32),
    /// Other tokens by their name.
    named: Vec<(&'static str, String)>,
    /// Where the folder has one.
    pub(crate) chat_template: Option<String>,
}

impl SpecialTokens {
    /// Reads what `encoder`, opened on `folder`, knows and what the folder's settings say.
    ///
    /// # Errors
    /// [`GgufError::Json`] and [`GgufError::Io`].
    pub(crate) fn read(folder: &Path, encoder: &Encoder) -> Result<Self, GgufError> {
        let settings = SETTINGS
            .iter()
            .map(|file| folder.join(file))
            .filter(|path| path.is_file())
            .map(|path| read_json(&path))
            .collect::<Result<Vec<Map<String, Value>>, _>>()?;
        let named = NAMES.iter().filter_map(|name| {
            let field = format!("{name}_token");
            let token = settings.iter().find_map(|map| text_of(map.get(&field)?))?;
            Some((*name, token.to_owned()))
        });
        let mut templates = settings.iter().filter_map(|map| map.get("chat_template"));
        let has_template =
            folder.join(CHAT_TEMPLATE).is_file() || templates.any(|template| !template.is_null());
        Ok(Self {
            eos: (encoder.end_token().to_owned(), encoder.end_token_id()),
            named: named.collect(),
            // An encoder has a template of its own where the folder has none.
            chat_template: has_template.then(|| encoder.chat_template().to_owned()),
        })
    }

    #[cfg(test)]
    pub(crate) fn ending_with(token: &str, id: u32) -> Self {
        Self {
            eos: (token.to_owned(), id),
            named: Vec::new(),
            chat_template: None,
        }
    }

    /// Whether `token` has a name.
    pub(crate) fn contains(&self, token: &str) -> bool {
        self.eos.0 == token || self.named.iter().any(|(_, named)| named == token)
    }

    /// Returns the id of the token called `name`, else the one that the model's configuration gives it.
    pub(crate) fn id(
        &self,
        name: &str,
        vocabulary: &Vocabulary,
        model: &ModelFolder,
    ) -> Option<u32> {
        let token = self.named.iter().find(|(found, _)| *found == name);
        token
            .and_then(|(_, token)| vocabulary.id(token))
            .or_else(|| {
                let id = model.config_json().get(&format!("{name}_token_id"))?;
                let id = u32::try_from(id.as_u64()?).ok()?;
                ((id as usize) < vocabulary.tokens.len()).then_some(id)
            })
    }
}

/// Returns a token's text, which stands alone or as `content` in an object.
fn text_of(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}
