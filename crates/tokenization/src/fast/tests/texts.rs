use std::fs;

use serde_json::Value;

use super::ADDED;
use crate::testing::{TEXTS, test_data};

/// What random texts are mixed of: scripts, marks, numbers, signs, all white space and the edges of encodings.
const FRAGMENTS: &[&str] = &[
    "a",
    "e",
    "the",
    "The",
    "ing",
    "QU",
    "bananas",
    "don't",
    "I'LL",
    "'s",
    "'S",
    "'\u{17f}",
    "'re",
    "'Ve",
    "'l",
    "'",
    "''",
    "0",
    "7",
    "42",
    "1234567",
    "3.14",
    "1,000",
    "²",
    "½",
    "Ⅷ",
    "٣٤",
    "०१",
    "𝟘",
    ".",
    ",",
    "!?",
    "...",
    "-",
    "--",
    "_",
    "/",
    "//",
    "{\"a\":[1]}",
    "<|",
    "|>",
    "$",
    "€",
    "\u{ad}",
    "\u{200b}",
    "\u{200d}",
    "\u{feff}",
    " ",
    " ",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    " \n",
    "\n ",
    "\u{b}",
    "\u{c}",
    "\u{1c}",
    "\u{85}",
    "\u{a0}",
    "\u{1680}",
    "\u{180e}",
    "\u{2003}",
    "\u{2028}",
    "\u{2029}",
    "\u{202f}",
    "\u{205f}",
    "\u{3000}",
    "\0",
    "\u{1}",
    "\u{7f}",
    "\u{80}",
    "\u{7ff}",
    "\u{800}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10000}",
    "\u{10ffff}",
    "é",
    "e\u{301}",
    "ü",
    "ß",
    "ﬁ",
    "ǅ",
    "ʰ",
    "ª",
    "Größe",
    "\u{300}",
    "\u{345}",
    "\u{20dd}",
    "\u{fe0f}",
    "Ελλη",
    "ά",
    "лиса",
    "Й",
    "שָׁלוֹם",
    "العربية",
    "\u{64b}",
    "हिन्दी",
    "क्ष",
    "ไทย",
    "ที่",
    "မြန်",
    "ქართ",
    "한국어",
    "\u{1112}\u{1161}\u{11ab}",
    "素早い",
    "狐",
    "カ\u{3099}",
    "〇",
    "𠮷",
    "\u{323af}",
    "🙂",
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "👍🏽",
    "☃",
    "♥\u{fe0f}",
    "𝔘",
    "\u{e0041}",
];

/// Numbers from a seed (Steele et al. 2014, SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

pub(super) fn random_texts(seed: u64, count: usize) -> Vec<String> {
    let mut numbers = Numbers(seed << 32);
    let text = |_| {
        let length = 1 + numbers.below(40);
        (0..length).map(|_| fragment(&mut numbers)).collect()
    };
    (0..count).map(text).collect()
}

fn fragment(numbers: &mut Numbers) -> String {
    match numbers.below(16) {
        0 => ADDED[numbers.below(ADDED.len())].to_owned(),
        1 => char::from_u32(numbers.below(0x11_0000) as u32).map_or_else(String::new, String::from),
        2 => char::from_u32(numbers.below(0x3000) as u32).map_or_else(String::new, String::from),
        3 => FRAGMENTS[numbers.below(FRAGMENTS.len())].repeat(1 + numbers.below(90)),
        _ => FRAGMENTS[numbers.below(FRAGMENTS.len())].to_owned(),
    }
}

/// Returns what the tokenizers here learn from: words of several scripts and mixtures of everything.
pub(super) fn training_texts() -> impl Iterator<Item = String> {
    let texts = TEXTS.iter().map(|&text| text.to_owned());
    texts.chain(random_texts(12, 400))
}

/// Returns every character that may differ from its neighbours: all below U+3000, and each at an edge of a range of
/// letters, numbers or white space, with its neighbours.
pub(super) fn characters() -> Vec<char> {
    let kind =
        |c: u32| char::from_u32(c).map(|c| (c.is_alphabetic(), c.is_numeric(), c.is_whitespace()));
    let edge = |c: &u32| *c < 0x3000 || kind(c - 1) != kind(*c) || kind(*c) != kind(c + 1);
    (0..0x11_0000)
        .filter(edge)
        .filter_map(char::from_u32)
        .collect()
}

/// Returns every character that has another case.
pub(super) fn cased() -> impl Iterator<Item = char> {
    let alone = |c: char| c.to_lowercase().eq([c]) && c.to_uppercase().eq([c]);
    ('\0'..=char::MAX).filter(move |&c| !alone(c))
}

/// Returns a character between letters, digits, signs and white space.
pub(super) fn contexts(c: char) -> String {
    format!("x{c}y 1{c}2 {c} {c}z\t{c}  {c}\n{c}{c}'{c}!{c}!  {c}\r\n {c}")
}

/// Returns texts of GSM8K, WikiSQL and ShareGPT.
pub(super) fn corpora() -> Option<Vec<String>> {
    let data = test_data()?;
    let read = |name: &str| fs::read_to_string(data.join(name)).unwrap();
    let mut texts = Vec::new();
    for name in ["gsm8k/test.jsonl", "wikisql/train.jsonl"] {
        for line in read(name).lines() {
            collect(&serde_json::from_str(line).unwrap(), &mut texts);
        }
    }
    collect(
        &serde_json::from_str(&read("sharegpt.json")).unwrap(),
        &mut texts,
    );
    Some(texts)
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(values) => values.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => (),
    }
}
