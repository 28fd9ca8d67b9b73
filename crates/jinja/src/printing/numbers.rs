//! How Python prints numbers.

use num_bigint::BigInt;

use crate::error::{Result, refused};

/// Python reads and writes no whole number of more digits than this.
pub(crate) const MOST_DIGITS: usize = 4300;

/// Returns the shortest digits that stand for a number, as Python's `repr` spells them.
pub(crate) fn float(number: f64) -> String {
    if !number.is_finite() {
        return infinite(number).to_owned();
    }
    let scientific = digits(number);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse().unwrap_or(0) {
        exponent @ -4..16 => positional(digits, exponent),
        exponent @ i32::MIN..0 => format!("{digits}e-{:02}", exponent.unsigned_abs()),
        exponent => format!("{digits}e+{exponent:02}"),
    }
}

fn infinite(number: f64) -> &'static str {
    if number.is_nan() {
        "nan"
    } else if number > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

/// Returns the shortest digits and their exponent.
///
/// Where two of the same length are as near to the number, Python takes the even one, and Rust's shortest digits
/// are those above; its digits of a given count are Python's.
fn digits(number: f64) -> String {
    let shortest = format!("{number:e}");
    let mantissa = shortest.split('e').next().unwrap_or_default();
    let count = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let nearest = format!("{number:.*e}", count.saturating_sub(1));
    match nearest.parse() == Ok(number) {
        true => nearest,
        false => shortest,
    }
}

/// Writes digits without an exponent, and at least one after the point.
fn positional(mantissa: &str, exponent: i32) -> String {
    let (sign, unsigned) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits = unsigned.replace('.', "");
    match usize::try_from(exponent) {
        Ok(exponent) => {
            let padded = format!("{digits:0<width$}", width = exponent + 2);
            let (whole, fraction) = padded.split_at(exponent + 1);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) => {
            let zeros = exponent.unsigned_abs() as usize - 1;
            format!("{sign}0.{}{digits}", "0".repeat(zeros))
        }
    }
}

/// Writes a whole number, which Python refuses if it has very many digits.
pub(crate) fn whole(number: &BigInt) -> Result<String> {
    // A digit has fewer than four bits.
    let digits = match number.bits() {
        bits if bits > 4 * MOST_DIGITS as u64 => None,
        _ => Some(number.to_string()),
    };
    digits
        .filter(|it| it.trim_start_matches('-').len() <= MOST_DIGITS)
        .map_or_else(
            || refused(format!("a whole number has more than {MOST_DIGITS} digits")),
            Ok,
        )
}
