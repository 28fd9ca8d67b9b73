//! Filters that make numbers, or texts of them.

use std::cmp::Ordering;

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{FromPrimitive, Signed, ToPrimitive, Zero};

use super::number_texts;
use crate::{
    calls::{Filter, Given},
    error::{Result, TemplateError, refused},
    numbers, operators, printing,
    run::Run,
    tree::{Comparison, Operator},
    value::Value,
};

pub(super) fn find(name: &str) -> Option<Filter> {
    Some(match name {
        "abs" => abs,
        "filesizeformat" => filesizeformat,
        "float" => float,
        "int" => int,
        "round" => round,
        _ => return None,
    })
}

fn abs(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    given.nothing()?;
    match value {
        Value::Float(number) => Ok(Value::Float(number.abs())),
        it if it.is_number() => {
            match operators::compare(run, Comparison::Less, [it, &Value::Int(0)])? {
                true => operators::negate(&run.fuel, it),
                false => operators::positive(it),
            }
        }
        _ => refused(format!(
            "a value of type {} has no absolute value",
            value.kind()
        )),
    }
}

fn int(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["default", "base"])?;
    let default = || Ok(arguments.get(0).cloned().unwrap_or(Value::Int(0)));
    run.fuel.take_bytes(value.size_bytes().saturating_mul(2))?;
    let found = match value {
        Value::Undefined => return refused("an undefined value is no number"),
        Value::Float(number) if number.is_infinite() => {
            return refused("an infinite number is no whole number");
        }
        Value::Float(number) => truncated(*number),
        Value::Text(text) | Value::Safe(text) => {
            let base = match arguments.get(1) {
                Some(base) => base.to_i64(),
                None => Some(10),
            };
            let whole = base.and_then(|it| number_texts::integer(text, it));
            whole.or_else(|| truncated(number_texts::float(text)?))
        }
        _ if value.is_number() => return operators::positive(value),
        _ => None,
    };
    found.map_or_else(default, numbers::sized)
}

/// Cuts what comes after the point off, unless it is no number.
fn truncated(number: f64) -> Option<BigInt> {
    BigInt::from_f64(number)
}

fn float(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["default"])?;
    run.fuel.take_bytes(value.size_bytes().saturating_mul(2))?;
    let default = || arguments.get(0).cloned().unwrap_or(Value::Float(0.0));
    match value {
        Value::Undefined => refused("an undefined value is no number"),
        Value::Text(text) | Value::Safe(text) => {
            Ok(number_texts::float(text).map_or_else(default, Value::Float))
        }
        _ if value.is_number() => value.to_f64().map(Value::Float),
        _ => Ok(default()),
    }
}

fn round(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["precision", "method"])?;
    let precision = arguments.get(0).unwrap_or(&Value::Int(0));
    run.fuel.take_bytes(value.size_bytes())?;
    match arguments.get(1).map(Value::expect_text).transpose()? {
        None | Some("common") => nearest(run, value, precision),
        Some("ceil") => toward(run, value, precision, f64::ceil),
        Some("floor") => toward(run, value, precision, f64::floor),
        Some(other) => refused(format!(
            "round knows `common`, `ceil` and `floor`, not `{other}`"
        )),
    }
}

/// Rounds to the nearest number, and half to even.
fn nearest(run: &Run<'_>, value: &Value, precision: &Value) -> Result<Value> {
    match (value, value.to_big(), precision) {
        (Value::Float(number), _, Value::None) => match truncated(number.round_ties_even()) {
            Some(whole) => Ok(Value::from(whole)),
            None => refused(format!("{} has no whole number", printing::float(*number))),
        },
        (Value::Float(number), ..) => {
            nearest_float(*number, precision.expect_i64()?).map(Value::Float)
        }
        (_, Some(whole), Value::None) => Ok(Value::from(whole)),
        (_, Some(whole), _) => match usize::try_from(precision.expect_i64()?.saturating_neg()) {
            Ok(zeros) => nearest_whole(run, &whole, zeros).map(Value::from),
            Err(_) => Ok(Value::from(whole)),
        },
        _ => refused(format!(
            "a value of type {} cannot be rounded",
            value.kind()
        )),
    }
}

fn nearest_float(number: f64, precision: i64) -> Result<f64> {
    if !number.is_finite() || precision > 323 {
        return Ok(number);
    }
    if precision < -308 {
        return Ok(0.0 * number);
    }
    let digits = match usize::try_from(precision) {
        Ok(places) => format!("{number:.places$}"),
        Err(_) => rounded_digits(number, precision.unsigned_abs()),
    };
    match digits.parse::<f64>() {
        Ok(result) if result.is_finite() => Ok(result.copysign(number)),
        _ => refused("a rounded number is too large for a float"),
    }
}

/// Rounds to so many zeros before the point.
fn rounded_digits(number: f64, zeros: u64) -> String {
    let whole = truncated(number.abs()).unwrap_or_default();
    // What comes after the point only matters where all else is half.
    let is_above = number.fract() != 0.0;
    let power = BigInt::from(10).pow(u32::try_from(zeros).unwrap_or(u32::MAX));
    let (quotient, rest) = whole.div_rem(&power);
    let rounds_up = match (rest * 2_u8).cmp(&power) {
        Ordering::Less => false,
        Ordering::Equal => is_above || quotient.is_odd(),
        Ordering::Greater => true,
    };
    format!("{}e{zeros}", quotient + u8::from(rounds_up))
}

fn nearest_whole(run: &Run<'_>, whole: &BigInt, zeros: usize) -> Result<BigInt> {
    if u64::try_from(zeros).unwrap_or(u64::MAX) > whole.bits() {
        return Ok(BigInt::zero());
    }
    run.fuel.take_bytes(zeros)?;
    let power = BigInt::from(10).pow(u32::try_from(zeros).unwrap_or(u32::MAX));
    numbers::take_product(run, [whole, &power])?;
    let (quotient, rest) = whole.div_mod_floor(&power);
    let rounds_up = match (rest * 2_u8).cmp(&power) {
        Ordering::Less => false,
        Ordering::Equal => quotient.is_odd(),
        Ordering::Greater => true,
    };
    Ok((quotient + u8::from(rounds_up)) * power)
}

/// Rounds always up or always down, by way of whole numbers.
fn toward(
    run: &Run<'_>,
    value: &Value,
    precision: &Value,
    rounded: fn(f64) -> f64,
) -> Result<Value> {
    let power = operators::binary(run, Operator::Power, [&Value::Int(10), precision])?;
    let scaled = operators::binary(run, Operator::Multiply, [value, &power])?;
    let whole = match &scaled {
        Value::Float(number) => truncated(rounded(*number)),
        _ => scaled.to_big(),
    };
    match whole {
        Some(whole) => operators::binary(run, Operator::Divide, [&Value::from(whole), &power]),
        None => refused(format!(
            "a value of type {} cannot be rounded",
            value.kind()
        )),
    }
}

fn filesizeformat(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let arguments = given.read(["binary"])?;
    run.fuel.take_bytes(value.size_bytes().saturating_mul(2))?;
    let bytes = match value.as_str() {
        Some(text) => number_texts::float(text)
            .ok_or_else(|| TemplateError::new(format!("`{text}` is no number of bytes")))?,
        None => value.to_f64()?,
    };
    let (base, infix) = match arguments.is_true(0) {
        true => (1024_u32, "i"),
        false => (1000, ""),
    };
    if bytes < f64::from(base) {
        return few_bytes(bytes);
    }
    let mut unit = u128::from(base);
    let mut prefix = ' ';
    for next in ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'] {
        (unit, prefix) = (unit * u128::from(base), next);
        // Compared as whole numbers: not all of them are floats.
        if bytes.to_u128().is_some_and(|it| it < unit) {
            break;
        }
    }
    let prefix = match (prefix, infix) {
        ('k', "i") => 'K',
        (prefix, _) => prefix,
    };
    let count = f64::from(base) * bytes / unit.to_f64().unwrap_or(f64::INFINITY);
    let count = match count.is_finite() {
        true => format!("{count:.1}"),
        false => printing::float(count),
    };
    Ok(Value::from(format!("{count} {prefix}{infix}B")))
}

fn few_bytes(bytes: f64) -> Result<Value> {
    match truncated(bytes) {
        Some(_) if bytes == 1.0 => Ok(Value::from("1 Byte")),
        Some(whole) => Ok(Value::from(format!("{} Bytes", printing::whole(&whole)?))),
        None => refused(format!("{} is no number of bytes", printing::float(bytes))),
    }
}
