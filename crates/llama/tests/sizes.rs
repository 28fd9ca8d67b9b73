//! What a context takes, beside what llama.cpp says that it does. Alone in its process, because
//! whether something is logged is remembered for all threads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use llmopt_artifact::ModelFolder;
use llmopt_gguf::{WeightType, write_model};
use llmopt_llama::{Context, ContextOptions, Gelu, Model};
use tracing_subscriber::fmt::MakeWriter;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn tiny_model() -> Arc<Model> {
    let fixture = "../../trainer/tests/fixtures/tiny-gpt2";
    let folder = ModelFolder::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("model.gguf");
    write_model(&folder, folder.path(), WeightType::F32, &path).unwrap();
    Model::load(&path).unwrap()
}

/// Adds up the buffers that llama.cpp says it made, in bytes.
fn made(model: &Arc<Model>, options: ContextOptions) -> (f64, u64) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(log.clone())
        .finish();
    let context = tracing::subscriber::with_default(subscriber, || {
        Context::new(Arc::clone(model), options).unwrap()
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let sizes = text.lines().filter_map(|line| {
        let (_, size) = line.split_once("buffer size = ")?;
        size.trim().strip_suffix(" MiB")?.trim().parse::<f64>().ok()
    });
    let sizes: Vec<f64> = sizes.collect();
    assert!(
        sizes.len() >= 3,
        "keys and values, logits, computing: {text}"
    );
    (
        sizes.iter().sum::<f64>() * 1024.0 * 1024.0,
        context.size_bytes(),
    )
}

#[test]
fn a_context_takes_no_more_than_is_said_and_not_much_less() {
    let model = tiny_model();
    for (context_tokens, batch_tokens) in [(16, 1), (64, 64)] {
        let options = ContextOptions {
            context_tokens: context_tokens.min(model.context_tokens()),
            batch_tokens,
            threads: 1,
            gelu: Gelu::Table,
        };
        let (made, said) = made(&model, options);
        // llama.cpp says hundredths of a MiB.
        assert!(
            said as f64 > made - 0.02 * 1024.0 * 1024.0,
            "said {said}, made {made}"
        );
        assert!(
            (said as f64) < 2.0 * made + 65_536.0,
            "said {said}, made {made}"
        );
    }
}
