use tokenizers::{
    ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer,
    models::bpe::BPE,
    pre_tokenizers::split::{Split, SplitPattern},
};

use super::{Unsupported, words::Pattern};

/// What is done to text before it is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Normalization {
    None,
    Nfc,
}

/// What is put before text that does not begin with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    None,
    Space,
}

/// What ids depend on, but for added tokens.
pub(super) struct Parts<'a> {
    pub(super) model: &'a BPE,
    pub(super) normalization: Normalization,
    pub(super) prefix: Prefix,
    pub(super) pattern: Pattern,
}

impl<'a> Parts<'a> {
    pub(super) fn of(tokenizer: &'a Tokenizer) -> Result<Self, Unsupported> {
        if tokenizer.get_truncation().is_some() || tokenizer.get_padding().is_some() {
            return Err(Unsupported::PostProcessing);
        }
        let normalization = match tokenizer.get_normalizer() {
            None => Normalization::None,
            Some(NormalizerWrapper::NFC(_)) => Normalization::Nfc,
            Some(_) => return Err(Unsupported::Normalizer),
        };
        let (pattern, prefix) = tokenizer
            .get_pre_tokenizer()
            .and_then(splitting)
            .ok_or(Unsupported::PreTokenizer)?;
        let model = plain_model(tokenizer.get_model()).ok_or(Unsupported::Model)?;
        Ok(Self {
            model,
            normalization,
            prefix,
            pattern,
        })
    }
}

fn plain_model(model: &ModelWrapper) -> Option<&BPE> {
    let ModelWrapper::BPE(model) = model else {
        return None;
    };
    let unmarked = |mark: &Option<String>| mark.as_ref().is_none_or(String::is_empty);
    let plain = model.dropout.is_none_or(|chance| chance == 0.0)
        && unmarked(&model.continuing_subword_prefix)
        && unmarked(&model.end_of_word_suffix);
    plain.then_some(model)
}

fn splitting(pre_tokenizer: &PreTokenizerWrapper) -> Option<(Pattern, Prefix)> {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(bytes) if bytes.use_regex => {
            let prefix = if bytes.add_prefix_space {
                Prefix::Space
            } else {
                Prefix::None
            };
            Some((Pattern::Gpt2, prefix))
        }
        PreTokenizerWrapper::Sequence(sequence) => match sequence.as_ref() {
            [
                PreTokenizerWrapper::Split(split),
                PreTokenizerWrapper::ByteLevel(bytes),
            ] if !bytes.use_regex && !bytes.add_prefix_space => {
                Some((pattern_of(split)?, Prefix::None))
            }
            _ => None,
        },
        _ => None,
    }
}

fn pattern_of(split: &Split) -> Option<Pattern> {
    // Each known pattern matches all of a text: to keep what lies between matches and to drop it is the same.
    let keeps_matches = match split.behavior {
        SplitDelimiterBehavior::Isolated => true,
        SplitDelimiterBehavior::Removed => split.invert,
        _ => false,
    };
    match &split.pattern {
        SplitPattern::Regex(text) if keeps_matches => Pattern::of(text),
        _ => None,
    }
}
