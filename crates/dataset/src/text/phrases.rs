/// How models say that they will not answer.
const REFUSALS: [&str; 19] = [
    "i'm sorry, but i can't",
    "i'm sorry, but i cannot",
    "i am sorry, but i can't",
    "i am sorry, but i cannot",
    "i'm sorry, i can't",
    "i'm sorry, but i'm unable",
    "i'm sorry, but i am unable",
    "sorry, but as an ai",
    "i cannot assist with",
    "i can't assist with",
    "i can't help with that",
    "i cannot help with that",
    "i cannot fulfill",
    "i can't fulfill",
    "i cannot provide",
    "i'm not able to help with",
    "i'm unable to assist",
    "i am unable to assist",
    "i must decline",
];

/// What assistants say whatever they are asked.
const BOILERPLATE: [&str; 12] = [
    "as an ai language model",
    "as a large language model",
    "as an ai assistant",
    "i hope this helps",
    "hope that helps",
    "let me know if you have any other questions",
    "let me know if you have any further questions",
    "let me know if you have any more questions",
    "is there anything else i can help",
    "feel free to ask if you have",
    "my knowledge cutoff",
    "as of my last knowledge update",
];

/// Finds a refusal at the beginning of a response.
pub(crate) fn refusal(text: &str) -> Option<String> {
    const HEAD: usize = 200;
    let head: String = text.trim_start().chars().take(HEAD).collect();
    first_of(&REFUSALS, &head)
}

/// Finds a phrase that says nothing.
pub(crate) fn boilerplate(text: &str) -> Option<String> {
    first_of(&BOILERPLATE, text)
}

fn first_of(phrases: &[&str], text: &str) -> Option<String> {
    let text = text.to_lowercase().replace('’', "'");
    let found = phrases.iter().find(|phrase| text.contains(**phrase));
    found.map(|phrase| format!("`{phrase}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_found_however_they_are_typed() {
        for text in [
            "I’m sorry, but I can’t help with that.",
            "I'm sorry, but I cannot provide medical advice.",
            "Sorry, but as an AI, I have no opinion.",
        ] {
            assert!(refusal(text).is_some(), "{text}");
        }
        for text in [
            "I'm sorry to hear that! Try a restart.",
            "He said he cannot come.",
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn a_refusal_that_is_told_of_later_is_none() {
        let story =
            "Once upon a time there was a clerk. ".repeat(10) + "\"I cannot assist with that\"";
        assert_eq!(refusal(&story), None);
    }

    #[test]
    fn phrases_that_say_nothing_are_found() {
        assert_eq!(
            boilerplate("It is 4. I hope this helps!").unwrap(),
            "`i hope this helps`"
        );
        assert!(boilerplate("As an AI language model, I think so.").is_some());
        assert_eq!(boilerplate("It is 4."), None);
    }
}
