//! Moves weights between files and tensors.

use std::collections::BTreeMap;

use llmopt_artifact::{
    AdapterFolder, LoraFactor, ModelFolder, OwnedTensor, TensorView, adapter_tensor_name,
};
use llmopt_domain::LoraConfig;
use llmopt_torch_runtime::tensor_over;
use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use safetensors::Dtype;
use tch::{Device, Kind, TchError, Tensor};

use crate::model::Norm;
use crate::{
    TrainerError,
    model::{Gpt2, Layers, Linear, Lora},
};

/// How a base model is loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Whether every weight is to be trained: f32 copies that collect gradients. Otherwise the
    /// weights are frozen and, where type and device allow, lie directly over the mapped file.
    pub trainable: bool,
    /// The type that frozen matrices are kept in.
    pub kind: Kind,
    /// Where the tensors go.
    pub device: Device,
}

/// Loads a GPT-2 model.
///
/// The folder's mapping is kept for the life of the process, which loads one model.
///
/// # Errors
/// If a tensor is missing, has the wrong shape or an unknown type, or memory runs out.
pub fn load_gpt2(folder: &'static ModelFolder, options: LoadOptions) -> Result<Gpt2, TrainerError> {
    let loader = Loader { folder, options };
    let config = folder.config().clone();
    if !config.tie_word_embeddings {
        return Err(TrainerError::Untied {
            path: folder.path().to_owned(),
        });
    }
    let blocks = (0..config.n_layer)
        .map(|index| {
            let name = |part: &str| format!("h.{index}.{part}");
            Ok(Layers {
                ln_1: loader.norm(&name("ln_1"))?,
                c_attn: loader.linear(&name("attn.c_attn"))?,
                attn_c_proj: loader.linear(&name("attn.c_proj"))?,
                ln_2: loader.norm(&name("ln_2"))?,
                c_fc: loader.linear(&name("mlp.c_fc"))?,
                mlp_c_proj: loader.linear(&name("mlp.c_proj"))?,
            })
        })
        .collect::<Result<_, TrainerError>>()?;
    Ok(Gpt2 {
        wte: loader.tensor("wte.weight", options.kind)?,
        wpe: loader.tensor("wpe.weight", Kind::Float)?,
        blocks,
        ln_f: loader.norm("ln_f")?,
        config,
    })
}

struct Loader {
    folder: &'static ModelFolder,
    options: LoadOptions,
}

impl Loader {
    fn linear(&self, name: &str) -> Result<Linear, TrainerError> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"), self.options.kind)?,
            bias: self.tensor(&format!("{name}.bias"), Kind::Float)?,
            lora: None,
        })
    }

    fn norm(&self, name: &str) -> Result<Norm, TrainerError> {
        Ok(Norm {
            weight: self.tensor(&format!("{name}.weight"), Kind::Float)?,
            bias: self.tensor(&format!("{name}.bias"), Kind::Float)?,
        })
    }

    fn tensor(&self, name: &str, frozen_kind: Kind) -> Result<Tensor, TrainerError> {
        let stored = stored_tensor(&self.folder.tensor(name)?)?;
        let LoadOptions {
            trainable, device, ..
        } = self.options;
        if !trainable {
            return Ok(stored.f_to_device(device)?.f_to_kind(frozen_kind)?);
        }
        let own = stored
            .f_to_device(device)?
            .f_to_kind(Kind::Float)?
            .f_detach_copy()?;
        Ok(own.f_set_requires_grad(true)?)
    }
}

/// Returns a tensor over the view's bytes, or a copy of them where they are not aligned.
fn stored_tensor(view: &TensorView<'static>) -> Result<Tensor, TrainerError> {
    let kind = kind_of(view.dtype)?;
    let shape: Vec<i64> = view.shape.iter().map(|&size| size as i64).collect();
    if (view.bytes.as_ptr() as usize).is_multiple_of(kind.elt_size_in_bytes()) {
        return Ok(tensor_over(view.bytes, &shape, kind)?);
    }
    Ok(Tensor::f_from_data_size(view.bytes, &shape, kind)?)
}

pub(crate) fn kind_of(dtype: Dtype) -> Result<Kind, TrainerError> {
    match dtype {
        Dtype::F32 => Ok(Kind::Float),
        Dtype::F16 => Ok(Kind::Half),
        Dtype::BF16 => Ok(Kind::BFloat16),
        other => Err(TrainerError::Dtype(format!("{other:?}"))),
    }
}

pub(crate) fn dtype_of(kind: Kind) -> Result<Dtype, TrainerError> {
    match kind {
        Kind::Float => Ok(Dtype::F32),
        Kind::Half => Ok(Dtype::F16),
        Kind::BFloat16 => Ok(Dtype::BF16),
        other => Err(TrainerError::Dtype(format!("{other:?}"))),
    }
}

/// Copies a tensor to the host as an entry of a safetensors file.
///
/// # Errors
/// If the type is not one that we write, or libtorch fails to copy.
pub fn owned_tensor(name: String, tensor: &Tensor) -> Result<OwnedTensor, TrainerError> {
    let kind = tensor.f_kind()?;
    let dtype = dtype_of(kind)?;
    let host = tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_contiguous()?;
    let mut bytes = vec![0_u8; host.numel() * kind.elt_size_in_bytes()];
    host.f_copy_data_u8(&mut bytes, host.numel())?;
    let shape = host.size().iter().map(|&size| size as usize).collect();
    Ok(OwnedTensor {
        name,
        dtype,
        shape,
        bytes,
    })
}

impl Gpt2 {
    /// Returns every adaptable layer with its path, such as `h.0.attn.c_attn`.
    pub fn linears(&self) -> Vec<(String, &Linear)> {
        let layers = self.blocks.iter().enumerate();
        layers
            .flat_map(|(index, block)| {
                [
                    (format!("h.{index}.attn.c_attn"), &block.c_attn),
                    (format!("h.{index}.attn.c_proj"), &block.attn_c_proj),
                    (format!("h.{index}.mlp.c_fc"), &block.c_fc),
                    (format!("h.{index}.mlp.c_proj"), &block.mlp_c_proj),
                ]
            })
            .collect()
    }

    fn linears_mut(&mut self) -> Vec<(String, &mut Linear)> {
        let layers = self.blocks.iter_mut().enumerate();
        layers
            .flat_map(|(index, block)| {
                [
                    (format!("h.{index}.attn.c_attn"), &mut block.c_attn),
                    (format!("h.{index}.attn.c_proj"), &mut block.attn_c_proj),
                    (format!("h.{index}.mlp.c_fc"), &mut block.c_fc),
                    (format!("h.{index}.mlp.c_proj"), &mut block.mlp_c_proj),
                ]
            })
            .collect()
    }

    /// Puts fresh adapters on the layers that `config` names: A uniform in `±1/sqrt(in)` (PEFT's
    /// Kaiming initialisation), B zero. The same stream gives the same values on every machine.
    ///
    /// # Errors
    /// If a target names no layer of this model.
    pub fn attach_fresh_adapters(
        &mut self,
        config: &LoraConfig,
        random: &mut ChaCha8Rng,
        device: Device,
    ) -> Result<(), TrainerError> {
        self.require_targets(&config.target_modules)?;
        let rank = i64::from(config.rank);
        for (_, linear) in self
            .linears_mut()
            .into_iter()
            .filter(|(path, _)| targets(&config.target_modules, path))
        {
            let (inputs, outputs) = linear.weight.size2()?;
            let bound = 1.0 / (inputs as f32).sqrt();
            let uniform = |random: &mut ChaCha8Rng| {
                let unit = (random.next_u32() >> 8) as f32 / (1_u32 << 24) as f32;
                (2.0 * unit - 1.0) * bound
            };
            let values: Vec<f32> = (0..rank * inputs).map(|_| uniform(random)).collect();
            let a = Tensor::f_from_slice(&values)?
                .f_reshape([rank, inputs])?
                .f_to_device(device)?;
            let b = Tensor::f_zeros([outputs, rank], (Kind::Float, device))?;
            linear.lora = Some(Lora {
                a: a.f_set_requires_grad(true)?,
                b: b.f_set_requires_grad(true)?,
                scale: config.alpha / f64::from(config.rank),
            });
        }
        Ok(())
    }

    /// Puts a published adapter on the model, ready to be trained further.
    ///
    /// # Errors
    /// If the adapter lacks a tensor or has one that fits no layer.
    pub fn attach_adapter(
        &mut self,
        folder: &AdapterFolder,
        device: Device,
    ) -> Result<(), TrainerError> {
        let config = folder.config();
        self.require_targets(&config.target_modules)?;
        for (path, linear) in self
            .linears_mut()
            .into_iter()
            .filter(|(path, _)| targets(&config.target_modules, path))
        {
            let (inputs, outputs) = linear.weight.size2()?;
            let rank = config.r as usize;
            let load = |factor: LoraFactor, shape: [usize; 2]| -> Result<Tensor, TrainerError> {
                let view = folder.factor(&path, factor)?;
                if view.shape != shape {
                    let name = adapter_tensor_name(&path, factor);
                    return Err(TrainerError::AdapterShape {
                        name,
                        expected: shape.to_vec(),
                        found: view.shape.to_vec(),
                    });
                }
                let dims = [shape[0] as i64, shape[1] as i64];
                let own = Tensor::f_from_data_size(view.bytes, &dims, kind_of(view.dtype)?)?;
                Ok(own
                    .f_to_kind(Kind::Float)?
                    .f_to_device(device)?
                    .f_set_requires_grad(true)?)
            };
            linear.lora = Some(Lora {
                a: load(LoraFactor::A, [rank, inputs as usize])?,
                b: load(LoraFactor::B, [outputs as usize, rank])?,
                scale: config.scale(),
            });
        }
        Ok(())
    }

    fn require_targets(&self, wanted: &[String]) -> Result<(), TrainerError> {
        let paths: Vec<String> = self.linears().into_iter().map(|(path, _)| path).collect();
        let matches = |target: &String| {
            paths
                .iter()
                .any(|path| targets(std::slice::from_ref(target), path))
        };
        match wanted.iter().find(|target| !matches(target)) {
            None => Ok(()),
            Some(target) => Err(TrainerError::TargetModule(target.clone())),
        }
    }

    /// Returns the adapters' tensors under PEFT's names, in a fixed order.
    pub fn adapter_parameters(&self) -> Vec<(String, Tensor)> {
        self.linears()
            .into_iter()
            .filter_map(|(path, linear)| linear.lora.as_ref().map(|lora| (path, lora)))
            .flat_map(|(path, lora)| {
                [
                    (
                        adapter_tensor_name(&path, LoraFactor::A),
                        lora.a.shallow_clone(),
                    ),
                    (
                        adapter_tensor_name(&path, LoraFactor::B),
                        lora.b.shallow_clone(),
                    ),
                ]
            })
            .collect()
    }

    /// Returns every weight under transformers' name, in a fixed order, without adapters.
    pub fn named_weights(&self) -> Vec<(String, Tensor)> {
        let mut weights = vec![
            (
                "transformer.wte.weight".to_owned(),
                self.wte.shallow_clone(),
            ),
            (
                "transformer.wpe.weight".to_owned(),
                self.wpe.shallow_clone(),
            ),
        ];
        let mut norm = |path: String, norm: &Norm| {
            weights.push((
                format!("transformer.{path}.weight"),
                norm.weight.shallow_clone(),
            ));
            weights.push((
                format!("transformer.{path}.bias"),
                norm.bias.shallow_clone(),
            ));
        };
        for (index, block) in self.blocks.iter().enumerate() {
            norm(format!("h.{index}.ln_1"), &block.ln_1);
            norm(format!("h.{index}.ln_2"), &block.ln_2);
        }
        norm("ln_f".to_owned(), &self.ln_f);
        for (path, linear) in self.linears() {
            weights.push((
                format!("transformer.{path}.weight"),
                linear.weight.shallow_clone(),
            ));
            weights.push((
                format!("transformer.{path}.bias"),
                linear.bias.shallow_clone(),
            ));
        }
        weights
    }

    /// Returns the weights of [`Self::named_weights`] with the adapters' updates added, one at a time:
    /// no more than one merged matrix need be in memory.
    pub fn merged_weights(&self) -> impl Iterator<Item = Result<(String, Tensor), TchError>> + '_ {
        let adapted = self
            .linears()
            .into_iter()
            .filter(|(_, linear)| linear.lora.is_some());
        let adapted: BTreeMap<String, &Linear> = adapted
            .map(|(path, linear)| (format!("transformer.{path}.weight"), linear))
            .collect();
        self.named_weights().into_iter().map(move |(name, weight)| {
            let merged = adapted
                .get(&name)
                .map_or_else(|| weight.f_detach(), |linear| linear.merged_weight())?;
            Ok((name, merged))
        })
    }
}

/// Whether one of `wanted` names the layer at `path`, as PEFT matches them: the whole path or its end.
fn targets(wanted: &[String], path: &str) -> bool {
    wanted
        .iter()
        .any(|target| path == target || path.ends_with(&format!(".{target}")))
}
