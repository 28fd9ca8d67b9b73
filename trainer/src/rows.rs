use std::path::Path;

use llmopt_dataset::read_conversations;
use llmopt_domain::{ColumnMap, Conversation, Overlong};
use llmopt_tokenization::{EncodedExample, Encoder};

use crate::TrainerError;

/// A dataset's row, ready to train on or to be evaluated.
#[derive(Debug)]
pub(crate) struct Row {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) conversation: Conversation,
    pub(crate) encoded: EncodedExample,
}

/// What a row must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Longest row in tokens.
    pub(crate) max_length: usize,
    pub(crate) overlong: Overlong,
    /// The model's vocabulary size.
    pub(crate) vocabulary: usize,
}

/// The rows of a dataset, and how many were left out.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) dropped: u64,
}

impl Rows {
    /// Reads and tokenizes the dataset at `path`, whose columns are mapped so.
    pub(crate) fn load(
        path: &Path,
        columns: &ColumnMap,
        encoder: &Encoder,
        limits: Limits,
    ) -> Result<Self, TrainerError> {
        let mut kept = Vec::new();
        let (mut overlong, mut longest) = (Vec::new(), 0);
        for (number, conversation) in read_conversations(path, &columns.clone().into())? {
            let encoded =
                encoder
                    .encode_training(&conversation)
                    .map_err(|source| TrainerError::Row {
                        path: path.to_owned(),
                        row: number,
                        source,
                    })?;
            if let Some(&id) = encoded
                .ids
                .iter()
                .find(|&&id| id as usize >= limits.vocabulary)
            {
                return Err(TrainerError::Vocabulary {
                    row: number,
                    id,
                    vocabulary: limits.vocabulary,
                });
            }
            if encoded.ids.len() > limits.max_length {
                longest = longest.max(encoded.ids.len());
                overlong.push(number);
            } else {
                kept.push(Row {
                    number,
                    conversation,
                    encoded,
                });
            }
        }
        if limits.overlong == Overlong::Error && !overlong.is_empty() {
            let (path, limit) = (path.to_owned(), limits.max_length);
            return Err(TrainerError::Overlong {
                path,
                rows: overlong,
                limit,
                longest,
            });
        }
        let rows = Self {
            rows: kept,
            dropped: overlong.len() as u64,
        };
        match rows.labels() {
            0 => Err(TrainerError::NothingToTrain {
                path: path.to_owned(),
                rows: rows.rows.len(),
                labels: 0,
            }),
            _ => Ok(rows),
        }
    }

    /// Returns the tokens of all rows, prompts included.
    pub(crate) fn tokens(&self) -> u64 {
        self.rows
            .iter()
            .map(|row| row.encoded.ids.len() as u64)
            .sum()
    }

    /// Returns the tokens with loss.
    pub(crate) fn labels(&self) -> u64 {
        self.rows
            .iter()
            .map(|row| row.encoded.trainable_tokens() as u64)
            .sum()
    }
}
