use std::{fs, path::Path};

use serde_json::{Map, Value, json};
use tokenizers::Tokenizer;

use crate::{TokenizationError, guard::guarded};

/// The token that ends a text in GPT-2's vocabulary.
pub(crate) const END_OF_TEXT: &str = "<|endoftext|>";

/// Opens GPT-2's `vocab.json` and `merges.txt`.
pub(crate) fn open(
    vocabulary: &Path,
    merges: &Path,
    add_prefix_space: bool,
) -> Result<Tokenizer, TokenizationError> {
    let parsed = serde_json::from_str(&read(vocabulary)?).map_err(|source| {
        let path = vocabulary.to_owned();
        TokenizationError::Json { path, source }
    })?;
    let pairs = parse_merges(merges, &read(merges)?)?;
    assemble(parsed, pairs, add_prefix_space).map_err(|source| TokenizationError::Tokenizer {
        path: vocabulary.to_owned(),
        source,
    })
}

/// Makes a byte-level BPE tokenizer as GPT-2's is, without special tokens.
pub(crate) fn assemble(
    vocabulary: Map<String, Value>,
    merges: Vec<[String; 2]>,
    add_prefix_space: bool,
) -> tokenizers::Result<Tokenizer> {
    let byte_level = |trim_offsets: bool| {
        json!({
            "type": "ByteLevel",
            "add_prefix_space": add_prefix_space,
            "trim_offsets": trim_offsets,
            "use_regex": true,
        })
    };
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": byte_level(true),
        "post_processor": byte_level(false),
        "decoder": byte_level(true),
        "model": { "type": "BPE", "vocab": vocabulary, "merges": merges },
    });
    let json = serde_json::to_vec(&tokenizer)?;
    guarded(|| Tokenizer::from_bytes(json))
}

fn parse_merges(path: &Path, text: &str) -> Result<Vec<[String; 2]>, TokenizationError> {
    let lines = text.lines().enumerate();
    let content = lines.filter(|(index, line)| {
        let header = *index == 0 && line.starts_with("#version");
        !header && !line.is_empty()
    });
    let pairs = content.map(|(index, line)| match line.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok([left.to_owned(), right.to_owned()])
        }
        _ => Err(TokenizationError::Merge {
            path: path.to_owned(),
            line: index + 1,
            found: line.to_owned(),
        }),
    });
    pairs.collect()
}

fn read(path: &Path) -> Result<String, TokenizationError> {
    fs::read_to_string(path).map_err(|source| TokenizationError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_pairs_below_an_optional_header() {
        let path = Path::new("merges.txt");
        let pairs = parse_merges(path, "#version: 0.2\nĠ t\n# #\n\n").unwrap();
        assert_eq!(pairs, [["Ġ", "t"], ["#", "#"]]);
        let error = parse_merges(path, "a b\na b c\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`merges.txt`, line 2: expected two tokens with one space between, found `a b c`"
        );
    }

    #[test]
    fn a_merge_without_its_tokens_in_the_vocabulary_is_refused() {
        let vocabulary = Map::from_iter([("a".to_owned(), json!(0))]);
        assert!(assemble(vocabulary, vec![["a".into(), "b".into()]], false).is_err());
    }
}
