//! What a float is made of.

use num_bigint::BigInt;

use crate::{
    error::{Result, refused},
    value::Value,
};

/// The bits of a float that stand for its digits.
const DIGITS: u32 = 52;

/// A float without its sign: `digits * 2^exponent`.
struct Parts {
    digits: u64,
    exponent: i32,
}

impl Parts {
    fn of(number: f64) -> Self {
        let bits = number.to_bits();
        let fraction = bits & ((1 << DIGITS) - 1);
        let biased = i32::try_from((bits >> DIGITS) & 0x7ff).unwrap_or(0);
        Self {
            digits: if biased == 0 {
                fraction
            } else {
                fraction | 1 << DIGITS
            },
            exponent: biased.max(1) - 1075,
        }
    }
}

/// Returns the two whole numbers, as small as can be, that a float is the ratio of.
pub(super) fn ratio(number: f64) -> Result<Value> {
    if !number.is_finite() {
        return refused("what is no finite number is no ratio");
    }
    let Parts { digits, exponent } = Parts::of(number);
    let shared = match exponent {
        0.. => 0,
        _ => digits.trailing_zeros().min(exponent.unsigned_abs()),
    };
    let above = BigInt::from(digits >> shared.min(63)) << exponent.max(0);
    let below = match digits {
        0 => BigInt::from(1),
        _ => BigInt::from(1) << (exponent.min(0).unsigned_abs() - shared),
    };
    let signed = if number < 0.0 { -above } else { above };
    Ok(Value::pair(signed.into(), below.into()))
}

/// Writes a float in hexadecimal digits, as Python does.
pub(super) fn hex(number: f64) -> String {
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return format!("{sign}inf");
    }
    if number == 0.0 {
        return format!("{sign}0x0.0p+0");
    }
    let Parts { digits, exponent } = Parts::of(number);
    let (first, rest) = (digits >> DIGITS, digits & ((1 << DIGITS) - 1));
    format!("{sign}0x{first}.{rest:013x}p{:+}", exponent + 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_taken_apart_as_in_python() {
        assert_eq!(hex(1.5), "0x1.8000000000000p+0");
        assert_eq!(hex(5e-324), "0x0.0000000000001p-1022");
        assert_eq!(hex(-0.0), "-0x0.0p+0");
        let fuel = crate::fuel::Fuel::new(1000);
        let ratio = |it| crate::printing::repr(&fuel, &ratio(it).unwrap()).unwrap();
        assert_eq!(ratio(0.1), "(3602879701896397, 36028797018963968)");
        assert_eq!(ratio(-1.5), "(-3, 2)");
        assert_eq!(ratio(-0.0), "(0, 1)");
        assert_eq!(ratio(1e22), "(10000000000000000000000, 1)");
    }
}
