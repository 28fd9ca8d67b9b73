//! One optimizer step on a batch of rows.

use tch::{Device, TchError};

use crate::{
    model::{Compute, Gpt2, PackedBatch},
    optimizer::AdamW,
};
use llmopt_tokenization::EncodedExample;

/// Leaves in the parameters the gradient of the mean loss over all labels of `rows`, and returns
/// that loss in nats.
///
/// The rows are worked off in micro-batches of `micro_batch_size`. Each one's summed loss is divided
/// by the labels of the **whole** batch, so that the split changes nothing but rounding.
///
/// # Errors
/// If libtorch refuses: an id out of range, no memory.
pub fn accumulate_gradients(
    model: &Gpt2,
    rows: &[&EncodedExample],
    micro_batch_size: usize,
    compute: &Compute,
    device: Device,
) -> Result<f64, TchError> {
    let labels: usize = rows.iter().map(|row| row.trainable_tokens()).sum();
    let mut loss = 0.0;
    for chunk in rows.chunks(micro_batch_size) {
        let batch = PackedBatch::pack(
            chunk.iter().map(|row| (&row.ids[..], &row.loss_mask[..])),
            device,
        )?;
        if batch.labels() == 0 {
            continue;
        }
        loss += crate::loss::backward(model, &batch, compute, labels)?;
    }
    Ok(loss)
}

/// Returns the factor that scales a gradient of norm `norm` down to `limit`; 0 means no limit.
pub fn clip_scale(norm: f64, limit: f64) -> f64 {
    // The 1e-6 is torch.nn.utils.clip_grad_norm_'s.
    if limit > 0.0 {
        (limit / (norm + 1e-6)).min(1.0)
    } else {
        1.0
    }
}

/// Takes one optimizer step on `rows`; returns the loss and the gradient's norm before clipping.
///
/// # Errors
/// As [`accumulate_gradients`].
pub fn train_step(
    model: &Gpt2,
    optimizer: &mut AdamW,
    rows: &[&EncodedExample],
    settings: &StepSettings,
) -> Result<StepOutcome, TchError> {
    optimizer.zero_gradients();
    let loss = accumulate_gradients(
        model,
        rows,
        settings.micro_batch_size,
        &settings.compute,
        settings.device,
    )?;
    let gradient_norm = optimizer.gradient_norm()?;
    if loss.is_finite() && gradient_norm.is_finite() {
        optimizer.step(
            settings.learning_rate,
            clip_scale(gradient_norm, settings.max_gradient_norm),
        )?;
    }
    Ok(StepOutcome {
        loss,
        gradient_norm,
    })
}

/// What one step depends on beside the rows.
#[derive(Clone, Copy, Debug)]
pub struct StepSettings {
    /// Rows computed at once.
    pub micro_batch_size: usize,
    /// How the model is computed.
    pub compute: Compute,
    /// Where.
    pub device: Device,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// The norm above which gradients are scaled down; 0 turns that off.
    pub max_gradient_norm: f64,
}

/// What one step gave. Where either is not finite, no parameter was changed.
#[derive(Clone, Copy, Debug)]
pub struct StepOutcome {
    /// Mean loss over the labels, in nats.
    pub loss: f64,
    /// The gradient's norm before clipping.
    pub gradient_norm: f64,
}
