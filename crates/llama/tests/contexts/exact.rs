//! The logits of transformers + peft (see `trainer/tests/fixtures/README.md`), token by token.

use llmopt_artifact::TensorFile;
use llmopt_llama::{Context, ContextOptions, Gelu};

use crate::{Files, GO_ON, fixture};

/// Both sides compute in f32 and differ in the order of sums, and in exponentials by a few units in the
/// last place: as the trainer's parity.
const TOLERANCE: f32 = 1e-4;

/// The largest difference from the reference over its largest value, one token at a time.
fn distance(file: &str, with_adapter: bool, gelu: Gelu) -> f32 {
    let files = Files::new();
    let model = files.model();
    let options = ContextOptions {
        context_tokens: 96,
        batch_tokens: 16,
        threads: 2,
        gelu,
    };
    let mut context = Context::new(model.clone(), options).unwrap();
    if with_adapter {
        context.set_adapter(Some(files.adapter(&model))).unwrap();
    }
    let reference = TensorFile::open(&fixture(file)).unwrap();
    let (mut difference, mut largest) = (0_f32, 0_f32);
    for row in 0..5 {
        context.clear();
        let ids = reference.tensor(&format!("ids.{row}")).unwrap();
        let ids = ids.bytes.chunks_exact(8);
        let ids: Vec<u32> = ids
            .map(|id| i64::from_le_bytes(id.try_into().unwrap()) as u32)
            .collect();
        let logits = reference.tensor(&format!("logits.{row}")).unwrap();
        let mut expected = logits
            .bytes
            .chunks_exact(4)
            .map(|logit| f32::from_le_bytes(logit.try_into().unwrap()));
        for &id in &ids {
            let found = context.decode(&[id], GO_ON).unwrap();
            for (found, expected) in found.iter().zip(&mut expected) {
                difference = difference.max((found - expected).abs());
                largest = largest.max(expected.abs());
            }
        }
        assert_eq!(expected.next(), None);
    }
    let gelus = context.exact_gelus();
    assert_eq!(gelus > 0, gelu == Gelu::Exact, "{gelus} exact");
    difference / largest
}

#[test]
fn exact_gelu_gives_the_references_logits_and_the_table_does_not() {
    for (file, with_adapter) in [
        ("forward.safetensors", false),
        ("lora_logits.safetensors", true),
    ] {
        let exact = distance(file, with_adapter, Gelu::Exact);
        assert!(exact <= TOLERANCE, "{file}: {exact:e}");
        let table = distance(file, with_adapter, Gelu::Table);
        assert!(table > 10.0 * exact, "{file}: {table:e} and {exact:e}");
    }
}
