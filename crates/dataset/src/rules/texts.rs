//! The rules that look at one text at a time.

use llmopt_domain::{Finding, Message, Role, Severity};

use super::{Example, Rule};
use crate::text;

/// Whose texts a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speakers {
    All,
    /// The assistant, whose texts are learnt.
    Assistant,
}

/// A rule that takes what a detector finds for a warning, once for each row.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextRule {
    code: &'static str,
    description: &'static str,
    expected: &'static str,
    fix: &'static str,
    speakers: Speakers,
    detect: fn(&str) -> Option<String>,
}

impl TextRule {
    fn looks_at(&self, turn: &Message) -> bool {
        self.speakers == Speakers::All || turn.role == Role::Assistant
    }
}

impl Rule for TextRule {
    fn code(&self) -> &'static str {
        self.code
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn fix(&self) -> &'static str {
        self.fix
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let turns = example.conversation.messages.iter().enumerate();
        let mut found = turns.filter_map(|(index, turn)| {
            let found = self.looks_at(turn).then(|| (self.detect)(&turn.content))?;
            found.map(|found| (index, found))
        });
        if let Some((index, found)) = found.next() {
            findings.push(self.finding(example.place_of_turn(index), self.expected, found));
        }
    }
}

fn edge_space(response: &str) -> Option<String> {
    let starts = response.starts_with(char::is_whitespace);
    let ends = response.ends_with(char::is_whitespace);
    let side = match (starts, ends) {
        _ if response.trim().is_empty() => return None,
        (false, false) => return None,
        (true, false) => "before it",
        (false, true) => "after it",
        (true, true) => "on both sides",
    };
    Some(format!("white space {side}"))
}

/// All of them.
pub(super) const ALL: [TextRule; 16] = [
    TextRule {
        code: "replacement_character",
        description: "the sign `U+FFFD`, which stands where a character was lost",
        expected: "text that was decoded whole",
        fix: "make the file anew from its source, in the source's encoding",
        speakers: Speakers::All,
        detect: text::replacement_character,
    },
    TextRule {
        code: "mojibake",
        description: "UTF-8 that was read as another encoding: `cafÃ©`",
        expected: "text that was decoded as UTF-8",
        fix: "read the source as UTF-8 and make the file anew",
        speakers: Speakers::All,
        detect: text::mojibake,
    },
    TextRule {
        code: "control_character",
        description: "a control character other than tabs and line ends",
        expected: "no control characters",
        fix: "delete them",
        speakers: Speakers::All,
        detect: text::control_character,
    },
    TextRule {
        code: "invisible_character",
        description: "a character that nobody sees: of no width, turning the direction, a byte order mark",
        expected: "characters that can be seen",
        fix: "delete them",
        speakers: Speakers::All,
        detect: text::invisible_character,
    },
    TextRule {
        code: "mixed_script_word",
        description: "a word of Latin and Cyrillic letters, most of which look alike",
        expected: "one alphabet in each word",
        fix: "type the word anew",
        speakers: Speakers::All,
        detect: text::mixed_word,
    },
    TextRule {
        code: "special_token",
        description: "a text that tokenizers take for the end of a turn or the like: `<|im_end|>`, `[INST]`",
        expected: "text without a chat template's marks",
        fix: "delete them: the base model's template adds its own",
        speakers: Speakers::All,
        detect: text::special_token,
    },
    TextRule {
        code: "response_edge_space",
        description: "white space before or after a response",
        expected: "a response from its first to its last character",
        fix: "cut it off",
        speakers: Speakers::Assistant,
        detect: edge_space,
    },
    TextRule {
        code: "placeholder",
        description: "a text that was to be replaced: `TODO`, `N/A` alone, `lorem ipsum`, `{{name}}`",
        expected: "the text that it stands for",
        fix: "fill it in, or delete the row",
        speakers: Speakers::Assistant,
        detect: text::placeholder,
    },
    TextRule {
        code: "refusal",
        description: "a response that refuses to answer",
        expected: "an answer",
        fix: "write the answer, unless the model is to refuse",
        speakers: Speakers::Assistant,
        detect: text::refusal,
    },
    TextRule {
        code: "boilerplate",
        description: "a phrase that assistants say whatever they are asked",
        expected: "what answers the prompt",
        fix: "delete the phrase, unless the model is to say it",
        speakers: Speakers::Assistant,
        detect: text::boilerplate,
    },
    TextRule {
        code: "secret",
        description: "a key, a token or a password, which is never shown whole",
        expected: "nothing secret",
        fix: "make it invalid where it belongs, and delete it here",
        speakers: Speakers::All,
        detect: text::secret,
    },
    TextRule {
        code: "email_address",
        description: "an e-mail address, but for those kept for examples",
        expected: "no personal data",
        fix: "replace it by one of `example.com`, unless it may be learnt and told",
        speakers: Speakers::All,
        detect: text::email_address,
    },
    TextRule {
        code: "phone_number",
        description: "a telephone number",
        expected: "no personal data",
        fix: "replace it by one that is made up, unless it may be learnt and told",
        speakers: Speakers::All,
        detect: text::phone_number,
    },
    TextRule {
        code: "card_number",
        description: "the number of a payment card, with the right check digit",
        expected: "no personal data",
        fix: "replace it by one of the issuer's numbers for tests",
        speakers: Speakers::All,
        detect: text::card_number,
    },
    TextRule {
        code: "iban",
        description: "the number of a bank account, with the right check digits",
        expected: "no personal data",
        fix: "replace it by one that is made up",
        speakers: Speakers::All,
        detect: text::iban,
    },
    TextRule {
        code: "repeated_line",
        description: "a line that stands five times or more in a row, as models write that got stuck",
        expected: "text that goes on",
        fix: "cut the repetition, or delete the row",
        speakers: Speakers::Assistant,
        detect: repeated_line,
    },
];

fn repeated_line(response: &str) -> Option<String> {
    const MOST: usize = 5;
    const SHORTEST: usize = 10;
    let mut before = ("", 0);
    for line in response
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let times = if line == before.0 { before.1 + 1 } else { 1 };
        if times >= MOST && line.len() >= SHORTEST {
            return Some("a line that stands five times in a row".to_owned());
        }
        before = (line, times);
    }
    None
}

#[cfg(test)]
mod tests {
    use llmopt_domain::Conversation;

    use super::*;
    use crate::testing::findings_of;

    fn found(prompt: &str, response: &str) -> Vec<String> {
        let row = [Conversation::from_pair(prompt, response)];
        let rules = ALL.into_iter();
        let found = rules.flat_map(|mut rule| findings_of(&mut rule, &row));
        found
            .map(|it| format!("{} {}: {}", it.code, it.place.field.unwrap(), it.found))
            .collect()
    }

    #[test]
    fn every_rule_finds_its_damage_and_names_the_field() {
        for (prompt, response, said) in [
            (
                "Where?",
                "In Z\u{fffd}rich",
                "replacement_character response: `U+FFFD` (`\u{fffd}`) once",
            ),
            (
                "Where is the cafÃ©?",
                "Here",
                "mojibake prompt: `Ã©` where `é` was meant",
            ),
            (
                "Where?",
                "He\u{8}re",
                "control_character response: `U+0008` once",
            ),
            (
                "Whe\u{200b}re?",
                "Here",
                "invisible_character prompt: `U+200B` (a space of no width)",
            ),
            (
                "Log in to p\u{430}ypal?",
                "No",
                "mixed_script_word prompt: `p\u{430}ypal`",
            ),
            (
                "Where?",
                "Here.<|im_end|>",
                "special_token response: `<|im_end|>`",
            ),
            (
                "Where?",
                " Here\n",
                "response_edge_space response: white space on both sides",
            ),
            ("Where?", "N/A", "placeholder response: only `n/a`"),
            (
                "Where?",
                "I'm sorry, but I can't say.",
                "refusal response: `i'm sorry, but i can't`",
            ),
            (
                "Where?",
                "Here. I hope this helps!",
                "boilerplate response: `i hope this helps`",
            ),
            (
                "My password: tr0ub4dor&3",
                "Thanks",
                "secret prompt: a password or key, `tr0…` (11 characters)",
            ),
            (
                "Where?",
                "Ask anna.berg@mailbox.org",
                "email_address response: `ann…` (21 characters)",
            ),
            (
                "Call +49 30 901820-00?",
                "Yes",
                "phone_number prompt: `+49…` (16 characters)",
            ),
            (
                "Pay with 4539 1488 0343 6467",
                "Done",
                "card_number prompt: `453…` (19 characters)",
            ),
            (
                "Pay to DE89370400440532013000",
                "Done",
                "iban prompt: `DE8…` (22 characters)",
            ),
            (
                "Where?",
                "I am here now.\nI am here now.\nI am here now.\nI am here now.\nI am here now.",
                "repeated_line response: a line that stands five times in a row",
            ),
        ] {
            assert_eq!(found(prompt, response), [said]);
        }
    }

    #[test]
    fn what_only_responses_must_not_have_prompts_may() {
        assert!(found(" N/A. I hope this helps! ", "Here").is_empty());
    }

    #[test]
    fn sound_rows_in_several_languages_have_nothing() {
        for (prompt, response) in [
            (
                "How do I sort a list in Python?",
                "Use `sorted(items)`:\n```python\nprint(sorted([3, 1]))\n```",
            ),
            (
                "Où est le café ?",
                "« Le café est à l’angle, au n° 12 », dit-elle.",
            ),
            (
                "Wie heißt der Fluß?",
                "„Der Fluß heißt Spree“, sagte Müller – und lächelte…",
            ),
            (
                "Thủ đô của Việt Nam là gì?",
                "Thủ đô của Việt Nam là Hà Nội.",
            ),
            ("日本の首都は？", "東京です。"),
            (
                "How much is 12 * 3.50?",
                "12 * 3.50 = <<12*3.50=42>>42\n#### 42",
            ),
            ("پایتخت ایران کجاست؟", "تهران است و می\u{200c}خواهم بروم."),
            (
                "When?",
                "On 2024-01-15 at 10:30, for 1,234,567.89 dollars at 192.168.10.25",
            ),
        ] {
            assert!(
                found(prompt, response).is_empty(),
                "{:?}",
                found(prompt, response)
            );
        }
    }

    #[test]
    fn refrains_and_short_lines_are_no_repetition() {
        for response in [
            "Row your boat\nRow your boat\nRow your boat\nRow your boat\nGently down the stream",
            "|---|\n|---|\n|---|\n|---|\n|---|\n|---|",
        ] {
            assert!(found("Sing", response).is_empty(), "{response}");
        }
    }
}
