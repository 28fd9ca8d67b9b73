//! Opens the tokenizer of one folder and saves it in another as `tokenizer.json`, which Python's libraries open:
//!
//! `cargo run -p llmopt-tokenization --example save_tokenizer -- FROM TO`

use std::{error::Error, fs, path::Path};

use llmopt_tokenization::Encoder;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else {
        return Err("expected FROM TO".into());
    };
    fs::create_dir_all(to)?;
    Encoder::open(Path::new(from), None)?.save(Path::new(to))?;
    Ok(())
}
