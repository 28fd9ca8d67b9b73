use llmopt_domain::{Conversation, Message};
use serde::{Deserialize, Serialize};

use crate::{
    EncodedExample, Encoder, TokenizationError,
    pieces::{common_prefix, excerpt},
};

const FORMAT: u32 = 1;

/// Conversations with what they were encoded to when a model was trained: `template_lock.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateLock {
    /// The version of this record.
    pub format: u32,
    /// The conversations.
    pub golden: Vec<GoldenExample>,
}

/// One conversation of a [`TemplateLock`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenExample {
    /// The turns.
    pub messages: Vec<Message>,
    /// What the chat template rendered.
    pub text: String,
    /// The tokens that were trained on.
    pub ids: Vec<u32>,
    /// Whether the token at the same index carried loss.
    pub loss_mask: Vec<bool>,
}

impl TemplateLock {
    /// The file's name in an artifact.
    pub const FILE_NAME: &str = "template_lock.json";

    pub(crate) fn record(
        encoder: &Encoder,
        samples: &[Conversation],
    ) -> Result<Self, TokenizationError> {
        let golden = samples.iter().map(|sample| encode(encoder, sample));
        Ok(Self {
            format: FORMAT,
            golden: golden.collect::<Result<_, _>>()?,
        })
    }

    /// Checks that `encoder` gives every conversation the text, ids and mask recorded here.
    ///
    /// # Errors
    /// [`TokenizationError::LockBroken`] at the first difference.
    pub fn verify(&self, encoder: &Encoder) -> Result<(), TokenizationError> {
        if self.format != FORMAT {
            return Err(TokenizationError::LockFormat {
                expected: FORMAT,
                found: self.format,
            });
        }
        for (index, golden) in self.golden.iter().enumerate() {
            let conversation = Conversation {
                messages: golden.messages.clone(),
            };
            golden.compare(&encode(encoder, &conversation)?, index + 1)?;
        }
        Ok(())
    }
}

impl GoldenExample {
    fn compare(&self, found: &Self, example: usize) -> Result<(), TokenizationError> {
        let broken = |what, position, expected, found| TokenizationError::LockBroken {
            example,
            what,
            position,
            expected,
            found,
        };
        if self.text != found.text {
            let at = common_prefix(&self.text, &found.text);
            let excerpts = (excerpt(&self.text, at), excerpt(&found.text, at));
            return Err(broken("text", at, excerpts.0, excerpts.1));
        }
        if let Some((at, expected, found)) = first_difference(&self.ids, &found.ids) {
            return Err(broken("token id", at, expected, found));
        }
        if let Some((at, expected, found)) = first_difference(&self.loss_mask, &found.loss_mask) {
            return Err(broken("loss mask", at, expected, found));
        }
        Ok(())
    }
}

fn encode(
    encoder: &Encoder,
    conversation: &Conversation,
) -> Result<GoldenExample, TokenizationError> {
    let EncodedExample { ids, loss_mask } = encoder.encode_training(conversation)?;
    Ok(GoldenExample {
        text: encoder.render(&conversation.messages)?,
        messages: conversation.messages.clone(),
        ids,
        loss_mask,
    })
}

fn first_difference<T: PartialEq + ToString>(
    left: &[T],
    right: &[T],
) -> Option<(usize, String, String)> {
    let at = (0..left.len().max(right.len())).find(|&at| left.get(at) != right.get(at))?;
    let show = |side: &[T]| side.get(at).map_or("nothing".to_owned(), T::to_string);
    Some((at, show(left), show(right)))
}
