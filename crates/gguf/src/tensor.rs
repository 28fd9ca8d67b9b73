use half::{bf16, f16};
use llmopt_artifact::{Dtype, TensorView};

use crate::{GgufError, element::ElementType};

/// Values that are in memory at once, of a tensor that is written as it is stored.
const CHUNK: usize = 1 << 16;
/// Rows that are in memory at once, of a tensor that is transposed.
const BAND: usize = 64;

/// Whether a matrix is written as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    AsStored,
    /// Rows become columns: what is stored as `[in, out]` is written as `[out, in]`.
    Transposed,
}

/// A tensor of a file that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Tensor<'a> {
    /// Its name in the file.
    pub(crate) name: String,
    /// Its name where it comes from.
    pub(crate) source: String,
    pub(crate) view: TensorView<'a>,
    pub(crate) layout: Layout,
    pub(crate) element: ElementType,
}

impl Tensor<'_> {
    /// Returns its dimensions in the file, fastest first, as GGUF lists them.
    pub(crate) fn dimensions(&self) -> Vec<u64> {
        let mut shape: Vec<u64> = self.view.shape.iter().map(|&size| size as u64).collect();
        if self.layout == Layout::AsStored {
            shape.reverse();
        }
        shape
    }

    /// Returns its size in the file.
    pub(crate) fn size_bytes(&self) -> usize {
        self.element.size_bytes(self.view.shape.iter().product())
    }

    /// Hands its encoded bytes to `write`, piece by piece.
    ///
    /// # Errors
    /// [`GgufError::NotRepresentable`], [`GgufError::Dtype`], and what `write` fails with.
    pub(crate) fn encode(
        &self,
        mut write: impl FnMut(&[u8]) -> Result<(), GgufError>,
    ) -> Result<(), GgufError> {
        let mut bytes = Vec::new();
        self.visit(|values| {
            if let Some(value) = self.element.first_out_of_range(values) {
                return Err(GgufError::NotRepresentable {
                    tensor: self.source.clone(),
                    value,
                    element: self.element.as_str(),
                });
            }
            bytes.clear();
            self.element.encode(values, &mut bytes);
            write(&bytes)
        })
    }

    /// Hands its values to `visit` in the order of the file, always whole rows or a multiple of 32.
    fn visit(&self, visit: impl FnMut(&[f32]) -> Result<(), GgufError>) -> Result<(), GgufError> {
        match (self.layout, self.view.shape) {
            (Layout::Transposed, &[rows, columns]) => self.visit_transposed(rows, columns, visit),
            _ => self.visit_stored(visit),
        }
    }

    fn visit_stored(
        &self,
        mut visit: impl FnMut(&[f32]) -> Result<(), GgufError>,
    ) -> Result<(), GgufError> {
        let mut values = Vec::with_capacity(CHUNK);
        for chunk in self.view.bytes.chunks(CHUNK * self.stored_size()) {
            values.clear();
            self.decode(chunk, &mut values)?;
            visit(&values)?;
        }
        Ok(())
    }

    /// Takes bands of columns, so that each pass over the rows reads runs of bytes.
    fn visit_transposed(
        &self,
        rows: usize,
        columns: usize,
        mut visit: impl FnMut(&[f32]) -> Result<(), GgufError>,
    ) -> Result<(), GgufError> {
        let size = self.stored_size();
        let mut band = Vec::new();
        let mut run = Vec::with_capacity(BAND);
        for start in (0..columns).step_by(BAND) {
            let width = BAND.min(columns - start);
            band.resize(width * rows, 0.0);
            for (row, stored) in self.view.bytes.chunks_exact(columns * size).enumerate() {
                run.clear();
                self.decode(&stored[start * size..(start + width) * size], &mut run)?;
                for (column, &value) in run.iter().enumerate() {
                    band[column * rows + row] = value;
                }
            }
            visit(&band)?;
        }
        Ok(())
    }

    fn stored_size(&self) -> usize {
        (self.view.dtype.bitsize() / 8).max(1)
    }

    /// Appends the numbers that `bytes` of the stored type stand for; each is exact in 32 bits.
    fn decode(&self, bytes: &[u8], values: &mut Vec<f32>) -> Result<(), GgufError> {
        let halves = || bytes.as_chunks::<2>().0.iter();
        match self.view.dtype {
            Dtype::F32 => {
                let words = bytes.as_chunks::<4>().0.iter();
                values.extend(words.map(|&word| f32::from_le_bytes(word)));
            }
            Dtype::F16 => values.extend(halves().map(|&half| f16::from_le_bytes(half).to_f32())),
            Dtype::BF16 => values.extend(halves().map(|&half| bf16::from_le_bytes(half).to_f32())),
            found => {
                return Err(GgufError::Dtype {
                    tensor: self.source.clone(),
                    found,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor<'a>(bytes: &'a [u8], dtype: Dtype, shape: &'a [usize]) -> Tensor<'a> {
        Tensor {
            name: "blk.0.ffn_up.weight".to_owned(),
            source: "h.0.mlp.c_fc.weight".to_owned(),
            view: TensorView {
                dtype,
                shape,
                bytes,
            },
            layout: Layout::AsStored,
            element: ElementType::F32,
        }
    }

    fn encoded(tensor: &Tensor<'_>) -> Vec<f32> {
        let mut bytes = Vec::new();
        let write = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        tensor.encode(write).unwrap();
        assert_eq!(bytes.len(), tensor.size_bytes());
        let words = bytes.as_chunks::<4>().0.iter();
        words.map(|&word| f32::from_le_bytes(word)).collect()
    }

    fn words(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
        values.into_iter().flat_map(f32::to_le_bytes).collect()
    }

    #[test]
    fn a_stored_matrix_keeps_its_values_and_its_dimensions_are_turned_round() {
        // More than one chunk.
        let values: Vec<f32> = (0..CHUNK + 2).map(|value| value as f32).collect();
        let (bytes, shape) = (words(values.clone()), [(CHUNK + 2) / 2, 2]);
        let tensor = tensor(&bytes, Dtype::F32, &shape);
        assert_eq!(tensor.dimensions(), [2, (CHUNK as u64 + 2) / 2]);
        assert_eq!(encoded(&tensor), values);
    }

    #[test]
    fn a_transposed_matrix_has_its_columns_as_rows() {
        // More than one band, and a last one that is not full.
        for (rows, columns) in [(2, 3), (3, 2 * BAND + 1), (1, 1), (5, BAND)] {
            let bytes = words((0..rows * columns).map(|value| value as f32));
            let shape = [rows, columns];
            let tensor = Tensor {
                layout: Layout::Transposed,
                ..tensor(&bytes, Dtype::F32, &shape)
            };
            assert_eq!(tensor.dimensions(), [rows as u64, columns as u64]);
            let expected = (0..columns)
                .flat_map(|column| (0..rows).map(move |row| (row * columns + column) as f32));
            assert_eq!(encoded(&tensor), expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn halves_of_both_kinds_are_read_exactly() {
        let bytes = [0x00, 0x3c, 0x01, 0x00];
        let half = encoded(&tensor(&bytes, Dtype::F16, &[2]));
        assert_eq!(half, [1.0, 2.0_f32.powi(-24)]);
        let bytes = [0x80, 0x3f, 0x01, 0x00];
        let brain = encoded(&tensor(&bytes, Dtype::BF16, &[2]));
        assert_eq!(brain, [1.0, f32::from_bits(1 << 16)]);
    }

    #[test]
    fn a_weight_that_is_no_number_is_refused_with_its_tensor() {
        let bytes = words([1.0, f32::NAN]);
        let error = tensor(&bytes, Dtype::F32, &[2]).encode(|_| Ok(()));
        assert_eq!(
            error.unwrap_err().to_string(),
            "tensor `h.0.mlp.c_fc.weight` holds `NaN`, which is no finite number in f32"
        );
    }

    #[test]
    fn integers_are_no_weights() {
        let error = tensor(&[0; 4], Dtype::I32, &[1]).encode(|_| Ok(()));
        assert!(error.unwrap_err().to_string().contains("`I32`"));
    }
}
