use tch::{Device, Kind, TchError, Tensor, no_grad};

use crate::model::{Cache, Gpt2};

/// How answers are decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoding {
    /// Tokens at most, the end token included.
    pub(crate) max_new_tokens: usize,
    /// The token that ends an answer.
    pub(crate) end_token: u32,
    pub(crate) device: Device,
}

/// Continues every prompt with the most likely token until the end token, `max_new_tokens`, or the
/// end of the model's context. The end token is part of the result where it was reached.
///
/// The prompts are computed as one batch, padded on the left.
pub(crate) fn greedy(
    model: &Gpt2,
    prompts: &[&[u32]],
    decoding: Decoding,
) -> Result<Vec<Vec<u32>>, TchError> {
    no_grad(|| {
        let mut batch = Batch::new(model, prompts, decoding.device)?;
        let mut answers = vec![Vec::new(); prompts.len()];
        let mut finished: Vec<bool> = prompts
            .iter()
            .map(|prompt| prompt.len() >= model.config().n_positions)
            .collect();
        let mut logits = batch.prefill()?;
        for taken in 0..decoding.max_new_tokens {
            let next = Vec::<i64>::try_from(logits.f_argmax(-1, false)?.f_to_device(Device::Cpu)?)?;
            for (index, &token) in next
                .iter()
                .enumerate()
                .filter(|(index, _)| !finished[*index])
                .collect::<Vec<_>>()
            {
                answers[index].push(token as u32);
                let full = prompts[index].len() + taken + 1 >= model.config().n_positions;
                finished[index] = token as u32 == decoding.end_token || full;
            }
            if taken + 1 == decoding.max_new_tokens || finished.iter().all(|done| *done) {
                break;
            }
            logits = batch.advance(&next)?;
        }
        Ok(answers)
    })
}

/// Rows that are decoded together.
struct Batch<'a> {
    model: &'a Gpt2,
    cache: Cache,
    /// `[B, T]` of the padded prompts.
    ids: Tensor,
    /// Each row's padding.
    padding: Vec<i64>,
    /// Tokens so far in each row, padding included.
    length: i64,
    device: Device,
}

impl<'a> Batch<'a> {
    fn new(model: &'a Gpt2, prompts: &[&[u32]], device: Device) -> Result<Self, TchError> {
        let longest = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
        let padding: Vec<i64> = prompts
            .iter()
            .map(|prompt| (longest - prompt.len()) as i64)
            .collect();
        let padded = prompts.iter().zip(&padding).flat_map(|(prompt, &pad)| {
            std::iter::repeat_n(0, pad as usize).chain(prompt.iter().map(|&id| i64::from(id)))
        });
        let ids: Vec<i64> = padded.collect();
        let shape = [prompts.len() as i64, longest as i64];
        let ids = Tensor::f_from_slice(&ids)?
            .f_reshape(shape)?
            .f_to_device(device)?;
        let cache = Cache::new(model.blocks.len());
        Ok(Self {
            model,
            cache,
            ids,
            padding,
            length: longest as i64,
            device,
        })
    }

    fn prefill(&mut self) -> Result<Tensor, TchError> {
        let (_, length) = self.ids.size2()?;
        let square = Tensor::f_ones([length, length], (Kind::Bool, self.device))?;
        let causal = square.f_tril(0)?;
        // A padded position sees at least itself: a softmax over nothing would be NaN.
        let itself = Tensor::f_eye(length, (Kind::Bool, self.device))?;
        let allowed = self
            .real(length)?
            .f_logical_and(&causal)?
            .f_logical_or(&itself)?;
        let steps = Tensor::f_arange(length, (Kind::Int64, self.device))?.f_unsqueeze(0)?;
        let positions = steps.f_sub(&self.paddings()?)?.f_clamp_min(0)?;
        self.model
            .next_logits(&self.ids, &positions, &allowed, &mut self.cache)
    }

    fn advance(&mut self, next: &[i64]) -> Result<Tensor, TchError> {
        let ids = Tensor::f_from_slice(next)?
            .f_unsqueeze(1)?
            .f_to_device(self.device)?;
        let last = self.model.config().n_positions as i64 - 1;
        let positions = self
            .paddings()?
            .f_neg()?
            .f_add_scalar(self.length)?
            .f_clamp_max(last)?;
        self.length += 1;
        let allowed = self.real(self.length)?;
        self.model
            .next_logits(&ids, &positions, &allowed, &mut self.cache)
    }

    /// Says of the first `length` positions which are not padding: `[B, 1, 1, length]`, bool.
    fn real(&self, length: i64) -> Result<Tensor, TchError> {
        let steps = Tensor::f_arange(length, (Kind::Int64, self.device))?.f_unsqueeze(0)?;
        steps
            .f_ge_tensor(&self.paddings()?)?
            .f_unsqueeze(1)?
            .f_unsqueeze(1)
    }

    /// The rows' padding, `[B, 1]`.
    fn paddings(&self) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(&self.padding)?
            .f_unsqueeze(1)?
            .f_to_device(self.device)
    }
}
