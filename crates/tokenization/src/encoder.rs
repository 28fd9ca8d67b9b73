use std::{borrow::Cow, collections::HashMap, path::Path};

use llmopt_domain::{Conversation, Lesson, Message, Sample, ToolCall};
use serde_json::{Map, Value};
use tokenizers::{AddedToken, Tokenizer};

use crate::{
    TokenizationError,
    fast::FastEncoder,
    files::ModelFiles,
    guard::guarded,
    lock::TemplateLock,
    pieces::{self, Piece},
    save::{self, NamedTokens},
    template::{ChatTemplate, Turns},
};

/// The rows that an embedding has at most, far above any.
const LARGEST_VOCABULARY: u32 = 1 << 24;

/// A tokenizer with its chat template: the one way from conversations to ids.
///
/// Text is tokenized piece by piece, prompt and response apart, and the tokenizer adds no tokens of
/// its own: a BOS is there exactly if the template renders it.
pub struct Encoder {
    tokenizer: Tokenizer,
    /// The same without the library, if this is a tokenizer of the kind.
    fast: Option<FastEncoder>,
    template: ChatTemplate,
    names: NamedTokens,
    end_token_id: u32,
    special_tokens: Vec<String>,
    vocabulary_size: usize,
    model_max_length: Option<u64>,
}

/// A conversation as a model is trained on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedExample {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Whether the token at the same index is a label: part of a response or its end token.
    pub loss_mask: Vec<bool>,
}

impl EncodedExample {
    /// Returns the number of tokens that carry loss.
    pub fn trainable_tokens(&self) -> usize {
        self.loss_mask.iter().filter(|&&label| label).count()
    }

    /// Cuts the tokens of a text into sequences of at most `longest`, or 2. Each begins with the last token of the one
    /// before, so that every token but the first has one before it, and carries loss once.
    #[must_use]
    pub fn sequences(self, longest: usize) -> Vec<Self> {
        let step = longest.saturating_sub(1).max(1);
        let length = self.ids.len();
        if length <= step + 1 {
            return vec![self];
        }
        let starts = (0..length - 1).step_by(step);
        starts
            .map(|start| {
                let end = length.min(start + step + 1);
                let known = usize::from(start > 0);
                let mut loss_mask = vec![false; known];
                loss_mask.extend_from_slice(&self.loss_mask[start + known..end]);
                Self {
                    ids: self.ids[start..end].to_vec(),
                    loss_mask,
                }
            })
            .collect()
    }

    fn push(&mut self, ids: &[u32], label: bool) {
        self.ids.extend_from_slice(ids);
        self.loss_mask.resize(self.ids.len(), label);
    }
}

impl Encoder {
    /// Opens the tokenizer and chat template of a model folder.
    ///
    /// The tokenizer is `tokenizer.json`, else GPT-2's `vocab.json` with `merges.txt`. The template
    /// is `template_override`, else `chat_template.jinja`, else `chat_template` in
    /// `tokenizer_config.json`, which may have another one for conversations with tools, else [`DEFAULT_CHAT_TEMPLATE`](crate::DEFAULT_CHAT_TEMPLATE).
    ///
    /// # Errors
    /// If a file is missing or broken, no token ends a response, or the template is no valid Jinja.
    pub fn open(
        model_folder: &Path,
        template_override: Option<&str>,
    ) -> Result<Self, TokenizationError> {
        let files = ModelFiles::read(model_folder)?;
        let mut tokenizer = files.tokenizer()?;
        check_ids(model_folder, &tokenizer)?;
        let names = files.named_tokens(&tokenizer)?;
        let missing = || TokenizationError::NoEndToken {
            folder: model_folder.to_owned(),
        };
        let end_token_id = tokenizer.token_to_id(&names.eos).ok_or_else(missing)?;
        mark_special(&mut tokenizer, &names);
        let sources = match template_override {
            Some(source) => source.to_owned().into(),
            None => files.chat_templates()?,
        };
        Ok(Self {
            template: ChatTemplate::compile(sources, &names)?,
            special_tokens: special_tokens(&tokenizer),
            vocabulary_size: vocabulary_size(&tokenizer),
            model_max_length: files.model_max_length(),
            fast: FastEncoder::of(&tokenizer).ok(),
            tokenizer,
            names,
            end_token_id,
        })
    }

    /// Encodes what serving feeds the model: the tools, the turns so far and what asks for a response.
    ///
    /// # Errors
    /// If the template refuses the turns or is not prefix-preserving, or a message contains a
    /// special token.
    pub fn encode_prompt(
        &self,
        conversation: &Conversation,
    ) -> Result<Vec<u32>, TokenizationError> {
        let turns = conversation.into();
        self.check(turns)?;
        let pieces = pieces::of_prompt(&self.template, &self.names.eos, turns)?;
        Ok(self.encode_pieces(&pieces)?.ids)
    }

    /// Encodes a conversation with the mask of what is trained: every response and its end token.
    ///
    /// The ids begin with those that [`Self::encode_prompt`] gives for the turns before the last
    /// response. What the template renders after an end token carries no loss.
    ///
    /// # Errors
    /// As [`Self::encode_prompt`], and if the conversation does not end with the assistant.
    pub fn encode_training(
        &self,
        conversation: &Conversation,
    ) -> Result<EncodedExample, TokenizationError> {
        let turns = conversation.into();
        self.check(turns)?;
        if let Some(last) = conversation.messages.last()
            && conversation.split_response().is_none()
        {
            return Err(TokenizationError::NoResponse {
                found: last.role.as_str(),
            });
        }
        let pieces = pieces::of_conversation(&self.template, &self.names.eos, turns)?;
        self.encode_pieces(&pieces)
    }

    /// Encodes a row with the mask of what is trained: of plain text all of it and an end token; of a preference the
    /// answer that was chosen.
    ///
    /// # Errors
    /// As [`Self::encode_training`].
    pub fn encode_sample(&self, sample: &Sample) -> Result<EncodedExample, TokenizationError> {
        match sample.lesson {
            Lesson::Text => self.encode_plain(&sample.conversation),
            Lesson::Responses | Lesson::Preference { .. } | Lesson::Label { .. } => {
                self.encode_training(&sample.conversation)
            }
        }
    }

    /// Encodes the texts of turns without a template around them.
    fn encode_plain(&self, text: &Conversation) -> Result<EncodedExample, TokenizationError> {
        self.check(text.into())?;
        let mut example = EncodedExample::default();
        for turn in &text.messages {
            example.push(&self.encode_text(&turn.content)?, true);
        }
        example.push(&[self.end_token_id], true);
        Ok(example)
    }

    /// Returns the text of `ids` without special tokens.
    ///
    /// # Errors
    /// [`TokenizationError::UnknownId`] if an id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizationError> {
        let unknown = ids
            .iter()
            .find(|&&id| self.tokenizer.id_to_token(id).is_none());
        if let Some(&id) = unknown {
            return Err(TokenizationError::UnknownId {
                id,
                size: self.vocabulary_size,
            });
        }
        guarded(|| self.tokenizer.decode(ids, true)).map_err(|source| TokenizationError::Decode {
            count: ids.len(),
            source,
        })
    }

    /// Returns the id of the token that ends every response: the one generation stops at.
    pub fn end_token_id(&self) -> u32 {
        self.end_token_id
    }

    /// Returns the token that ends every response.
    pub fn end_token(&self) -> &str {
        &self.names.eos
    }

    /// Returns the id that fills rows up: the padding token's, or the end token's where there is none.
    pub fn pad_token_id(&self) -> u32 {
        let named = self.names.pad.as_deref();
        let padding = named.and_then(|token| self.tokenizer.token_to_id(token));
        padding.unwrap_or(self.end_token_id)
    }

    /// Returns one more than the greatest id: the rows that an embedding needs at least.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// Returns the Jinja source of the chat template in force where there are no tools.
    pub fn chat_template(&self) -> &str {
        &self.template.sources().default
    }

    /// Returns what one token stands for, for showing it; half a character shows as `�`.
    ///
    /// `None` if `id` is not in the vocabulary.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)?;
        guarded(|| self.tokenizer.decode(&[id], false)).ok()
    }

    /// Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and, unless there is another template
    /// for tools, `chat_template.jinja`, from which [`Self::open`] and `transformers` give the same ids.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), TokenizationError> {
        let sources = self.template.sources();
        let config = save::config(&self.names, self.model_max_length, Some(sources));
        save::write_tokenizer(folder, &self.tokenizer, config)?;
        save::write_special_tokens(folder, &self.names)?;
        match sources.tool_use {
            // `transformers` takes a file for all that there is.
            Some(_) => Ok(()),
            None => save::write_template(folder, &sources.default),
        }
    }

    /// Records what `samples` are encoded to, so that a server can prove to encode the same.
    ///
    /// # Errors
    /// If a sample cannot be encoded.
    pub fn template_lock<S: Clone + Into<Sample>>(
        &self,
        samples: &[S],
    ) -> Result<TemplateLock, TokenizationError> {
        TemplateLock::record(self, samples.iter().cloned().map(Into::into))
    }

    /// Renders a whole conversation as the template does.
    pub(crate) fn render(&self, conversation: &Conversation) -> Result<String, TokenizationError> {
        self.template.render_turns(conversation.into())
    }

    fn check(&self, turns: Turns<'_>) -> Result<(), TokenizationError> {
        if turns.messages.is_empty() {
            return Err(TokenizationError::NoMessages);
        }
        for (index, message) in turns.messages.iter().enumerate() {
            for text in texts(message) {
                if let Some(token) = self.special_token_in(&text)? {
                    return Err(TokenizationError::SpecialToken {
                        turn: index + 1,
                        role: message.role.as_str(),
                        token,
                    });
                }
            }
        }
        for (index, tool) in turns.tools.iter().enumerate() {
            if let Some(token) = self.special_token_in(&json(tool))? {
                let tool = index + 1;
                return Err(TokenizationError::SpecialTokenInTool { tool, token });
            }
        }
        Ok(())
    }

    fn special_token_in(&self, content: &str) -> Result<Option<String>, TokenizationError> {
        if let Some(fast) = &self.fast
            && fast.is_free_of_special_tokens(content)
        {
            return Ok(None);
        }
        let mut tokens = self.special_tokens.iter();
        if let Some(token) = tokens.find(|token| content.contains(token.as_str())) {
            return Ok(Some(token.clone()));
        }
        if self.tokenizer.get_normalizer().is_none() {
            return Ok(None);
        }
        // A normalizer may turn harmless text into that of a special token.
        let vocabulary = self.tokenizer.get_added_vocabulary();
        let ids = self.encode_text(content)?;
        let mut found = ids.iter().filter_map(|&id| self.tokenizer.id_to_token(id));
        Ok(found.find(|token| vocabulary.is_special_token(token) && !self.is_unknown(token)))
    }

    fn is_unknown(&self, token: &str) -> bool {
        self.names.unk.as_deref() == Some(token) && token != self.names.eos
    }

    fn encode_pieces(&self, pieces: &[Piece]) -> Result<EncodedExample, TokenizationError> {
        let mut example = EncodedExample::default();
        for piece in pieces {
            match piece {
                Piece::Context(text) => example.push(&self.encode_text(text)?, false),
                Piece::Response(text) => {
                    example.push(&self.encode_text(text)?, true);
                    example.push(&[self.end_token_id], true);
                }
                Piece::Past(text) => {
                    example.push(&self.encode_text(text)?, false);
                    example.push(&[self.end_token_id], false);
                }
            }
        }
        Ok(example)
    }

    /// Encodes text without a template, as each piece of a conversation is.
    ///
    /// # Errors
    /// If the tokenizer's files are such that the library breaks on this text.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, TokenizationError> {
        if let Some(ids) = self.fast.as_ref().and_then(|fast| fast.encode(text)) {
            return Ok(ids);
        }
        let encoding = guarded(|| self.tokenizer.encode_fast(text, false));
        let encoding = encoding.map_err(|source| TokenizationError::Encode {
            bytes: text.len(),
            source,
        })?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// Returns the texts of others that a template renders of a message.
fn texts(message: &Message) -> impl Iterator<Item = Cow<'_, str>> {
    let names = [&message.tool_call_id, &message.name].into_iter().flatten();
    let calls = message.tool_calls.iter().flat_map(call_texts);
    let content = Cow::Borrowed(message.content.as_str());
    let names = names.map(|name| Cow::Borrowed(name.as_str()));
    std::iter::once(content).chain(names).chain(calls)
}

fn call_texts(call: &ToolCall) -> impl Iterator<Item = Cow<'_, str>> {
    let names = call.id.iter().chain(std::iter::once(&call.name));
    let names = names.map(|name| Cow::Borrowed(name.as_str()));
    names.chain(std::iter::once(Cow::Owned(json(&call.arguments))))
}

/// Returns JSON as templates write it, which escape nothing but what JSON must.
fn json(map: &Map<String, Value>) -> String {
    serde_json::to_string(map).unwrap_or_default()
}

/// Refuses ids that no embedding has a row for, since for each one before them memory would be taken; and ids that
/// two tokens have, of which only one would be there once the tokenizer was saved.
fn check_ids(folder: &Path, tokenizer: &Tokenizer) -> Result<(), TokenizationError> {
    let mut known: HashMap<u32, String> = HashMap::new();
    for (token, id) in tokenizer.get_vocab(true) {
        if id >= LARGEST_VOCABULARY {
            return Err(TokenizationError::VocabularyTooLarge {
                folder: folder.to_owned(),
                id,
                most: LARGEST_VOCABULARY,
            });
        }
        if let Some(other) = known.insert(id, token.clone()) {
            let (first, second) = (other.clone().min(token.clone()), other.max(token));
            return Err(TokenizationError::SameId {
                folder: folder.to_owned(),
                id,
                tokens: [first, second],
            });
        }
    }
    Ok(())
}

/// Makes named tokens special where the tokenizer's own file forgot to.
fn mark_special(tokenizer: &mut Tokenizer, names: &NamedTokens) {
    let vocabulary = tokenizer.get_added_vocabulary();
    let forgotten: Vec<AddedToken> = names
        .all()
        .filter(|token| !vocabulary.is_special_token(token))
        .filter(|token| tokenizer.token_to_id(token).is_some())
        .map(|token| AddedToken::from(token, true))
        .collect();
    tokenizer.add_special_tokens(&forgotten);
}

fn special_tokens(tokenizer: &Tokenizer) -> Vec<String> {
    let vocabulary = tokenizer.get_added_vocabulary();
    let added = vocabulary.get_vocab().keys();
    let mut special: Vec<String> = added
        .filter(|token| vocabulary.is_special_token(token))
        .cloned()
        .collect();
    special.sort();
    special
}

fn vocabulary_size(tokenizer: &Tokenizer) -> usize {
    let greatest = tokenizer.get_vocab(true).into_values().max();
    greatest.map_or(0, |id| usize::try_from(id).unwrap_or(usize::MAX) + 1)
}

#[cfg(test)]
mod tests;
