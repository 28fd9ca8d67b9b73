use half::f16;

use crate::WeightType;

/// The values in a block of Q8_0.
const BLOCK: usize = 32;

/// The type of a tensor's elements in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    F32,
    F16,
    Q8_0,
}

impl ElementType {
    /// Returns the type for a matrix with rows of `width` values in a file of `weights`.
    pub(crate) fn of_matrix(weights: WeightType, width: usize) -> Self {
        match weights {
            WeightType::F32 => Self::F32,
            WeightType::Q8_0 if width.is_multiple_of(BLOCK) => Self::Q8_0,
            WeightType::F16 | WeightType::Q8_0 => Self::F16,
        }
    }

    /// Returns the type's number (`ggml_type`).
    pub(crate) fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 8,
        }
    }

    /// Returns the type's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
        }
    }

    /// Returns the bytes of `count` values, which for Q8_0 is a multiple of 32.
    pub(crate) fn size_bytes(self, count: usize) -> usize {
        match self {
            Self::F32 => 4 * count,
            Self::F16 => 2 * count,
            Self::Q8_0 => count / BLOCK * (2 + BLOCK),
        }
    }

    /// Returns the first of `values` that would not be a finite number in this type.
    pub(crate) fn first_out_of_range(self, values: &[f32]) -> Option<f32> {
        // A half rounds to its greatest number, 65,504, what is nearer to it than to 65,536.
        let limit = match self {
            Self::F32 => f32::INFINITY,
            Self::F16 => 65_520.0,
            Self::Q8_0 => 65_520.0 * 127.0,
        };
        let fits = |value: f32| value.abs() < limit;
        values.iter().copied().find(|&value| !fits(value))
    }

    /// Appends `values`, little-endian, to `bytes`. For Q8_0 there is a multiple of 32 of them.
    pub(crate) fn encode(self, values: &[f32], bytes: &mut Vec<u8>) {
        match self {
            Self::F32 => values
                .iter()
                .for_each(|value| bytes.extend_from_slice(&value.to_le_bytes())),
            Self::F16 => values
                .iter()
                .for_each(|&value| bytes.extend_from_slice(&f16::from_f32(value).to_le_bytes())),
            Self::Q8_0 => {
                let (blocks, _) = values.as_chunks::<BLOCK>();
                blocks.iter().for_each(|block| quantize(block, bytes));
            }
        }
    }
}

/// Appends a block of Q8_0: the scale as a half, then the values as multiples of it, rounded to the
/// nearest, ties away from zero (ggml, `quantize_row_q8_0_ref`).
fn quantize(block: &[f32; BLOCK], bytes: &mut Vec<u8>) {
    let greatest = block
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    let scale = greatest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    bytes.extend_from_slice(&f16::from_f32(scale).to_le_bytes());
    // The multiples are those of the scale before it was rounded to a half.
    bytes.extend(
        block
            .iter()
            .map(|value| ((value * inverse).round() as i8).cast_unsigned()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn q8_0(values: &[f32]) -> (u16, Vec<i8>) {
        let mut block = values.to_vec();
        block.resize(BLOCK, 0.0);
        let mut bytes = Vec::new();
        ElementType::Q8_0.encode(&block, &mut bytes);
        assert_eq!(bytes.len(), 34);
        let scale = u16::from_le_bytes([bytes[0], bytes[1]]);
        let numbers = bytes[2..].iter().map(|&byte| byte.cast_signed());
        (scale, numbers.collect())
    }

    #[test]
    fn a_block_of_q8_0_is_rounded_with_ties_away_from_zero() {
        let (scale, numbers) = q8_0(&[
            127.0, -127.0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 0.49, 126.4, 0.0, -0.0,
        ]);
        assert_eq!(scale, 0x3c00);
        assert_eq!(
            numbers[..12],
            [127, -127, 1, -1, 2, -2, 3, -3, 0, 126, 0, 0]
        );
    }

    #[test]
    fn the_greatest_of_a_block_is_127_whatever_its_sign() {
        // 1 / 127 = 0.00787402 is nearest to the half 0.00787354 = 0x2008.
        assert_eq!(q8_0(&[0.25, -1.0]).0, 0x2008);
        assert_eq!(q8_0(&[0.25, -1.0]).1[..2], [32, -127]);
        assert_eq!(q8_0(&[1.0]).1[0], 127);
    }

    #[test]
    fn multiples_are_those_of_the_scale_before_it_is_a_half() {
        // As a half the scale is 4 / 2^24, of which 3e-5 is 126; before, it is 3e-5 / 127.
        let (scale, numbers) = q8_0(&[3e-5, 1.5e-5]);
        assert_eq!(scale, 4);
        assert_eq!(numbers[..2], [127, 64]);
    }

    #[test]
    fn a_block_of_zeros_has_the_scale_zero() {
        assert_eq!(q8_0(&[]), (0, vec![0; BLOCK]));
    }

    #[test]
    fn blocks_follow_each_other() {
        let mut values = [0.0; 2 * BLOCK];
        (values[0], values[BLOCK]) = (127.0, 254.0);
        let mut bytes = Vec::new();
        ElementType::Q8_0.encode(&values, &mut bytes);
        assert_eq!(bytes.len(), ElementType::Q8_0.size_bytes(2 * BLOCK));
        assert_eq!(bytes[..3], [0x00, 0x3c, 127]);
        assert_eq!(bytes[34..37], [0x00, 0x40, 127]);
    }

    #[test]
    fn halves_are_rounded_to_the_nearest_with_ties_to_even() {
        let mut bytes = Vec::new();
        let tie = 1.0 + 1.0 / 2048.0;
        ElementType::F16.encode(&[1.0, tie, tie + 1e-6, -2.0], &mut bytes);
        assert_eq!(bytes, [0x00, 0x3c, 0x00, 0x3c, 0x01, 0x3c, 0x00, 0xc0]);
    }

    #[test]
    fn a_matrix_whose_rows_are_no_whole_blocks_is_of_halves() {
        use WeightType::{F16, F32, Q8_0};
        let of = ElementType::of_matrix;
        assert_eq!(of(Q8_0, 64), ElementType::Q8_0);
        assert_eq!(of(Q8_0, 48), ElementType::F16);
        assert_eq!(of(F16, 64), ElementType::F16);
        assert_eq!(of(F32, 48), ElementType::F32);
    }

    #[test]
    fn the_first_number_out_of_range_is_found() {
        use ElementType::{F16, F32, Q8_0};
        assert_eq!(F16.first_out_of_range(&[65_519.0, -65_519.0]), None);
        assert_eq!(F16.first_out_of_range(&[1.0, -65_520.0]), Some(-65_520.0));
        assert!(f16::from_f32(65_519.0).is_finite() && f16::from_f32(65_520.0).is_infinite());
        assert_eq!(Q8_0.first_out_of_range(&[8e6]), None);
        assert_eq!(Q8_0.first_out_of_range(&[9e6]), Some(9e6));
        for element in [F32, F16, Q8_0] {
            let found = element.first_out_of_range(&[0.0, f32::NAN]);
            assert!(found.is_some_and(f32::is_nan));
            let infinite = element.first_out_of_range(&[f32::NEG_INFINITY]);
            assert_eq!(infinite, Some(f32::NEG_INFINITY));
        }
        assert_eq!(F32.first_out_of_range(&[f32::MAX, f32::MIN]), None);
    }
}
