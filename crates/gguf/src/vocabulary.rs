use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use crate::{
    GgufError,
    special::SpecialTokens,
    tokenizer_file::{AddedToken, TokenizerFile},
};

/// What a token is for (`llama_token_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenType {
    /// Text.
    Normal = 1,
    /// Never text: it is neither shown nor found in what a user writes.
    Control = 3,
    /// Text that is found before anything is split.
    UserDefined = 4,
    /// A row of the embedding that no token has.
    Unused = 5,
}

/// A token for every row of an embedding.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(crate) tokens: Vec<String>,
    pub(crate) types: Vec<TokenType>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// Orders the tokens of `file` by their ids and fills gaps and the end up with unused ones.
    ///
    /// # Errors
    /// [`GgufError::VocabularyTooLong`] and [`GgufError::AmbiguousToken`].
    pub(crate) fn new(
        file: &TokenizerFile,
        special: &SpecialTokens,
        rows: usize,
    ) -> Result<Self, GgufError> {
        let mut slots = Slots::new(&file.path, rows);
        if let Some(greatest) = file.greatest_id()
            && greatest as usize >= rows
        {
            return Err(slots.too_long(greatest));
        }
        for (token, &id) in &file.tokens {
            let kind = match special.contains(token) {
                true => TokenType::Control,
                false => TokenType::Normal,
            };
            slots.put(token, id, kind)?;
        }
        for token in &file.added {
            slots.put(&token.content, token.id, added_type(token, special))?;
        }
        slots.fill()
    }

    /// Returns the token's id.
    pub(crate) fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }
}

/// The rows of an embedding and the tokens that are known to belong to them.
struct Slots {
    path: PathBuf,
    rows: Vec<Option<(String, TokenType)>>,
}

impl Slots {
    fn new(path: &Path, rows: usize) -> Self {
        Self {
            path: path.to_owned(),
            rows: vec![None; rows],
        }
    }

    /// Puts a token in its row; the same token may be put there again with another type.
    fn put(&mut self, token: &str, id: u32, kind: TokenType) -> Result<(), GgufError> {
        match self.rows.get_mut(id as usize) {
            None => Err(self.too_long(id)),
            Some(Some((there, _))) if there != token => Err(self.ambiguous(token, id, "token")),
            Some(slot) => {
                *slot = Some((token.to_owned(), kind));
                Ok(())
            }
        }
    }

    fn fill(mut self) -> Result<Vocabulary, GgufError> {
        let mut vocabulary = Vocabulary {
            tokens: Vec::with_capacity(self.rows.len()),
            types: Vec::with_capacity(self.rows.len()),
            ids: HashMap::with_capacity(self.rows.len()),
        };
        for (id, slot) in (0..).zip(std::mem::take(&mut self.rows)) {
            let (token, kind) = slot.unwrap_or_else(|| (format!("[PAD{id}]"), TokenType::Unused));
            // llama.cpp ends the process where two ids have the same text.
            if vocabulary.ids.insert(token.clone(), id).is_some() {
                return Err(self.ambiguous(&token, id, "id"));
            }
            vocabulary.tokens.push(token);
            vocabulary.types.push(kind);
        }
        Ok(vocabulary)
    }

    fn too_long(&self, id: u32) -> GgufError {
        GgufError::VocabularyTooLong {
            path: self.path.clone(),
            id,
            rows: self.rows.len(),
        }
    }

    fn ambiguous(&self, token: &str, id: u32, other: &'static str) -> GgufError {
        GgufError::AmbiguousToken {
            path: self.path.clone(),
            token: token.to_owned(),
            id,
            other,
        }
    }
}

fn added_type(token: &AddedToken, special: &SpecialTokens) -> TokenType {
    if token.special || special.contains(&token.content) || looks_special(&token.content) {
        TokenType::Control
    } else {
        TokenType::UserDefined
    }
}

/// Whether a token is plainly meant for control, though its file forgot to say so; llama.cpp's own
/// converter takes the same forms for it.
fn looks_special(token: &str) -> bool {
    let between = |start, end| token.starts_with(start) && token.ends_with(end);
    between("<|", "|>")
        || between("<｜", "｜>")
        || between("<unused", ">")
        || ["<pad>", "<mask>"].contains(&token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(tokens: &[(&str, u32)], added: &[(&str, u32, bool)]) -> TokenizerFile {
        let tokens = tokens.iter().map(|&(token, id)| (token.to_owned(), id));
        let added = added.iter().map(|&(content, id, special)| AddedToken {
            id,
            content: content.to_owned(),
            special,
        });
        TokenizerFile {
            path: "tokenizer.json".into(),
            tokens: tokens.collect(),
            added: added.collect(),
            merges: Vec::new(),
        }
    }

    fn vocabulary(file: &TokenizerFile, rows: usize) -> Result<Vocabulary, GgufError> {
        Vocabulary::new(file, &SpecialTokens::ending_with("<end>", 2), rows)
    }

    #[test]
    fn tokens_are_in_the_order_of_their_ids_and_gaps_are_unused() {
        let file = file(&[("b", 1), ("a", 0), ("<end>", 2)], &[("<x>", 4, false)]);
        let vocabulary = vocabulary(&file, 7).unwrap();
        assert_eq!(
            vocabulary.tokens,
            ["a", "b", "<end>", "[PAD3]", "<x>", "[PAD5]", "[PAD6]"]
        );
        use TokenType::{Control, Normal, Unused, UserDefined};
        assert_eq!(
            vocabulary.types,
            [Normal, Normal, Control, Unused, UserDefined, Unused, Unused]
        );
        assert_eq!((vocabulary.id("b"), vocabulary.id("c")), (Some(1), None));
    }

    #[test]
    fn added_tokens_are_for_control_if_their_file_says_so_or_they_look_like_it() {
        let added = [
            ("<s>", 0, true),
            ("<|im_start|>", 1, false),
            ("<end>", 2, false),
            ("<pad>", 3, false),
            ("<unused7>", 4, false),
            ("<unused", 5, false),
        ];
        let types = vocabulary(&file(&[], &added), 6).unwrap().types;
        assert_eq!(types[..5], [TokenType::Control; 5]);
        assert_eq!(types[5], TokenType::UserDefined);
    }

    #[test]
    fn a_token_that_is_added_to_its_own_row_is_there_once() {
        let file = file(&[("a", 0), ("<end>", 1)], &[("<end>", 1, true)]);
        assert_eq!(vocabulary(&file, 2).unwrap().tokens, ["a", "<end>"]);
    }

    #[test]
    fn a_vocabulary_longer_than_the_embedding_is_refused_with_both_sizes() {
        let error = vocabulary(&file(&[("a", 7), ("b", 3)], &[]), 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tokenizer of `tokenizer.json` has an id 7, and the model's embedding has 3 rows: expected at least 8; check that tokenizer and model belong together"
        );
    }

    #[test]
    fn two_tokens_with_one_id_and_two_ids_of_one_token_are_refused() {
        let error = vocabulary(&file(&[("a", 0), ("b", 0)], &[]), 2).unwrap_err();
        assert!(error.to_string().contains("another token"), "{error}");
        for file in [
            file(&[("a", 0)], &[("a", 1, false)]),
            file(&[("[PAD1]", 0)], &[]),
        ] {
            let error = vocabulary(&file, 2).unwrap_err();
            assert!(error.to_string().contains("another id"), "{error}");
        }
    }
}
