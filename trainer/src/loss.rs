//! The loss of a batch's labels, without ever holding the logits of all of them.

use tch::{Device, Kind, TchError, Tensor, no_grad};

use crate::model::{Compute, Gpt2, PackedBatch};

/// Logits held at once on a CPU: 24 MB of f32, which the allocator keeps between steps (glibc returns
/// blocks of more than 32 MB to the system each time).
const CPU_LOGITS: i64 = 6_000_000;
/// Logits held at once on a GPU, where small products waste its width.
const GPU_LOGITS: i64 = 64_000_000;

/// Returns the summed loss of `batch` over `divisor`, and adds its gradient to the parameters'.
pub(crate) fn backward(
    model: &Gpt2,
    batch: &PackedBatch,
    compute: &Compute,
    divisor: usize,
) -> Result<f64, TchError> {
    backward_in_parts(model, batch, compute, divisor, labels_at_once(model))
}

fn backward_in_parts(
    model: &Gpt2,
    batch: &PackedBatch,
    compute: &Compute,
    divisor: usize,
    at_once: i64,
) -> Result<f64, TchError> {
    let hidden = model.label_hidden(batch, compute)?;
    let leaf = hidden.f_detach()?.f_set_requires_grad(true)?;
    let mut total = 0.0;
    for part in parts(batch, at_once) {
        let mut loss = part_sum(model, batch, &leaf, part, compute)?;
        let loss = loss.f_div_scalar_(divisor as i64)?;
        loss.f_backward()?;
        total += loss.f_double_value(&[])?;
    }
    // From the last block's output the gradient goes on to everything below it.
    hidden
        .f_mul(&leaf.f_grad()?)?
        .f_sum(Kind::Float)?
        .f_backward()?;
    Ok(total)
}

/// Returns the summed loss of `batch`.
pub(crate) fn sum(model: &Gpt2, batch: &PackedBatch, compute: &Compute) -> Result<f64, TchError> {
    no_grad(|| {
        let hidden = model.label_hidden(batch, compute)?;
        let mut total = 0.0;
        for part in parts(batch, labels_at_once(model)) {
            total += part_sum(model, batch, &hidden, part, compute)?.f_double_value(&[])?;
        }
        Ok(total)
    })
}

fn labels_at_once(model: &Gpt2) -> i64 {
    let logits = match model.wte.device() {
        Device::Cpu => CPU_LOGITS,
        _ => GPU_LOGITS,
    };
    (logits / model.config().vocab_size as i64).max(1)
}

/// The first label of each part and how many there are in it.
fn parts(batch: &PackedBatch, at_once: i64) -> impl Iterator<Item = (i64, i64)> + use<> {
    let labels = batch.labels() as i64;
    (0..labels)
        .step_by(at_once as usize)
        .map(move |start| (start, at_once.min(labels - start)))
}

/// Sums the cross entropy of the labels from `start` on, in f32.
fn part_sum(
    model: &Gpt2,
    batch: &PackedBatch,
    hidden: &Tensor,
    (start, count): (i64, i64),
    compute: &Compute,
) -> Result<Tensor, TchError> {
    let targets = batch.targets.f_narrow(0, start, count)?;
    model
        .logits(&hidden.f_narrow(0, start, count)?, compute)?
        .f_to_kind(Kind::Float)?
        .f_cross_entropy_loss::<Tensor>(&targets, None, tch::Reduction::Sum, -100, 0.0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use llmopt_artifact::ModelFolder;

    use super::*;
    use crate::weights::{LoadOptions, load_gpt2};

    fn open() -> Gpt2 {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-gpt2");
        let folder: &'static ModelFolder =
            Box::leak(Box::new(ModelFolder::open(&fixture).unwrap()));
        let options = LoadOptions {
            trainable: true,
            kind: Kind::Float,
            device: Device::Cpu,
        };
        load_gpt2(folder, options).unwrap()
    }

    fn compute() -> Compute {
        Compute {
            training: true,
            ..Compute::inference(Kind::Float)
        }
    }

    /// Computes the loss of all rows' tokens but the first, in parts, with the gradients it leaves.
    fn run(batch: &PackedBatch, at_once: i64) -> (f64, Vec<(String, Tensor)>) {
        let model = open();
        let loss = backward_in_parts(&model, batch, &compute(), 29, at_once).unwrap();
        (loss, model.named_weights())
    }

    fn check_same(found: (f64, Vec<(String, Tensor)>), expected: &(f64, Vec<(String, Tensor)>)) {
        assert!((found.0 - expected.0).abs() <= 1e-6 * expected.0);
        for ((name, found), (_, expected)) in found.1.iter().zip(&expected.1) {
            let scale = expected.grad().abs().max().double_value(&[]);
            let apart = (found.grad() - expected.grad())
                .abs()
                .max()
                .double_value(&[]);
            // Sums of f32 in another order: 2^-24 for each of a few dozen roundings.
            assert!(apart <= 1e-5 * scale, "{name}: {apart:e}");
        }
    }

    #[test]
    fn labels_in_parts_give_the_loss_and_the_gradients_of_all_at_once() {
        let ids: Vec<u32> = (0..30).map(|token| token * 7 % 300).collect();
        let batch = PackedBatch::pack([(&ids[..], &[true; 30][..])], Device::Cpu).unwrap();
        let whole = run(&batch, 29);
        // 29 labels: parts that end even and uneven, and one label at a time.
        for at_once in [1, 4, 28] {
            check_same(run(&batch, at_once), &whole);
        }
        let summed = sum(&open(), &batch, &compute()).unwrap();
        assert!((summed / 29.0 - whole.0).abs() <= 1e-6 * whole.0);
    }

    #[test]
    fn rows_padded_to_one_length_give_the_loss_and_the_gradients_of_rows_alone() {
        let ids: Vec<u32> = (0..30).map(|token| token * 11 % 300).collect();
        let rows = [9, 30, 2, 17].map(|length| (&ids[..length], &[true; 30][..length]));
        let pack = |slack| PackedBatch::pack_within(rows, slack, Device::Cpu).unwrap();
        let alone = run(&pack(0), 100);
        for (slack, groups) in [(10, 3), (28, 1)] {
            let batch = pack(slack);
            assert_eq!(batch.groups.len(), groups);
            check_same(run(&batch, 100), &alone);
        }
    }
}
