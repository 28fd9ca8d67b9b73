use tch::{Kind, TchError, Tensor};

use super::Compute;

/// A low-rank update of a [`Linear`] layer: `scale * x Aᵀ Bᵀ`
/// (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>).
#[derive(Debug)]
pub struct Lora {
    /// Projects down: `[rank, in]`, f32.
    pub a: Tensor,
    /// Projects up: `[out, rank]`, f32; zero in a fresh adapter.
    pub b: Tensor,
    /// `alpha / rank`.
    pub scale: f64,
}

/// An affine layer with GPT-2's weight layout.
#[derive(Debug)]
pub struct Linear {
    /// `[in, out]`: the transpose of most other models' layout.
    pub weight: Tensor,
    /// `[out]`.
    pub bias: Tensor,
    /// The adapter, if the layer has one.
    pub lora: Option<Lora>,
}

impl Linear {
    /// Computes `x W + b` and the adapter's update, in f32 out. `x`: `[T, in]`, f32; returns `[T, out]`.
    ///
    /// # Errors
    /// If libtorch refuses the shapes.
    pub fn forward(&self, x: &Tensor, compute: &Compute) -> Result<Tensor, TchError> {
        let kind = compute.kind;
        let product = self
            .bias
            .f_to_kind(kind)?
            .f_addmm(&x.f_to_kind(kind)?, &self.weight.f_to_kind(kind)?)?;
        let Some(lora) = &self.lora else {
            return product.f_to_kind(Kind::Float);
        };
        let input = compute.drop(x, compute.lora_dropout)?;
        let mut update = input
            .f_matmul(&lora.a.f_transpose(0, 1)?)?
            .f_matmul(&lora.b.f_transpose(0, 1)?)?;
        product
            .f_to_kind(Kind::Float)?
            .f_add(&scale(&mut update, lora.scale)?)
    }

    /// Returns the weight with the adapter's update added, `[in, out]` in f32.
    ///
    /// # Errors
    /// If libtorch refuses the shapes.
    pub fn merged_weight(&self) -> Result<Tensor, TchError> {
        let weight = self.weight.f_detach()?.f_to_kind(Kind::Float)?;
        let Some(lora) = &self.lora else {
            return Ok(weight);
        };
        let mut update = lora.b.f_detach()?.f_matmul(&lora.a.f_detach()?)?;
        weight.f_add(&scale(&mut update, lora.scale)?.f_transpose(0, 1)?)
    }
}

/// Multiplies in place: an operation on a number for which memory is lacking does not return an error, it panics.
fn scale(update: &mut Tensor, by: f64) -> Result<Tensor, TchError> {
    update.f_mul_scalar_(by)
}
