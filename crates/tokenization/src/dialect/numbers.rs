//! Filters that make numbers.

use minijinja::{
    Environment, Error, Value, filters as builtin,
    value::{Rest, ValueOrKwargs},
};

use super::{
    arguments::{Arguments, refused},
    objects::Shape,
    strings::is_space,
};

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("abs", |value: Value| match Shape::of(&value) {
        Shape::Bool => Ok(Value::from(i64::from(value.is_true()))),
        _ => builtin::abs(value),
    });
}

fn int(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 2)?;
    let default = given.get(0, "default")?.unwrap_or_else(|| Value::from(0));
    let base = given.integer(1, "base")?.unwrap_or(10);
    given.finish()?;
    let found = match Shape::of(value) {
        Shape::Undefined => return Err(refused("an undefined value is no number")),
        Shape::Bool => Some(Value::from(i64::from(value.is_true()))),
        Shape::Integer => Some(value.clone()),
        Shape::Float => Some(truncated(f64::try_from(value.clone())?)?),
        Shape::Text => integer(value.as_str().unwrap_or_default(), base)?,
        _ => None,
    };
    Ok(found.unwrap_or(default))
}

fn truncated(number: f64) -> Result<Value, Error> {
    let whole = number.trunc();
    // Beyond, not every whole number is there, and Python writes all digits of those that are.
    match whole.abs() < 1e30 {
        #[expect(clippy::cast_possible_truncation, reason = "it fits and is whole")]
        true => Ok(Value::from(whole as i128)),
        false => Err(refused(format!(
            "{number} is too large for a whole number here"
        ))),
    }
}

fn integer(text: &str, base: i64) -> Result<Option<Value>, Error> {
    let radix = u32::try_from(base).ok().filter(|it| (2..=36).contains(it));
    let radix = radix.ok_or_else(|| refused(format!("a base of {base} is not known here")))?;
    let (sign, digits) = signed(text.trim_matches(is_space));
    let prefix = match radix {
        2 => "0b",
        8 => "0o",
        16 => "0x",
        _ => "",
    };
    let lower = digits.to_lowercase();
    let digits = lower.strip_prefix(prefix).unwrap_or(&lower);
    if let Some(digits) = without_underscores(digits)
        && let Ok(number) = i128::from_str_radix(&digits, radix)
    {
        return Ok(Some(Value::from(sign * number)));
    }
    if digits.len() > 30 && digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(refused(format!(
            "{text} is too large for a whole number here"
        )));
    }
    let number = parsed(text).filter(|it| !it.is_nan());
    number.map(truncated).transpose()
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Underscores may stand between digits.
fn without_underscores(digits: &str) -> Option<String> {
    let is_digit = |part: &str| !part.is_empty() && part.chars().all(char::is_alphanumeric);
    digits
        .split('_')
        .all(is_digit)
        .then(|| digits.replace('_', ""))
}

/// Reads a number as Python's `float` does.
fn parsed(text: &str) -> Option<f64> {
    let (sign, digits) = signed(text.trim_matches(is_space));
    let is_signed_twice = digits.starts_with(['+', '-']);
    let digits = digits.to_lowercase();
    let number = match digits.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        digits => digits.parse().ok().filter(|_| !is_signed_twice)?,
    };
    Some(if sign < 0 { -number } else { number })
}

fn float(value: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values = arguments.into_values();
    let given = Arguments::of(&values, 1)?;
    let default = given.get(0, "default")?.unwrap_or_else(|| Value::from(0.0));
    given.finish()?;
    Ok(match Shape::of(value) {
        Shape::Undefined => return Err(refused("an undefined value is no number")),
        Shape::Bool => Value::from(f64::from(u8::from(value.is_true()))),
        Shape::Integer | Shape::Float => Value::from(f64::try_from(value.clone())?),
        Shape::Text => parsed(value.as_str().unwrap_or_default()).map_or(default, Value::from),
        _ => default,
    })
}
