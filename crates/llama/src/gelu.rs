use std::{
    ffi::c_void,
    ptr::{self, NonNull},
    slice,
};

use llama_cpp_sys_2 as sys;

/// How GELU's tanh approximation is computed (Hendrycks and Gimpel 2016,
/// <https://arxiv.org/abs/1606.08415>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gelu {
    /// As llama.cpp does: from a table of 16-bit floats, for inputs rounded to 16 bits.
    Table,
    /// In 32 bits, as libtorch does. What reads its input and writes its output comes between the
    /// operations of a computation and is one thread's work (docs/BENCHMARKS.md has what it costs).
    Exact,
}

/// Puts exact values in the place of the table's while a context computes, which must be freed before.
///
/// llama.cpp asks before each operation whether somebody wants to see its result, and shows it then.
/// The output may lie where the input lay, so the values are made when the input is shown.
pub(crate) struct ExactGelu {
    // A pointer, because llama.cpp has it too: a box may be used by its owner only.
    state: NonNull<State>,
}

// SAFETY: it owns its state, and only a context that computes, which is borrowed mutably, changes it.
unsafe impl Send for ExactGelu {}

#[derive(Default)]
struct State {
    /// The operation whose result was shown last, only ever compared.
    input: usize,
    output: Vec<f32>,
    /// Results that were replaced.
    replaced: u64,
}

impl ExactGelu {
    /// Has the context that is made with these parameters show its operations.
    pub(crate) fn watching(parameters: &mut sys::llama_context_params) -> Self {
        let state = NonNull::from(Box::leak(Box::<State>::default()));
        parameters.cb_eval = Some(shown);
        parameters.cb_eval_user_data = state.as_ptr().cast();
        Self { state }
    }

    /// Returns how many results were replaced so far.
    pub(crate) fn replaced(&self) -> u64 {
        // SAFETY: the state lives as long as this, and no context computes meanwhile: that borrows
        // what this is a part of.
        unsafe { self.state.as_ref() }.replaced
    }
}

impl Drop for ExactGelu {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and the context that knew it is freed.
        drop(unsafe { Box::from_raw(self.state.as_ptr()) });
    }
}

impl State {
    fn take_input(&mut self, tensor: &sys::ggml_tensor, values: &[f32]) {
        self.input = ptr::from_ref(tensor).addr();
        self.output.clear();
        self.output.extend(values.iter().map(|&x| gelu(x)));
    }

    fn replace_output(&mut self, tensor: &sys::ggml_tensor, values: &mut [f32]) {
        if tensor.src[0].addr() == self.input && values.len() == self.output.len() {
            values.copy_from_slice(&self.output);
            self.replaced += 1;
        }
    }
}

/// Computes GELU's tanh approximation.
fn gelu(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)).tanh())
}

/// What an operation is to GELU.
#[derive(PartialEq, Eq)]
enum Part {
    Input,
    Output,
    Neither,
}

/// Tells the operations apart by the names that llama.cpp gives them, which end with the layer's number.
fn part(tensor: &sys::ggml_tensor) -> Part {
    let begins = |prefix: &[u8]| {
        // A `char` of C has a sign on some machines, and none on others.
        let name = tensor.name.iter().map(|&c| c.to_ne_bytes()[0]);
        name.take(prefix.len()).eq(prefix.iter().copied())
    };
    if begins(b"ffn_up_b-") {
        Part::Input
    } else if begins(b"ffn_gelu-") {
        Part::Output
    } else {
        Part::Neither
    }
}

/// Called before (`ask`) and after an operation; returns whether to show its result, and then whether
/// to go on.
unsafe extern "C" fn shown(tensor: *mut sys::ggml_tensor, ask: bool, data: *mut c_void) -> bool {
    // SAFETY: llama.cpp passes an operation of the graph that it computes on this thread.
    let operation = unsafe { &*tensor };
    let part = part(operation);
    if part == Part::Neither || operation.type_ != sys::GGML_TYPE_F32 {
        return !ask;
    }
    if ask {
        return true;
    }
    // SAFETY: `data` is the state of the context that computes, which nobody else uses meanwhile.
    let state = unsafe { &mut *data.cast::<State>() };
    // SAFETY: the result is computed; its values are f32 and, where they are contiguous, as many in a
    // row as there are elements, in memory of the processor that nothing else uses until this returns.
    unsafe {
        if !sys::ggml_is_contiguous(tensor) {
            return true;
        }
        let count = usize::try_from(sys::ggml_nelements(tensor)).unwrap_or(0);
        let values = slice::from_raw_parts_mut(operation.data.cast::<f32>(), count);
        match part {
            Part::Input => state.take_input(operation, values),
            Part::Output => state.replace_output(operation, values),
            Part::Neither => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_has_the_values_of_its_definition() {
        // In f64 by the formula: tanh approximation, not erf.
        let exact = |x: f64| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        };
        for step in -1200..=1200 {
            let x = f64::from(step) / 100.0;
            let found = f64::from(gelu(x as f32));
            // A few roundings of 2^-24 each; near zero of the result they are relative to the input.
            assert!(
                (found - exact(x)).abs() <= 4e-7 * x.abs().max(1e-3),
                "{x}: {found}"
            );
        }
        assert_eq!(gelu(f32::INFINITY), f32::INFINITY);
        assert!(gelu(f32::NAN).is_nan());
    }
}
