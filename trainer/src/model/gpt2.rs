use llmopt_artifact::Gpt2Config;
use tch::{Kind, TchError, Tensor};

use super::{Cache, Linear, PackedBatch, packed_attention};

/// How a pass through the model is computed.
#[derive(Clone, Copy, Debug)]
pub struct Compute {
    /// The type of matrix products; residuals, norms and adapters are f32.
    pub kind: Kind,
    /// Whether dropout applies.
    pub training: bool,
    /// Dropout on embeddings, attention weights and block outputs.
    pub dropout: f64,
    /// Dropout on the adapters' inputs.
    pub lora_dropout: f64,
}

impl Compute {
    /// A pass without dropout.
    pub fn inference(kind: Kind) -> Self {
        Self {
            kind,
            training: false,
            dropout: 0.0,
            lora_dropout: 0.0,
        }
    }

    /// Returns `probability` in training and 0 otherwise.
    pub fn active(&self, probability: f64) -> f64 {
        if self.training { probability } else { 0.0 }
    }

    pub(super) fn drop(&self, x: &Tensor, probability: f64) -> Result<Tensor, TchError> {
        if self.active(probability) > 0.0 {
            x.f_dropout(probability, true)
        } else {
            Ok(x.shallow_clone())
        }
    }
}

/// Scale and shift of a layer norm, `[C]` each.
#[derive(Debug)]
pub struct Norm {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
}

impl Norm {
    fn forward(&self, x: &Tensor, epsilon: f64) -> Result<Tensor, TchError> {
        let (weight, bias) = (
            self.weight.f_to_kind(Kind::Float)?,
            self.bias.f_to_kind(Kind::Float)?,
        );
        x.f_layer_norm(
            self.weight.size(),
            Some(&weight),
            Some(&bias),
            epsilon,
            false,
        )
    }
}

/// One transformer block.
#[derive(Debug)]
pub struct Layers {
    pub(crate) ln_1: Norm,
    /// Queries, keys and values: `[C, 3C]`.
    pub c_attn: Linear,
    /// The attention's output: `[C, C]`.
    pub attn_c_proj: Linear,
    pub(crate) ln_2: Norm,
    /// The feed-forward's first layer: `[C, I]`.
    pub c_fc: Linear,
    /// The feed-forward's second layer: `[I, C]`.
    pub mlp_c_proj: Linear,
}

/// A GPT-2 model with tied embeddings.
#[derive(Debug)]
pub struct Gpt2 {
    pub(crate) config: Gpt2Config,
    /// Token embeddings, `[V, C]`; also the output layer.
    pub wte: Tensor,
    /// Position embeddings, `[P, C]`.
    pub wpe: Tensor,
    /// The blocks, first to last.
    pub blocks: Vec<Layers>,
    pub(crate) ln_f: Norm,
}

impl Gpt2 {
    /// Returns the model's configuration.
    pub fn config(&self) -> &Gpt2Config {
        &self.config
    }

    /// Computes the logits that predict the labels of `batch`: `[N, V]`, of the compute type.
    ///
    /// # Errors
    /// If an id or position is out of range or libtorch runs out of memory.
    pub fn label_logits(&self, batch: &PackedBatch, compute: &Compute) -> Result<Tensor, TchError> {
        self.logits(&self.label_hidden(batch, compute)?, compute)
    }

    /// Computes the last block's output that predicts the labels of `batch`: `[N, C]`, f32.
    pub(crate) fn label_hidden(
        &self,
        batch: &PackedBatch,
        compute: &Compute,
    ) -> Result<Tensor, TchError> {
        let heads = self.heads();
        let mut attend = |_: usize, qkv: &Tensor| packed_attention(qkv, batch, heads, compute);
        let tokens = Tokens {
            ids: &batch.ids,
            positions: &batch.positions,
            read: &batch.label_rows,
        };
        self.hidden(&tokens, compute, &mut attend)
    }

    /// Computes the logits after the last of `T` new tokens of each of `B` rows: `[B, V]`.
    ///
    /// `ids` and `positions`: `[B, T]`; `allowed` as for [`Cache::attend`].
    ///
    /// # Errors
    /// As [`Self::label_logits`].
    pub fn next_logits(
        &self,
        ids: &Tensor,
        positions: &Tensor,
        allowed: &Tensor,
        cache: &mut Cache,
    ) -> Result<Tensor, TchError> {
        let (rows, new) = ids.size2()?;
        let compute = Compute::inference(Kind::Float);
        let last =
            Tensor::f_arange_start_step(new - 1, rows * new, new, (Kind::Int64, ids.device()))?;
        let heads = self.heads();
        let mut attend = |layer: usize, qkv: &Tensor| cache.attend(layer, qkv, allowed, heads);
        let tokens = Tokens {
            ids: &ids.f_reshape([-1])?,
            positions: &positions.f_reshape([-1])?,
            read: &last,
        };
        let x = self.hidden(&tokens, &compute, &mut attend)?;
        self.logits(&x, &compute)
    }

    /// Computes the last block's output for the rows that are read: `[N, C]`, f32.
    ///
    /// The last block's feed-forward runs on those only.
    fn hidden(
        &self,
        tokens: &Tokens<'_>,
        compute: &Compute,
        attend: &mut dyn FnMut(usize, &Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        let embedded = |table: &Tensor, index: &Tensor| {
            Tensor::f_embedding(table, index, -1, false, false)?.f_to_kind(Kind::Float)
        };
        let mut x =
            embedded(&self.wte, tokens.ids)?.f_add(&embedded(&self.wpe, tokens.positions)?)?;
        x = compute.drop(&x, compute.dropout)?;
        for (index, block) in self.blocks.iter().enumerate() {
            let qkv = block
                .c_attn
                .forward(&self.norm(&block.ln_1, &x)?, compute)?;
            let mut mixed = attend(index, &qkv)?;
            if index + 1 == self.blocks.len() {
                mixed = mixed.f_index_select(0, tokens.read)?;
                x = x.f_index_select(0, tokens.read)?;
            }
            let attended = block.attn_c_proj.forward(&mixed, compute)?;
            x = x.f_add(&compute.drop(&attended, compute.dropout)?)?;
            let inner = block
                .c_fc
                .forward(&self.norm(&block.ln_2, &x)?, compute)?
                .f_gelu("tanh")?;
            let fed = block.mlp_c_proj.forward(&inner, compute)?;
            x = x.f_add(&compute.drop(&fed, compute.dropout)?)?;
        }
        Ok(x)
    }

    /// Computes the logits of the last block's outputs `x`, `[N, C]`: `[N, V]`, of the compute type.
    pub(crate) fn logits(&self, x: &Tensor, compute: &Compute) -> Result<Tensor, TchError> {
        let x = self.norm(&self.ln_f, x)?.f_to_kind(compute.kind)?;
        x.f_matmul(&self.wte.f_to_kind(compute.kind)?.f_transpose(0, 1)?)
    }

    fn norm(&self, norm: &Norm, x: &Tensor) -> Result<Tensor, TchError> {
        norm.forward(x, self.config.layer_norm_epsilon)
    }

    fn heads(&self) -> i64 {
        self.config.n_head as i64
    }
}

/// `T` tokens of any number of sequences, one after another.
struct Tokens<'a> {
    /// `[T]`.
    ids: &'a Tensor,
    /// `[T]`: each token's position in its sequence.
    positions: &'a Tensor,
    /// `[N]`: the rows whose outputs are read.
    read: &'a Tensor,
}
