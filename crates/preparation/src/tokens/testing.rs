//! What several tests of this module need.

use llmopt_domain::{Conversation, Sample};
use llmopt_tokenization::EncodedExample;

use super::{ModelLimits, TokenOptions};
use crate::EncodedRow;

/// The token that ends answers in rows that are made by hand.
pub(super) const END: u32 = 0;

/// Row 1 of a file, with these ids; those that stand at a `!` of `mask` have loss.
pub(super) fn row(ids: &[u32], mask: &str) -> EncodedRow {
    assert_eq!(ids.len(), mask.len());
    EncodedRow {
        number: 1,
        sample: Sample::of_responses(Conversation::from_pair("How?", "So.")),
        encoded: EncodedExample {
            ids: ids.to_vec(),
            loss_mask: mask.chars().map(|sign| sign == '!').collect(),
        },
    }
}

/// A model that takes 8 tokens and has 50 ids.
pub(super) fn options() -> TokenOptions {
    TokenOptions::of(ModelLimits {
        context: 8,
        vocabulary: 50,
    })
}
