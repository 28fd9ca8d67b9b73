//! Validates, tokenizes and masks a dataset, and tells how long each took and the most memory there was:
//!
//! `cargo run --release -p llmopt-preparation --example prepare -- ROWS.jsonl TOKENIZER_FOLDER THREADS COMPARED`
//!
//! `COMPARED` is among how many rows near duplicates are sought, beside those that are the same; with `none`, each row
//! is looked at by itself. `scripts/bench-datasets` runs this beside Python.

#![expect(clippy::print_stdout, reason = "numbers are what this is run for")]

use std::{error::Error, fs, path::Path, time::Instant};

use llmopt_dataset::{Comparison, ValidationOptions, validate};
use llmopt_preparation::{PreparationError, encode_rows};
use llmopt_tokenization::Encoder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rows, folder, threads, compared] = &arguments[..] else {
        return Err("expected ROWS.jsonl TOKENIZER_FOLDER THREADS COMPARED".into());
    };
    let (rows, threads) = (Path::new(rows), threads.parse()?);
    let options = match compared.as_str() {
        "none" => ValidationOptions {
            comparison: Comparison::None,
            ..ValidationOptions::default()
        },
        near => ValidationOptions {
            near_duplicate_rows: near.parse()?,
            ..ValidationOptions::default()
        },
    };
    let began = Instant::now();
    let report = validate(rows, &options)?;
    let validated = began.elapsed().as_secs_f64();
    if report.has_errors() {
        return Err("the rows have errors".into());
    }
    let encoder = Encoder::open(Path::new(folder), None)?;
    let (mut tokens, mut labels) = (0, 0);
    encode_rows(rows, &options.reading, &encoder, threads, |row| {
        tokens += row.encoded.ids.len();
        labels += row.encoded.trainable_tokens();
        Ok::<_, PreparationError>(())
    })?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{{\"rows\": {}, \"tokens\": {tokens}, \"labels\": {labels}, \"validated_s\": {validated:.3}, \"seconds\": {seconds:.3}, \"peak_kib\": {}}}",
        report.rows,
        peak_kib()?
    );
    Ok(())
}

/// Returns the most memory that this process had.
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.ok_or("no peak in /proc/self/status")?.parse()?)
}
