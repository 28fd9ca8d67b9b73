//! AdamW (Loshchilov and Hutter 2019, <https://arxiv.org/abs/1711.05101>), with state that can be saved.

use std::ops::Range;

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

/// The most numbers of parameters that are laid end to end, 16 MiB in f32: what a call costs beside its work is little for
/// so many.
const LAID_TOGETHER: usize = 1 << 22;

/// The optimizer: parameters with their moments, and the number of steps taken.
///
/// Small parameters are laid end to end, as their moments and gradients are, and updated at once: an adapter has a
/// hundred of them, and a GPU takes less time for each than it takes to tell it what to do.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    /// Parameters in a fixed order: those that decay, then those that do not.
    pub slots: Vec<Slot>,
    /// The slots, as they are updated.
    groups: Vec<Group>,
    /// Steps taken so far.
    pub step: u64,
}

/// Slots that lie end to end. Its tensors have one dimension, and those of the slots their storage.
#[derive(Debug)]
struct Group {
    slots: Range<usize>,
    decays: bool,
    parameter: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    /// `None` until there was a gradient.
    gradient: Option<Tensor>,
}

impl AdamW {
    /// Starts with zero moments. The numbers of the parameters move to where they are updated.
    ///
    /// # Errors
    /// If there is no memory for that.
    pub fn new(parameters: Vec<(String, Tensor)>, config: AdamWConfig) -> Result<Self, TchError> {
        let mut optimizer = Self {
            config,
            slots: Vec::with_capacity(parameters.len()),
            groups: Vec::new(),
            step: 0,
        };
        let (decaying, other) = parameters.into_iter().partition(|(_, it)| it.dim() >= 2);
        for (decays, parameters) in [(true, decaying), (false, other)] {
            for together in laid_together(parameters) {
                optimizer.add(decays, together)?;
            }
        }
        Ok(optimizer)
    }

    fn add(&mut self, decays: bool, members: Vec<(String, Tensor)>) -> Result<(), TchError> {
        let parameter = flat(members.iter().map(|(_, it)| it.detach()))?;
        let (first_moment, second_moment) = (parameter.f_zeros_like()?, parameter.f_zeros_like()?);
        let start = self.slots.len();
        let mut at = 0;
        for (name, mut tensor) in members {
            let size = tensor.size();
            tensor.f_set_data(&part(&parameter, at, &size)?)?;
            self.slots.push(Slot {
                name,
                first_moment: part(&first_moment, at, &size)?,
                second_moment: part(&second_moment, at, &size)?,
                parameter: tensor,
            });
            at += length(&size);
        }
        self.groups.push(Group {
            slots: start..self.slots.len(),
            decays,
            parameter,
            first_moment,
            second_moment,
            gradient: None,
        });
        Ok(())
    }

    /// Forgets all gradients.
    pub fn zero_gradients(&mut self) {
        for group in &mut self.groups {
            if let Some(gradient) = &mut group.gradient {
                let _ = gradient.zero_();
            }
        }
    }

    /// Returns the norm of all gradients together.
    ///
    /// # Errors
    /// If a parameter has no gradient.
    pub fn gradient_norm(&mut self) -> Result<f64, TchError> {
        let mut norms = Vec::new();
        for group in &mut self.groups {
            norms.push(group.gradient(&self.slots)?.f_norm()?);
        }
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
            for group in &mut self.groups {
                let mut gradient = group.gradient(&self.slots)?;
                if gradient_scale != 1.0 {
                    // In place, which needs no memory.
                    let _ = gradient.f_mul_scalar_(gradient_scale)?;
                }
                if weight_decay != 0.0 && group.decays {
                    let _ = group
                        .parameter
                        .f_mul_scalar_(1.0 - learning_rate * weight_decay)?;
                }
                let _ = group.first_moment.f_lerp_(&gradient, 1.0 - beta1)?;
                let square = gradient.f_square()?.f_mul_scalar_(1.0 - beta2)?;
                let _ = group.second_moment.f_mul_scalar_(beta2)?.f_add_(&square)?;
                let denominator = group
                    .second_moment
                    .f_sqrt()?
                    .f_div_scalar_(correction2)?
                    .f_add_scalar_(epsilon)?;
                let mut update = group.first_moment.f_div(&denominator)?;
                let _ = update.f_mul_scalar_(-learning_rate / correction1)?;
                let _ = group.parameter.f_add_(&update)?;
            }
            Ok(())
        })
    }
}

impl Group {
    /// Returns the gradients of `all` slots that are this group's. libtorch adds to a gradient where it lies, which is here
    /// after the first time.
    fn gradient(&mut self, all: &[Slot]) -> Result<Tensor, TchError> {
        if let Some(gradient) = &self.gradient {
            return Ok(gradient.shallow_clone());
        }
        let slots = &all[self.slots.clone()];
        let mut gradients = slots
            .iter()
            .map(|slot| slot.parameter.f_grad())
            .collect::<Result<Vec<_>, _>>()?;
        let together = flat(gradients.iter().map(Tensor::shallow_clone))?;
        let mut at = 0;
        for gradient in &mut gradients {
            let size = gradient.size();
            gradient.f_set_data(&part(&together, at, &size)?)?;
            at += length(&size);
        }
        self.gradient = Some(together.shallow_clone());
        Ok(together)
    }
}

/// Divides parameters into what is laid end to end, in their order.
fn laid_together(parameters: Vec<(String, Tensor)>) -> Vec<Vec<(String, Tensor)>> {
    let mut groups: Vec<Vec<_>> = Vec::new();
    let mut laid = 0;
    for (name, tensor) in parameters {
        laid += tensor.numel();
        match groups.last_mut() {
            Some(group) if laid <= LAID_TOGETHER => group.push((name, tensor)),
            _ => {
                laid = tensor.numel();
                groups.push(vec![(name, tensor)]);
            }
        }
    }
    groups
}

/// Returns the numbers of tensors in one dimension, end to end; those of a single one where they are.
fn flat(tensors: impl Iterator<Item = Tensor>) -> Result<Tensor, TchError> {
    let mut flat = tensors
        .map(|tensor| tensor.f_reshape([-1]))
        .collect::<Result<Vec<_>, _>>()?;
    match flat.len() {
        1 => Ok(flat.remove(0)),
        _ => Tensor::f_cat(&flat, 0),
    }
}

/// Returns the tensor of this size that begins at `at` of a flat one, whose storage it has.
fn part(flat: &Tensor, at: i64, size: &[i64]) -> Result<Tensor, TchError> {
    flat.f_narrow(0, at, length(size))?.f_view(size)
}

fn length(size: &[i64]) -> i64 {
    size.iter().product()
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    const CONFIG: AdamWConfig = AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.1,
    };

    fn ones(size: &[i64]) -> Tensor {
        Tensor::ones(size, (Kind::Float, Device::Cpu)).set_requires_grad(true)
    }

    #[test]
    fn parameters_of_every_size_take_the_same_step_where_the_model_has_them() {
        let most = i64::try_from(LAID_TOGETHER).unwrap();
        let model = [
            ones(&[2, most]),
            ones(&[3]),
            ones(&[2, 5]),
            ones(&[7]),
            ones(&[4, 4]),
        ];
        let parameters = model.iter().enumerate();
        let parameters = parameters.map(|(at, it)| (format!("p{at}"), it.shallow_clone()));
        let mut optimizer = AdamW::new(parameters.collect(), CONFIG).unwrap();
        let groups: Vec<_> = optimizer.groups.iter().map(|it| it.slots.clone()).collect();
        assert_eq!(groups, [0..1, 1..3, 3..5]);
        let names: Vec<_> = optimizer.slots.iter().map(|it| &it.name[..]).collect();
        assert_eq!(names, ["p0", "p2", "p4", "p1", "p3"]);
        for _ in 0..3 {
            optimizer.zero_gradients();
            for (times, parameter) in (1..).zip(&model) {
                // Twice, as two micro-batches do.
                (parameter * f64::from(times)).sum(Kind::Float).backward();
                (parameter * f64::from(times)).sum(Kind::Float).backward();
            }
            let squares = (1..).zip(&model).map(|(times, it)| {
                let gradient = 2.0 * f64::from(times);
                gradient * gradient * it.numel() as f64
            });
            let norm = squares.sum::<f64>().sqrt();
            assert!((optimizer.gradient_norm().unwrap() / norm - 1.0).abs() < 1e-6);
            optimizer.step(0.01, 0.5).unwrap();
        }
        // A gradient that stays the same moves each number by the learning rate.
        let with_decay = (0..3).fold(1.0, |number, _| number * (1.0 - 0.01 * 0.1) - 0.01);
        for parameter in &model {
            let expected = if parameter.dim() >= 2 {
                with_decay
            } else {
                0.97
            };
            let apart = (parameter - expected).abs().max().double_value(&[]);
            assert!(apart < 1e-6, "{:?}: {apart}", parameter.size());
        }
    }

    #[test]
    fn a_parameter_without_a_gradient_is_an_error() {
        let parameters = vec![
            ("one".to_owned(), ones(&[3])),
            ("two".to_owned(), ones(&[3])),
        ];
        parameters[0].1.sum(Kind::Float).backward();
        let mut optimizer = AdamW::new(parameters, CONFIG).unwrap();
        assert!(optimizer.gradient_norm().is_err());
    }
}
