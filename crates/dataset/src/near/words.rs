//! Texts as sets of word shingles.

use llmopt_domain::{Conversation, Message, Role};
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation as _;

use super::hash::{Chain, mix};

/// Words in a shingle. Five is what Broder's group used for web pages: fewer, and common phrases make
/// unrelated texts alike; more, and one changed word is lost in too many shingles.
pub(super) const SHINGLE_WORDS: usize = 5;

/// Calls `visit` with each text of the conversation that is said in it: all but the system's, which many
/// rows share word for word, and with it would be near duplicates whatever they say.
fn each_text(conversation: &Conversation, visit: &mut impl FnMut(&str)) {
    let said = |turn: &&Message| turn.role != Role::System;
    for turn in conversation.messages.iter().filter(said) {
        visit(&turn.content);
        for call in &turn.tool_calls {
            visit(&call.name);
            for (name, value) in &call.arguments {
                visit(name);
                each_leaf(value, visit);
            }
        }
    }
}

fn each_leaf(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => visit(&value.to_string()),
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| each_leaf(item, visit)),
        Value::Object(fields) => {
            for (name, value) in fields {
                visit(name);
                each_leaf(value, visit);
            }
        }
    }
}

/// Makes shingles of conversations, and keeps its memory from one to the next.
#[derive(Debug, Default)]
pub(super) struct Shingles {
    words: Vec<u64>,
}

impl Shingles {
    /// Appends the hashes of the conversation's shingles, as often as they occur: always at least one.
    pub(super) fn append(&mut self, conversation: &Conversation, shingles: &mut Vec<u32>) {
        self.words.clear();
        each_text(conversation, &mut |text| {
            self.words.extend(text.unicode_words().map(word));
        });
        if self.words.is_empty() {
            shingles.push(wordless(conversation));
        } else if self.words.len() < SHINGLE_WORDS {
            shingles.push(shingle(&self.words));
        } else {
            shingles.extend(self.words.windows(SHINGLE_WORDS).map(shingle));
        }
    }
}

/// Hashes a word whatever its case.
fn word(word: &str) -> u64 {
    let mut chain = Chain::default();
    for letter in word.chars().flat_map(char::to_lowercase) {
        chain.push(u64::from(u32::from(letter)));
    }
    chain.finish()
}

fn shingle(words: &[u64]) -> u32 {
    let mut chain = Chain::default();
    words.iter().for_each(|word| chain.push(*word));
    upper_half(chain.finish())
}

/// Stands for a conversation of signs or emoji alone.
fn wordless(conversation: &Conversation) -> u32 {
    let mut chain = Chain::default();
    each_text(conversation, &mut |text| {
        let letters = text.chars().filter(|letter| !letter.is_whitespace());
        letters.for_each(|letter| chain.push(u64::from(u32::from(letter))));
    });
    // Apart from the shingles of words.
    upper_half(mix(!chain.finish()))
}

fn upper_half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shingles(prompt: &str, response: &str) -> Vec<u32> {
        shingles_of(&Conversation::from_pair(prompt, response))
    }

    fn shingles_of(conversation: &Conversation) -> Vec<u32> {
        let mut shingles = Vec::new();
        Shingles::default().append(conversation, &mut shingles);
        shingles
    }

    #[test]
    fn words_are_those_of_unicode_whatever_their_case_and_what_stands_between() {
        let plain = shingles("die größe ist 1,000 $ für", "İstanbul can't");
        assert_eq!(plain.len(), 3);
        let same = shingles("DIE Größe -- ist: 1,000\n$ FÜR", "«İSTANBUL» Can't!");
        assert_eq!(plain, same);
        assert_ne!(
            plain,
            shingles("die grösse ist 1,000 für", "İstanbul can't")
        );
    }

    #[test]
    fn writing_without_spaces_has_words_too() {
        assert_eq!(shingles("今日は天気がいい", "").len(), 4);
    }

    #[test]
    fn shingles_are_the_same_on_every_machine() {
        // As a second implementation, in Python, computes them.
        let expected = [0x4f6a_eb13, 0xb620_ca74, 0x3a2c_c4ee, 0xc75a_9b38];
        assert_eq!(shingles("What is two and two?", "It is four."), expected);
    }

    #[test]
    fn the_order_of_words_counts() {
        assert_ne!(shingles("a b c d", "e"), shingles("b a c d", "e"));
    }

    #[test]
    fn fewer_than_five_words_are_one_shingle() {
        let short = shingles("Is it?", "Yes.");
        assert_eq!(short.len(), 1);
        assert_eq!(short, shingles("is it", "yes"));
        assert_ne!(short, shingles("is it", "no"));
        assert_eq!(shingles("a b c d", "e").len(), 1);
        assert_eq!(shingles("a b c d", "e f").len(), 2);
    }

    #[test]
    fn texts_without_words_differ_by_their_signs() {
        assert_eq!(shingles("?!", " …"), shingles("? !", "…"));
        assert_ne!(shingles("?!", "…"), shingles("?", "…"));
        assert_eq!(shingles("", "").len(), 1);
    }

    #[test]
    fn system_texts_are_left_out_and_tool_calls_are_not() {
        let conversation = |system: &str, city: &str| {
            let call =
                json!({"function": {"name": "weather", "arguments": {"at": [{"city": city}, 3]}}});
            let messages = json!([
                {"role": "system", "content": system},
                {"role": "user", "content": "how is it"},
                {"role": "assistant", "content": "", "tool_calls": [call]},
            ]);
            serde_json::from_value::<Conversation>(json!({"messages": messages})).unwrap()
        };
        let shingles = shingles_of(&conversation("be kind", "Bern"));
        // how is it weather at city bern 3
        assert_eq!(shingles.len(), 4);
        assert_eq!(shingles, shingles_of(&conversation("be brief", "Bern")));
        assert_ne!(shingles, shingles_of(&conversation("be kind", "Rome")));
    }
}
