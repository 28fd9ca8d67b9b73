//! Digits of numbers, rounded as C's `printf` rounds them.

use num_bigint::{BigInt, Sign};

use crate::{error::Result, printing};

/// No number has more digits than these behind its point, zeros aside.
const MOST_PLACES: usize = 1100;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Notation {
    Fixed,
    Exponent,
    /// With an exponent where the number is very large or small.
    General,
    /// The fewest digits that stand for the number.
    Shortest,
}

/// How a float is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) notation: Notation,
    pub(super) precision: usize,
    /// Has a point and zeros behind it that say nothing.
    pub(super) alternate: bool,
    /// Has a digit behind the point of a number that is whole.
    pub(super) adds_zero: bool,
}

/// Returns whether a sign is printed.
pub(super) fn is_negative(number: f64) -> bool {
    number.is_sign_negative() && !number.is_nan()
}

/// Returns the digits of a whole number without its sign.
pub(super) fn whole(number: &BigInt, base: u32) -> Result<String> {
    let size = BigInt::from_biguint(Sign::Plus, number.magnitude().clone());
    match base {
        10 => printing::whole(&size),
        _ => Ok(size.to_str_radix(base)),
    }
}

impl Form {
    /// Writes a number without its sign.
    pub(super) fn unsigned(self, number: f64) -> String {
        let number = number.abs();
        if number.is_nan() {
            return "nan".to_owned();
        }
        if number.is_infinite() {
            return "inf".to_owned();
        }
        match self.notation {
            Notation::Fixed => self.fixed(number),
            Notation::Exponent => self.exponent(number),
            Notation::General => self.general(number),
            Notation::Shortest => self.shortest(number),
        }
    }

    fn fixed(self, number: f64) -> String {
        let places = self.precision.min(MOST_PLACES);
        let mut out = format!("{number:.places$}");
        push_zeros(&mut out, self.precision - places);
        if self.precision == 0 && self.alternate {
            out.push('.');
        }
        out
    }

    fn exponent(self, number: f64) -> String {
        let (digits, exponent) = scientific(number, self.precision);
        self.with_exponent(&digits, exponent)
    }

    fn general(self, number: f64) -> String {
        let precision = self.precision.max(1);
        let (mut digits, exponent) = scientific(number, precision - 1);
        if !self.alternate {
            let end = digits.trim_end_matches('0').len();
            digits.truncate(end.max(1));
        }
        let most = precision.saturating_sub(usize::from(self.adds_zero));
        match usize::try_from(exponent) {
            Ok(exponent) if exponent < most => self.positional(&digits, exponent + 1),
            Err(_) if exponent >= -4 => {
                let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
                format!("0.{zeros}{digits}")
            }
            _ => self.with_exponent(&digits, exponent),
        }
    }

    fn shortest(self, number: f64) -> String {
        let out = printing::float(number);
        match out.split_once('e') {
            Some((digits, exponent)) if self.alternate && !digits.contains('.') => {
                format!("{digits}.e{exponent}")
            }
            _ => out,
        }
    }

    /// Sets a point after so many digits.
    fn positional(self, digits: &str, whole: usize) -> String {
        match digits.split_at_checked(whole) {
            Some((whole, fraction)) if !fraction.is_empty() => format!("{whole}.{fraction}"),
            _ => {
                let end = match (self.adds_zero, self.alternate) {
                    (true, _) => ".0",
                    (false, true) => ".",
                    (false, false) => "",
                };
                format!("{digits:0<whole$}{end}")
            }
        }
    }

    fn with_exponent(self, digits: &str, exponent: i32) -> String {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
        let point = match rest.is_empty() && !self.alternate {
            true => "",
            false => ".",
        };
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
    }
}

/// Returns the digits, so many after the first, and the exponent.
fn scientific(number: f64, precision: usize) -> (String, i32) {
    let places = precision.min(MOST_PLACES);
    let text = format!("{number:.places$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut digits = mantissa.replace('.', "");
    push_zeros(&mut digits, precision - places);
    (digits, exponent.parse().unwrap_or(0))
}

fn push_zeros(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n('0', count));
}
