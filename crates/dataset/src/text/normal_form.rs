use unicode_normalization::{
    IsNormalized,
    char::{compose, is_combining_mark},
    is_nfd_quick,
};

/// Which of Unicode's two ways to write accented letters a text uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NormalForms {
    /// One character for a letter and its accent (NFC).
    pub(crate) composed: bool,
    /// A character of its own for the accent (NFD).
    pub(crate) decomposed: bool,
}

/// Tells how `text` writes its accented letters.
pub(crate) fn normal_forms(text: &str) -> NormalForms {
    if text.is_ascii() {
        return NormalForms::default();
    }
    let pairs = text.chars().zip(text.chars().skip(1));
    NormalForms {
        composed: is_nfd_quick(text.chars()) == IsNormalized::No,
        decomposed: pairs
            .into_iter()
            .any(|(base, mark)| is_combining_mark(mark) && compose(base, mark).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_accent_are_told_apart() {
        let forms = |text| {
            let NormalForms {
                composed,
                decomposed,
            } = normal_forms(text);
            (composed, decomposed)
        };
        assert_eq!(forms("caf\u{e9}"), (true, false));
        assert_eq!(forms("cafe\u{301}"), (false, true));
        assert_eq!(forms("Vi\u{1ec7}t e\u{301}"), (true, true));
        assert_eq!(forms("cafe"), (false, false));
        assert_eq!(forms("中文 😀 – “x”"), (false, false));
    }
}
