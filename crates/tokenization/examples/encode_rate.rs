//! Compares how fast texts of GSM8K's shape are encoded here and by the library, on one thread:
//!
//! `LLMOPT_TEST_DATA=… cargo run --release -p llmopt-tokenization --example encode_rate`
//!
//! Rows are mixtures of the data set's sentences and all different, so that remembering whole texts helps neither.

#![expect(clippy::print_stdout, reason = "numbers are what this is run for")]

use std::{
    collections::HashSet,
    error::Error,
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use llmopt_domain::{Conversation, Message, Role};
use llmopt_tokenization::Encoder;
use serde_json::Value;
use tokenizers::Tokenizer;

const ROWS: usize = 20_000;
const ROUNDS: usize = 5;

#[expect(
    clippy::disallowed_methods,
    reason = "outside data is found through this one variable"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let data = std::env::var_os("LLMOPT_TEST_DATA").ok_or("LLMOPT_TEST_DATA is not set")?;
    let data = Path::new(&data);
    let pairs = rows(&fs::read_to_string(data.join("gsm8k/train.jsonl"))?)?;
    let rows: Vec<String> = pairs.iter().map(|pair| pair.concat()).collect();
    let bytes: usize = rows.iter().map(String::len).sum();
    println!("{} rows, {bytes} bytes", rows.len());

    let start = Instant::now();
    let encoder = Encoder::open(&data.join("tokenizers/gpt2"), None)?;
    println!("opened in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    // The library opens what was saved: the very same tokenizer.
    let folder = tempfile::tempdir()?;
    encoder.save(folder.path())?;
    let start = Instant::now();
    let library = Tokenizer::from_file(folder.path().join("tokenizer.json"))
        .map_err(|error| error.to_string())?;
    println!(
        "the library alone opens in {:.0} ms",
        start.elapsed().as_secs_f64() * 1e3
    );

    let ours = |text: &str| encoder.encode_text(text).map(|ids| ids.len()).unwrap_or(0);
    let theirs = |text: &str| match library.encode_fast(text, false) {
        Ok(encoding) => encoding.get_ids().to_vec().len(),
        Err(_) => 0,
    };
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (fast, count) = timed(&rows, ours);
        let (slow, expected) = timed(&rows, theirs);
        assert_eq!(count, expected, "the two count tokens otherwise");
        let ratio = slow.as_secs_f64() / fast.as_secs_f64();
        println!(
            "round {round}: here {}, library {}, ratio {ratio:.1}",
            rate(fast, count, bytes),
            rate(slow, count, bytes)
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.1}", ratios[ROUNDS / 2]);
    conversations(&encoder, &pairs)?;
    hostile(ours);
    Ok(())
}

/// What a row costs once it is checked, rendered and encoded.
fn conversations(encoder: &Encoder, pairs: &[[String; 2]]) -> Result<(), Box<dyn Error>> {
    let turns = |[question, answer]: &[String; 2]| {
        let question = Message::new(Role::User, question.as_str());
        Conversation::new(vec![
            question,
            Message::new(Role::Assistant, answer.as_str()),
        ])
    };
    let conversations: Vec<Conversation> = pairs.iter().map(turns).collect();
    let start = Instant::now();
    for conversation in &conversations {
        black_box(encoder.encode_training(conversation)?);
    }
    let rate = conversations.len() as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} conversations/s with their template");
    Ok(())
}

/// Words of a megabyte, which must cost no more than n log n.
fn hostile(encode: impl Fn(&str) -> usize) {
    for (name, part) in [
        ("aaaa", "a"),
        ("hahaha", "ha"),
        ("spaces", " "),
        ("Chinese", "素早い茶色の狐"),
    ] {
        let text = part.repeat(1_000_000 / part.len());
        let start = Instant::now();
        let tokens = encode(&text);
        let took = start.elapsed().as_secs_f64() * 1e3;
        println!("a word of 1 MB, {name}: {took:.0} ms, {tokens} tokens");
    }
}

fn timed(rows: &[String], encode: impl Fn(&str) -> usize) -> (Duration, usize) {
    let start = Instant::now();
    let count = rows.iter().map(|row| black_box(encode(row))).sum();
    (start.elapsed(), count)
}

fn rate(time: Duration, tokens: usize, bytes: usize) -> String {
    let millions = |count: usize| count as f64 / 1e6 / time.as_secs_f64();
    let (tokens, megabytes) = (millions(tokens), millions(bytes));
    format!("{tokens:.2} M tokens/s {megabytes:.1} MB/s")
}

/// Returns different rows, each a question's number of sentences and an answer's number of lines.
fn rows(file: &str) -> Result<Vec<[String; 2]>, Box<dyn Error>> {
    let (mut sentences, mut lines, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    for row in file.lines() {
        let row: Value = serde_json::from_str(row)?;
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let before = (sentences.len(), lines.len());
        sentences.extend(text("question").split_inclusive(". ").map(str::to_owned));
        lines.extend(text("answer").split_inclusive('\n').map(str::to_owned));
        shapes.push((sentences.len() - before.0, lines.len() - before.1));
    }
    let mut state = 1_u64;
    let mut choose = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut rows = HashSet::new();
    let mut ordered = Vec::new();
    while ordered.len() < ROWS {
        let (questions, answers) = shapes[choose(shapes.len())];
        let mut mixed = |count: usize, parts: &[String]| -> String {
            let chosen = (0..count).map(|_| parts[choose(parts.len())].as_str());
            chosen.collect()
        };
        let row = [mixed(questions, &sentences), mixed(answers, &lines)];
        if rows.insert(row.clone()) {
            ordered.push(row);
        }
    }
    Ok(ordered)
}
