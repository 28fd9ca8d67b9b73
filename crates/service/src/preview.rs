use std::path::Path;

use llmopt_artifact::Gpt2Config;
use llmopt_dataset::read_conversations;
use llmopt_domain::Conversation;
use llmopt_tokenization::Encoder;
use serde::Serialize;

use crate::{ResolvedModel, ServiceError, tokens};

/// A row as a model sees it in training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preview {
    /// The row, counted from 1.
    pub row: u64,
    /// The turns that were read.
    pub conversation: Conversation,
    /// The tokens, in order.
    pub tokens: Vec<PreviewToken>,
    /// Tokens with loss.
    pub trainable_tokens: usize,
}

/// A token of a [`Preview`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PreviewToken {
    /// Its id.
    pub id: u32,
    /// How the vocabulary spells it.
    pub text: String,
    /// Whether it carries loss.
    pub loss: bool,
}

/// Opens the tokenizer and chat template of `model`; `template` replaces the model's own.
///
/// # Errors
/// [`ServiceError::Tokenization`].
pub fn open_encoder(
    model: &ResolvedModel,
    template: Option<&str>,
) -> Result<Encoder, ServiceError> {
    Ok(Encoder::open(&model.path, template)?)
}

/// Returns the longest sequence, in tokens, that `model` can take.
///
/// # Errors
/// [`ServiceError::Artifact`].
pub fn model_context(model: &ResolvedModel) -> Result<usize, ServiceError> {
    Ok(Gpt2Config::read(&model.path)?.n_positions)
}

/// Shows `row` of the dataset at `path`, counted from 1, as the model of `encoder` sees it.
///
/// # Errors
/// If the dataset cannot be read or does not have the row, or the row cannot be tokenized.
pub fn preview(path: &Path, row: u64, encoder: &Encoder) -> Result<Preview, ServiceError> {
    let rows = read_conversations(path)?;
    let count = rows.last().map_or(0, |(number, _)| *number);
    let found = rows.into_iter().find(|(number, _)| *number == row);
    let Some((row, conversation)) = found else {
        return Err(ServiceError::NoRow {
            path: path.to_owned(),
            row,
            rows: count,
        });
    };
    let encoded = tokens::encode(path, row, &conversation, encoder)?;
    let labelled = encoded.ids.iter().zip(&encoded.loss_mask);
    let tokens = labelled.map(|(&id, &loss)| PreviewToken {
        id,
        text: encoder.token_text(id).unwrap_or_default(),
        loss,
    });
    Ok(Preview {
        row,
        tokens: tokens.collect(),
        trainable_tokens: encoded.trainable_tokens(),
        conversation,
    })
}
