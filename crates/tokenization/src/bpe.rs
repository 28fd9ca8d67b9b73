use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use serde_json::{Map, Value};
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _,
    pre_tokenizers::byte_level::ByteLevel,
};

use crate::{
    TokenizationError,
    byte_level::{self, END_OF_TEXT},
    corpus::{Corpus, Pair},
    save::{self, NamedTokens},
};

/// Trains a byte-level BPE tokenizer as GPT-2's is (Sennrich et al. 2016,
/// <https://arxiv.org/abs/1508.07909>) and writes it to `out_folder` as `tokenizer.json`,
/// `tokenizer_config.json` and `special_tokens_map.json`.
///
/// The same texts give the same bytes. `<|endoftext|>` is the last id. The vocabulary is smaller
/// than `vocabulary_size` where the texts do not repeat enough pairs to fill it. Memory grows with
/// the number of different words, not with the texts.
///
/// # Errors
/// [`TokenizationError::VocabularyTooSmall`] below 257, or if the files cannot be written.
pub fn train_bpe(
    texts: impl Iterator<Item = String>,
    vocabulary_size: usize,
    out_folder: &Path,
) -> Result<(), TokenizationError> {
    let alphabet = alphabet();
    let least = alphabet.len() + 1;
    if vocabulary_size < least {
        return Err(TokenizationError::VocabularyTooSmall {
            requested: vocabulary_size,
            least,
        });
    }
    let invalid = |source| TokenizationError::Tokenizer {
        path: out_folder.to_owned(),
        source,
    };
    let words = count_words(texts)?;
    let (tokens, merges) = learn_merges(alphabet, &words, vocabulary_size - 1);
    let ids = (0_u32..).map(Value::from);
    let vocabulary: Map<String, Value> = tokens.into_iter().zip(ids).collect();
    let mut tokenizer = byte_level::assemble(vocabulary, merges, false).map_err(invalid)?;
    tokenizer.add_special_tokens(&[AddedToken::from(END_OF_TEXT, true)]);
    let names = NamedTokens::ending_with(END_OF_TEXT);
    save::write_tokenizer(out_folder, &tokenizer, save::config(&names, None, None))?;
    save::write_special_tokens(out_folder, &names)
}

/// Returns the 256 characters that stand for bytes, in GPT-2's order.
fn alphabet() -> Vec<String> {
    let characters: BTreeSet<char> = ByteLevel::alphabet().into_iter().collect();
    characters.into_iter().map(String::from).collect()
}

fn count_words(
    texts: impl Iterator<Item = String>,
) -> Result<HashMap<String, u64>, TokenizationError> {
    let byte_level = ByteLevel::new(false, true, true);
    let mut counts = HashMap::new();
    for text in texts {
        let mut split = PreTokenizedString::from(text.as_str());
        byte_level
            .pre_tokenize(&mut split)
            .map_err(|source| TokenizationError::Encode {
                bytes: text.len(),
                source,
            })?;
        for (word, _, _) in split.get_splits(OffsetReferential::Original, OffsetType::None) {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.to_owned(), 1);
                }
            }
        }
    }
    Ok(counts)
}

/// Returns the tokens in the order of their ids and the merges in the order of their ranks.
fn learn_merges(
    mut tokens: Vec<String>,
    words: &HashMap<String, u64>,
    size: usize,
) -> (Vec<String>, Vec<[String; 2]>) {
    let mut corpus = Corpus::new(&tokens, words);
    let mut merges = Vec::new();
    while tokens.len() < size {
        let Some(pair) = corpus.most_frequent_pair() else {
            break;
        };
        let Some([left, right]) = spell(&tokens, pair) else {
            break;
        };
        corpus.merge(pair, u32::try_from(tokens.len()).unwrap_or(u32::MAX));
        tokens.push(format!("{left}{right}"));
        merges.push([left, right]);
    }
    (tokens, merges)
}

fn spell(tokens: &[String], (left, right): Pair) -> Option<[String; 2]> {
    let token = |id: u32| tokens.get(usize::try_from(id).ok()?).cloned();
    Some([token(left)?, token(right)?])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokenizers::models::bpe::{BPE, BpeTrainer};
    use tokenizers::{Model as _, Trainer as _};

    use super::*;
    use crate::{
        Encoder,
        corpus::LEAST_COUNT,
        testing::{TEXTS, gsm8k_texts},
    };

    fn texts() -> impl Iterator<Item = String> {
        TEXTS.iter().map(|&text| text.to_owned())
    }

    #[test]
    fn the_same_texts_give_the_same_bytes() {
        let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        train_bpe(texts(), 400, first.path()).unwrap();
        train_bpe(texts(), 400, second.path()).unwrap();
        for name in [
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
        ] {
            let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
            assert_eq!(read(first.path()), read(second.path()), "{name}");
        }
    }

    #[test]
    fn the_end_token_is_the_last_id_and_bytes_come_in_gpt2s_order() {
        let folder = tempfile::tempdir().unwrap();
        train_bpe(texts(), 300, folder.path()).unwrap();
        let encoder = Encoder::open(folder.path(), None).unwrap();
        assert_eq!(encoder.vocabulary_size(), 300);
        assert_eq!(encoder.end_token_id(), 299);
        assert_eq!(encoder.token_text(0).as_deref(), Some("!"));
        assert_eq!(encoder.token_text(220).as_deref(), Some(" "));
    }

    #[test]
    fn too_few_texts_give_a_smaller_vocabulary() {
        let folder = tempfile::tempdir().unwrap();
        train_bpe(["aaaa".to_owned()].into_iter(), 1000, folder.path()).unwrap();
        let encoder = Encoder::open(folder.path(), None).unwrap();
        // 256 bytes, `aa` (which then occurs once beside itself) and the end token.
        assert_eq!(encoder.vocabulary_size(), 258);
    }

    #[test]
    fn a_vocabulary_without_room_for_every_byte_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            train_bpe(texts(), 256, folder.path())
                .unwrap_err()
                .to_string(),
            "vocabulary size `256` is too small: expected at least 257, one for each byte and one for the end token"
        );
    }

    /// Hugging Face's own trainer on the same words: tokens and their ids must be the same.
    fn assert_like_reference(texts: Vec<String>, size: usize) {
        let words = count_words(texts.into_iter()).unwrap();
        let (tokens, _) = learn_merges(alphabet(), &words, size);
        let repeated = words
            .iter()
            .flat_map(|(word, &count)| std::iter::repeat_n(word, usize::try_from(count).unwrap()));
        let mut trainer = BpeTrainer::builder()
            .show_progress(false)
            .min_frequency(LEAST_COUNT)
            .vocab_size(size)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        trainer
            .feed(repeated, |word| Ok(vec![word.to_owned()]))
            .unwrap();
        let mut model = BPE::default();
        trainer.train(&mut model).unwrap();
        let reference = (0..).map_while(|id| model.id_to_token(id));
        assert_eq!(tokens, reference.collect::<Vec<_>>());
    }

    #[test]
    fn tokens_are_those_of_the_reference_trainer() {
        assert_like_reference(texts().collect(), 500);
    }

    #[test]
    fn tokens_of_a_real_dataset_are_those_of_the_reference_trainer() {
        if let Some(texts) = gsm8k_texts(500) {
            assert_like_reference(texts, 2000);
        }
    }
}
