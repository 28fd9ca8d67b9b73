use tch::{Kind, TchError, Tensor};

use super::{Compute, PackedBatch};

/// Causal attention within each row of a packed batch. `qkv`: `[T, 3C]`; returns `[T, C]` in f32.
///
/// # Errors
/// If the shapes do not agree with `batch`.
pub fn packed_attention(
    qkv: &Tensor,
    batch: &PackedBatch,
    heads: i64,
    compute: &Compute,
) -> Result<Tensor, TchError> {
    let channels = qkv.size2()?.1 / 3;
    let sizes: Vec<i64> = batch
        .groups
        .iter()
        .map(|(count, length)| count * length)
        .collect();
    let parts = qkv.f_to_kind(compute.kind)?.f_split_with_sizes(&sizes, 0)?;
    let mut mixed = Vec::with_capacity(parts.len());
    for (part, &(count, length)) in parts.iter().zip(&batch.groups) {
        let [q, k, v] = split_heads(part, [count, length, heads, channels / heads])?;
        let out = Tensor::f_scaled_dot_product_attention::<Tensor>(
            &q,
            &k,
            &v,
            None,
            compute.active(compute.dropout),
            true,
            None,
            false,
        )?;
        mixed.push(join_heads(&out)?);
    }
    Tensor::f_cat(&mixed, 0)?.f_to_kind(Kind::Float)
}

/// Keys and values of the tokens seen so far, per layer, for rows of one batch padded on the left.
#[derive(Debug, Default)]
pub struct Cache {
    layers: Vec<Option<(Tensor, Tensor)>>,
}

impl Cache {
    /// Makes an empty cache for a model of `layers` layers.
    pub fn new(layers: usize) -> Self {
        Self {
            layers: (0..layers).map(|_| None).collect(),
        }
    }

    /// Attends from new tokens to all tokens so far.
    ///
    /// `qkv`: `[B T, 3C]` for `B` rows of `T` new tokens; `allowed`: `[B, 1, T, S]`, bool, over all
    /// `S` tokens so far, the new ones included. Returns `[B T, C]` in f32.
    ///
    /// # Errors
    /// If the shapes do not agree.
    pub fn attend(
        &mut self,
        layer: usize,
        qkv: &Tensor,
        allowed: &Tensor,
        heads: i64,
    ) -> Result<Tensor, TchError> {
        let (rows, channels) = qkv.size2()?;
        let count = allowed.size()[0];
        let channels = channels / 3;
        let [q, mut k, mut v] = split_heads(qkv, [count, rows / count, heads, channels / heads])?;
        if let Some((past_k, past_v)) = self.layers[layer].take() {
            k = Tensor::f_cat(&[past_k, k], 2)?;
            v = Tensor::f_cat(&[past_v, v], 2)?;
        }
        let out = Tensor::f_scaled_dot_product_attention(
            &q,
            &k,
            &v,
            Some(allowed),
            0.0,
            false,
            None,
            false,
        )?;
        self.layers[layer] = Some((k, v));
        join_heads(&out)
    }
}

/// `[B T, 3C]` to queries, keys and values of `[B, H, T, D]` each; `shape` is `[B, T, H, D]`.
fn split_heads(qkv: &Tensor, shape: [i64; 4]) -> Result<[Tensor; 3], TchError> {
    let [b, t, h, d] = shape;
    let split = qkv.f_reshape([b, t, 3, h, d])?.f_permute([2, 0, 3, 1, 4])?;
    Ok([
        split.f_select(0, 0)?,
        split.f_select(0, 1)?,
        split.f_select(0, 2)?,
    ])
}

/// `[B, H, T, D]` to `[B T, C]`.
fn join_heads(mixed: &Tensor) -> Result<Tensor, TchError> {
    let (b, h, t, d) = mixed.size4()?;
    mixed.f_transpose(1, 2)?.f_reshape([b * t, h * d])
}
