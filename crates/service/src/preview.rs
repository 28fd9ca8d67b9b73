use std::path::Path;

use llmopt_artifact::Gpt2Config;
use llmopt_dataset::{ReadOptions, read_samples};
use llmopt_domain::{Conversation, LessonKind, Sample};
use llmopt_tokenization::Encoder;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Datasets, Models, NoHub, ResolvedModel, ServiceError, blocking::blocking};

/// A row as a model sees it in training.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Preview {
    /// The row, counted from 1.
    pub row: u64,
    /// What there is to learn from it.
    pub lesson: LessonKind,
    /// The turns that were read.
    pub conversation: Conversation,
    /// The tokens, in order.
    pub tokens: Vec<PreviewToken>,
    /// Tokens with loss.
    pub trainable_tokens: usize,
    /// The longest row that is trained on, in tokens, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Whether the row is as short as that.
    pub fits: bool,
}

/// A token of a [`Preview`].
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
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

/// Shows `row`, counted from 1, of the dataset at `path`, read as `options` say, as the model of `encoder` sees it.
///
/// Reads no further than the row. Where `max_length` is given, tokens beyond it are told apart.
///
/// # Errors
/// If the dataset cannot be read or does not have the row, or the row cannot be tokenized.
pub fn preview(
    path: &Path,
    options: &ReadOptions,
    row: u64,
    encoder: &Encoder,
    max_length: Option<usize>,
) -> Result<Preview, ServiceError> {
    let mut last = 0;
    for sample in read_samples(path, options)? {
        let (number, sample) = sample?;
        if number == row {
            return Preview::of(path, row, sample, encoder, max_length);
        }
        last = number;
    }
    Err(ServiceError::NoRow {
        path: path.to_owned(),
        row,
        rows: last,
    })
}

/// Which row is to be shown, and to which model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewRequest {
    /// The row, counted from 1.
    pub row: u64,
    /// The model whose tokenizer and chat template are used.
    pub base_model: String,
    /// The longest row that is trained on, in tokens; absent, what the model takes.
    pub max_length: Option<usize>,
}

impl Datasets {
    /// Shows a row of the dataset with this id as a model sees it.
    ///
    /// # Errors
    /// [`ServiceError::UnknownDataset`], [`ServiceError::UnknownModel`] and its kin; else as [`preview`].
    pub async fn preview(
        &self,
        id: &str,
        request: PreviewRequest,
    ) -> Result<Preview, ServiceError> {
        let dataset = self.get(id).await?;
        let path = self.path(id).await?;
        let models = Models::new(self.folders());
        let model = models.resolve_name(&request.base_model, &NoHub).await?;
        blocking("tokenize", move || {
            let encoder = open_encoder(&model, None)?;
            let longest = match request.max_length {
                Some(longest) => longest,
                None => model_context(&model)?,
            };
            let options = ReadOptions::from(dataset.columns);
            let shown = preview(&path, &options, request.row, &encoder, Some(longest));
            shown.map_err(|error| error.in_file(&dataset.name))
        })
        .await
    }
}

impl Preview {
    fn of(
        path: &Path,
        row: u64,
        sample: Sample,
        encoder: &Encoder,
        max_length: Option<usize>,
    ) -> Result<Self, ServiceError> {
        let encoded = encoder.encode_sample(&sample);
        let encoded = encoded.map_err(|source| ServiceError::Row {
            path: path.to_owned(),
            row,
            source,
        })?;
        let trainable_tokens = encoded.trainable_tokens();
        let labelled = encoded.ids.into_iter().zip(encoded.loss_mask);
        let tokens = labelled.map(|(id, loss)| PreviewToken {
            id,
            text: encoder.token_text(id).unwrap_or_default(),
            loss,
        });
        let tokens: Vec<PreviewToken> = tokens.collect();
        Ok(Self {
            row,
            lesson: sample.lesson.kind(),
            fits: max_length.is_none_or(|longest| tokens.len() <= longest),
            max_length,
            tokens,
            trainable_tokens,
            conversation: sample.conversation,
        })
    }
}
