//! AdamW (Loshchilov and Hutter 2019, <https://arxiv.org/abs/1711.05101>), with state that can be saved.

use tch::{TchError, Tensor, no_grad};

/// AdamW's constants.
#[derive(Clone, Copy, Debug)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// Decoupled weight decay, applied to parameters of two or more dimensions.
    pub weight_decay: f64,
}

/// A parameter and its moments, all of one shape.
#[derive(Debug)]
pub struct Slot {
    /// The parameter's name in published files.
    pub name: String,
    /// The parameter; shares its storage with the model's.
    pub parameter: Tensor,
    /// Running mean of gradients.
    pub first_moment: Tensor,
    /// Running mean of squared gradients.
    pub second_moment: Tensor,
}

/// The optimizer: parameters with their moments, and the number of steps taken.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    /// Parameters in a fixed order.
    pub slots: Vec<Slot>,
    /// Steps taken so far.
    pub step: u64,
}

impl AdamW {
    /// Starts with zero moments.
    ///
    /// # Errors
    /// If the moments cannot be allocated.
    pub fn new(parameters: Vec<(String, Tensor)>, config: AdamWConfig) -> Result<Self, TchError> {
        let slots = parameters
            .into_iter()
            .map(|(name, parameter)| {
                let moment = || parameter.f_detach()?.f_zeros_like();
                let (first_moment, second_moment) = (moment()?, moment()?);
                Ok(Slot {
                    name,
                    parameter,
                    first_moment,
                    second_moment,
                })
            })
            .collect::<Result<_, TchError>>()?;
        Ok(Self {
            config,
            slots,
            step: 0,
        })
    }

    /// Forgets all gradients.
    pub fn zero_gradients(&mut self) {
        for slot in &mut self.slots {
            slot.parameter.zero_grad();
        }
    }

    /// Returns the norm of all gradients together.
    ///
    /// # Errors
    /// If a parameter has no gradient.
    pub fn gradient_norm(&self) -> Result<f64, TchError> {
        let norms = self
            .slots
            .iter()
            .map(|slot| slot.parameter.f_grad()?.f_norm())
            .collect::<Result<Vec<_>, _>>()?;
        Tensor::f_stack(&norms, 0)?.f_norm()?.f_double_value(&[])
    }

    /// Takes one step with gradients times `gradient_scale`, by which they are multiplied.
    ///
    /// # Errors
    /// If a parameter has no gradient.
    pub fn step(&mut self, learning_rate: f64, gradient_scale: f64) -> Result<(), TchError> {
        self.step += 1;
        let AdamWConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = self.config;
        let taken = i32::try_from(self.step).unwrap_or(i32::MAX);
        let correction1 = 1.0 - beta1.powi(taken);
        let correction2 = (1.0 - beta2.powi(taken)).sqrt();
        no_grad(|| {
            for slot in &mut self.slots {
                let mut gradient = slot.parameter.f_grad()?;
                if gradient_scale != 1.0 {
                    // In place, which needs no memory.
                    let _ = gradient.f_mul_scalar_(gradient_scale)?;
                }
                if weight_decay != 0.0 && slot.parameter.dim() >= 2 {
                    let _ = slot
                        .parameter
                        .f_mul_scalar_(1.0 - learning_rate * weight_decay)?;
                }
                let _ = slot.first_moment.f_lerp_(&gradient, 1.0 - beta1)?;
                let square = gradient.f_square()?.f_mul_scalar_(1.0 - beta2)?;
                let _ = slot.second_moment.f_mul_scalar_(beta2)?.f_add_(&square)?;
                let denominator = slot
                    .second_moment
                    .f_sqrt()?
                    .f_div_scalar_(correction2)?
                    .f_add_scalar_(epsilon)?;
                let mut update = slot.first_moment.f_div(&denominator)?;
                let _ = update.f_mul_scalar_(-learning_rate / correction1)?;
                let _ = slot.parameter.f_add_(&update)?;
            }
            Ok(())
        })
    }
}
