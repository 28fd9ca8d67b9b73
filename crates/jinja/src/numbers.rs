//! Python's arithmetic.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_traits::{FromPrimitive, Signed, ToPrimitive, Zero};

use crate::{
    error::{Result, refused, too_large, unknown},
    operators,
    run::Run,
    tree::Operator,
    value::Value,
};

/// More than this is no number that a prompt has.
const MOST_BITS: u64 = 1 << 20;

/// Compares two numbers; there is no order where one is none.
pub(crate) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Float(a), Value::Big(b)) => order_float(*a, b),
        (Value::Big(a), Value::Float(b)) => order_float(*b, a).map(Ordering::reverse),
        (Value::Float(a), b) => order_float(*a, &b.to_big()?),
        (a, Value::Float(b)) => order_float(*b, &a.to_big()?).map(Ordering::reverse),
        (Value::Big(a), Value::Big(b)) => Some(a.cmp(b)),
        // A large number is beyond all that are not.
        (Value::Big(a), _) => Some(a.sign().cmp(&Sign::NoSign)),
        (_, Value::Big(b)) => Some(Sign::NoSign.cmp(&b.sign())),
        (a, b) => Some(a.to_i64()?.cmp(&b.to_i64()?)),
    }
}

/// Compares exactly: the whole number need not be a float.
fn order_float(float: f64, whole: &BigInt) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    let Some(floor) = BigInt::from_f64(float.floor()) else {
        return Some(float.total_cmp(&0.0));
    };
    let order = floor.cmp(whole);
    match order {
        Ordering::Equal if float > float.floor() => Some(Ordering::Greater),
        order => Some(order),
    }
}

/// Works an operator out on two numbers.
pub(crate) fn binary(
    run: &Run<'_>,
    operator: Operator,
    [left, right]: [&Value; 2],
) -> Result<Value> {
    if operator == Operator::PowerOfConstant {
        return constant_power(run, [left, right]);
    }
    if let (Some(a), Some(b)) = (left.to_i64(), right.to_i64())
        && let Some(small) = small(operator, a, b)
    {
        return Ok(Value::Int(small));
    }
    match (left.to_big(), right.to_big()) {
        (Some(a), Some(b)) => whole(run, operator, [&a, &b]),
        _ => floating(operator, left.to_f64()?, right.to_f64()?).map(Value::Float),
    }
}

/// Raises the constant without its sign, which comes last.
fn constant_power(run: &Run<'_>, [base, exponent]: [&Value; 2]) -> Result<Value> {
    let is_negative = match base {
        Value::Float(it) => it.is_sign_negative(),
        _ => order(base, &Value::Int(0)) == Some(Ordering::Less),
    };
    if !is_negative {
        return binary(run, Operator::Power, [base, exponent]);
    }
    let size = operators::negate(&run.fuel, base)?;
    let power = binary(run, Operator::Power, [&size, exponent])?;
    operators::negate(&run.fuel, &power)
}

/// Works out what stays small.
fn small(operator: Operator, a: i64, b: i64) -> Option<i64> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::FloorDivide if b > 0 => Some(a.div_euclid(b)),
        Operator::Remainder if b > 0 => Some(a.rem_euclid(b)),
        _ => None,
    }
}

fn whole(run: &Run<'_>, operator: Operator, [a, b]: [&BigInt; 2]) -> Result<Value> {
    run.fuel.take(a.bits().saturating_add(b.bits()) / 64)?;
    let is_division = matches!(
        operator,
        Operator::Divide | Operator::FloorDivide | Operator::Remainder
    );
    if is_division && b.is_zero() {
        return refused("a number cannot be divided by 0");
    }
    if matches!(
        operator,
        Operator::Multiply | Operator::FloorDivide | Operator::Remainder
    ) {
        take_product(run, [a, b])?;
    }
    let result = match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::FloorDivide => a.div_floor(b),
        Operator::Remainder => a.mod_floor(b),
        Operator::Divide => return quotient(a, b).map(Value::Float),
        Operator::Power | Operator::PowerOfConstant => return power(run, a, b),
    };
    sized(result)
}

/// Makes a value of a whole number that is not too large.
pub(crate) fn sized(number: BigInt) -> Result<Value> {
    match number.bits() > MOST_BITS {
        true => too_large("a number is too large here"),
        false => Ok(Value::from(number)),
    }
}

/// Takes what it costs to multiply two numbers, or to divide them: each part of one by each of the other.
pub(crate) fn take_product(run: &Run<'_>, [a, b]: [&BigInt; 2]) -> Result<()> {
    run.fuel.take(a.bits().saturating_mul(b.bits()) / 4096)
}

/// Divides two whole numbers, rounded once.
fn quotient(a: &BigInt, b: &BigInt) -> Result<f64> {
    // So many bits that what is cut off is only asked whether it is there.
    let shift = 70 + i64::try_from(b.bits()).unwrap_or(0) - i64::try_from(a.bits()).unwrap_or(0);
    let (mut top, mut bottom) = (a.abs(), b.abs());
    match shift > 0 {
        true => top <<= shift,
        false => bottom <<= -shift,
    }
    let (quotient, remainder) = top.div_rem(&bottom);
    let sticky = BigInt::from(u8::from(!remainder.is_zero()));
    let digits = (quotient | sticky).to_f64().unwrap_or(f64::INFINITY);
    let exponent = i32::try_from(-shift).unwrap_or(i32::MAX);
    // Halved, so that neither factor is out of range on its own.
    let half = 2.0_f64.powi(exponent / 2);
    let result = digits * half * 2.0_f64.powi(exponent - exponent / 2);
    if !result.is_finite() {
        return refused("the quotient of two whole numbers is too large for a float");
    }
    let is_negative = (a.sign() == Sign::Minus) != (b.sign() == Sign::Minus);
    Ok(if is_negative { -result } else { result })
}

fn power(run: &Run<'_>, a: &BigInt, b: &BigInt) -> Result<Value> {
    if b.is_negative() {
        let (a, b) = (
            Value::from(a.clone()).to_f64()?,
            Value::from(b.clone()).to_f64()?,
        );
        return floating(Operator::Power, a, b).map(Value::Float);
    }
    let bits = b.to_u64().and_then(|it| it.checked_mul(a.bits()));
    let is_small = a.bits() <= 1;
    match b.to_u32() {
        Some(exponent) if is_small || bits.is_some_and(|it| it <= MOST_BITS) => {
            run.fuel.take(bits.unwrap_or(0) / 64)?;
            Ok(Value::from(a.pow(exponent)))
        }
        _ => too_large("a power is too large here"),
    }
}

/// Works an operator out on floats.
fn floating(operator: Operator, a: f64, b: f64) -> Result<f64> {
    let is_division = matches!(
        operator,
        Operator::Divide | Operator::FloorDivide | Operator::Remainder
    );
    if is_division && b == 0.0 {
        return refused("a number cannot be divided by 0");
    }
    Ok(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::FloorDivide => divided(a, b).0,
        Operator::Remainder => divided(a, b).1,
        Operator::Power | Operator::PowerOfConstant => return raised(a, b),
    })
}

/// Returns the whole quotient, rounded down, and what is left, which has the sign of `b`.
fn divided(a: f64, b: f64) -> (f64, f64) {
    let mut rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest == 0.0 {
        rest = 0.0_f64.copysign(b);
    } else if (b < 0.0) != (rest < 0.0) {
        rest += b;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0.0_f64.copysign(a / b), rest);
    }
    let floor = quotient.floor();
    let floor = if quotient - floor > 0.5 {
        floor + 1.0
    } else {
        floor
    };
    (floor, rest)
}

fn raised(a: f64, b: f64) -> Result<f64> {
    if a == 0.0 && b < 0.0 {
        return refused("0 has no negative power");
    }
    if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
        return unknown("a root of a negative number is complex, which is not known here");
    }
    let result = a.powf(b);
    match result.is_infinite() && a.is_finite() && b.is_finite() {
        true => refused("a power is too large for a float"),
        false => Ok(result),
    }
}
