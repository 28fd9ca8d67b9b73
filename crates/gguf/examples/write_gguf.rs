//! Writes GGUF files: what `scripts/test-interop` holds against llama.cpp's own converter.
//!
//! ```text
//! write_gguf model FOLDER TYPE OUTPUT
//! write_gguf adapter FOLDER OUTPUT
//! ```

use std::path::Path;

use anyhow::bail;
use llmopt_artifact::{AdapterFolder, ModelFolder};
use llmopt_gguf::{write_adapter, write_model};

const USAGE: &str =
    "usage: write_gguf model FOLDER f32|f16|q8_0 OUTPUT, or write_gguf adapter FOLDER OUTPUT";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["model", folder, weights, output] => {
            let model = ModelFolder::open(Path::new(folder))?;
            write_model(&model, model.path(), weights.parse()?, Path::new(output))?;
        }
        ["adapter", folder, output] => {
            write_adapter(&AdapterFolder::open(Path::new(folder))?, Path::new(output))?;
        }
        _ => bail!(USAGE),
    }
    Ok(())
}
