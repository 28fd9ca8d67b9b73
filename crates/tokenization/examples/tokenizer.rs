//! Makes and uses tokenizers from the command line, for the scripts that hold them beside Python's libraries:
//!
//! - `tokenizer save FROM TO` opens one folder's and saves it in another as `tokenizer.json`;
//! - `tokenizer train TEXTS SIZE TO` trains one of SIZE tokens;
//! - `tokenizer encode FOLDER TEXTS IDS` writes the ids of each text, as a list on its line.
//!
//! TEXTS has a JSON string on each line.

use std::{
    error::Error,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use llmopt_tokenization::{Encoder, train_bpe};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["save", from, to] => {
            fs::create_dir_all(to)?;
            Encoder::open(Path::new(from), None)?.save(Path::new(to))?;
        }
        ["train", texts, size, to] => {
            fs::create_dir_all(to)?;
            train_bpe(read(texts)?.into_iter(), size.parse()?, Path::new(to))?;
        }
        ["encode", folder, texts, ids] => encode(folder, texts, ids)?,
        _ => {
            return Err(
                "expected `save FROM TO`, `train TEXTS SIZE TO` or `encode FOLDER TEXTS IDS`"
                    .into(),
            );
        }
    }
    Ok(())
}

fn read(texts: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let lines = fs::read_to_string(texts)?;
    Ok(lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

fn encode(folder: &str, texts: &str, ids: &str) -> Result<(), Box<dyn Error>> {
    let encoder = Encoder::open(Path::new(folder), None)?;
    let mut file = BufWriter::new(File::create(ids)?);
    for text in read(texts)? {
        serde_json::to_writer(&mut file, &encoder.encode_text(&text)?)?;
        writeln!(file)?;
    }
    file.flush()?;
    Ok(())
}
