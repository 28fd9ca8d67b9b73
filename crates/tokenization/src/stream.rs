use crate::{Encoder, TokenizationError};

/// What a character stands as while bytes of it are missing.
const HALF_A_CHARACTER: char = char::REPLACEMENT_CHARACTER;

/// Turns ids into text as they come, in whole characters; see [`Encoder::stream`].
pub struct TextStream<'a> {
    encoder: &'a Encoder,
    ids: Vec<u32>,
    /// The first id that is decoded: one part before those not shown yet, since decoders that join
    /// words look at what comes before.
    start: usize,
    /// The first id after the last whole character.
    boundary: usize,
    /// Bytes of the text from `start` on that were returned.
    shown: usize,
}

impl Encoder {
    /// Begins a text of which no ids are known yet.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream {
            encoder: self,
            ids: Vec::new(),
            start: 0,
            boundary: 0,
            shown: 0,
        }
    }
}

impl TextStream<'_> {
    /// Adds an id and returns the text that is sure now: never empty, and without the beginning of a
    /// character. With what [`Self::finish`] returns, the parts are [`Encoder::decode`] of all ids.
    ///
    /// # Errors
    /// [`TokenizationError::UnknownId`] if the id is not in the vocabulary.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, TokenizationError> {
        self.ids.push(id);
        let text = self.text()?;
        // Bytes that end in the middle of a character show as one replacement; before it all is sure.
        let sure = text.strip_suffix(HALF_A_CHARACTER).unwrap_or(&text);
        let part = rest(sure, self.shown);
        self.shown = self.shown.max(sure.len());
        if sure.len() == text.len() {
            self.start = self.boundary;
            self.boundary = self.ids.len();
            self.shown = self.text()?.len();
        }
        Ok(part)
    }

    /// Returns the text that was not sure: characters that were never completed.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(self) -> Result<Option<String>, TokenizationError> {
        Ok(rest(&self.text()?, self.shown))
    }

    fn text(&self) -> Result<String, TokenizationError> {
        self.encoder.decode(&self.ids[self.start..])
    }
}

fn rest(text: &str, from: usize) -> Option<String> {
    let rest = text.get(from..).filter(|rest| !rest.is_empty());
    rest.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::small_tokenizer;

    fn encoder() -> Encoder {
        Encoder::open(small_tokenizer().path(), None).unwrap()
    }

    fn parts(encoder: &Encoder, ids: &[u32]) -> Vec<String> {
        let mut stream = encoder.stream();
        let mut parts: Vec<String> = Vec::new();
        parts.extend(ids.iter().filter_map(|&id| stream.push(id).unwrap()));
        parts.extend(stream.finish().unwrap());
        parts
    }

    /// The ids of the single bytes of `text`: a byte-level vocabulary begins with the 188 that print
    /// and then the others, each in their order, after the special token.
    fn bytes(encoder: &Encoder, text: &str) -> Vec<u32> {
        let prints = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..);
        let others = (0..=255).filter(|byte| !prints(byte));
        let order: Vec<u8> = (0..=255).filter(prints).chain(others).collect();
        let first = (0..).find(|&id| encoder.token_text(id).as_deref() == Some("!"));
        let place = |byte| order.iter().position(|&other| other == byte).unwrap();
        text.bytes()
            .map(|byte| first.unwrap() + place(byte) as u32)
            .collect()
    }

    #[test]
    fn a_character_comes_when_its_last_byte_is_there() {
        let encoder = encoder();
        let mut stream = encoder.stream();
        let mut come = Vec::new();
        for id in bytes(&encoder, "aé素🙂!") {
            come.push(stream.push(id).unwrap());
        }
        let come: Vec<_> = come.iter().map(Option::as_deref).collect();
        let expected = [
            Some("a"),
            None,
            Some("é"),
            None,
            None,
            Some("素"),
            None,
            None,
            None,
            Some("🙂"),
            Some("!"),
        ];
        assert_eq!(come, expected);
        assert_eq!(stream.finish().unwrap(), None);
    }

    #[test]
    fn bytes_that_never_become_a_character_come_at_the_end() {
        let encoder = encoder();
        let mut ids = bytes(&encoder, "x素");
        ids.pop();
        assert_eq!(parts(&encoder, &ids), ["x", "\u{fffd}"]);
        ids.extend(bytes(&encoder, "y"));
        assert_eq!(parts(&encoder, &ids), ["x", "\u{fffd}y"]);
    }

    #[test]
    fn special_tokens_are_no_text() {
        let encoder = encoder();
        let ids = [&bytes(&encoder, "hi")[..], &[encoder.end_token_id()]].concat();
        assert_eq!(parts(&encoder, &ids), ["h", "i"]);
    }

    #[test]
    fn an_id_outside_the_vocabulary_is_an_error() {
        let encoder = encoder();
        let unknown = encoder.vocabulary_size() as u32;
        assert!(encoder.stream().push(unknown).is_err());
    }

    proptest! {
        #[test]
        fn the_parts_are_what_all_ids_decode_to(ids in proptest::collection::vec(0_u32..300, 0..80)) {
            let encoder = encoder();
            let ids: Vec<u32> = ids.into_iter().filter(|&id| encoder.token_text(id).is_some()).collect();
            let parts = parts(&encoder, &ids);
            prop_assert!(parts.iter().all(|part| !part.is_empty()));
            prop_assert_eq!(parts.concat(), encoder.decode(&ids).unwrap());
        }
    }
}
