//! Python's `format(value, options)`.

use std::borrow::Cow;

use num_bigint::BigInt;
use num_traits::Signed;

use super::{
    character,
    numbers::{self, Form, Notation},
    shortened,
    spec::Spec,
};
use crate::{
    error::{Result, refused},
    printing,
    run::Run,
    value::Value,
};

/// A number as it is written.
#[derive(Default)]
struct Parts {
    is_negative: bool,
    prefix: &'static str,
    /// The digits, before the point if there is one.
    whole: String,
    rest: String,
    /// How many digits are between separators.
    group: usize,
}

/// Returns Python's `format(value, options)`.
pub(super) fn specified(run: &Run<'_>, value: &Value, options: &str) -> Result<String> {
    if options.is_empty() {
        return printing::text(&run.fuel, value).map(Cow::into_owned);
    }
    match value {
        Value::Text(text) | Value::Safe(text) => in_place(run, text, &Spec::new(options)?),
        Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) => {
            let spec = Spec::new(options)?;
            run.fuel.take_bytes(value.size_bytes().saturating_mul(8))?;
            let parts = match (value.to_big(), spec.kind) {
                (_, Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%')) | (None, _) => {
                    float(run, value.to_f64()?, &spec)?
                }
                (Some(number), kind) => whole(&number, &spec, kind.unwrap_or('d'))?,
            };
            parts.in_place(run, &spec)
        }
        _ => refused(format!(
            "a value of type {} has no format `{options}`",
            value.kind()
        )),
    }
}

fn in_place(run: &Run<'_>, text: &str, spec: &Spec) -> Result<String> {
    spec.group('s')?;
    let kind = spec.kind.unwrap_or('s');
    if kind != 's' {
        return refused(format!("a text has no format `{kind}`"));
    }
    if spec.sign.is_some() || spec.alternate || spec.drops_negative_zero || spec.align == Some('=')
    {
        return refused("a text has no sign in a format");
    }
    let text = shortened(text, spec.precision);
    let missing = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    padded(
        run,
        ["", text],
        missing,
        (spec.fill, spec.align.unwrap_or('<')),
    )
}

/// Adds what is missing to the width.
fn padded(run: &Run<'_>, parts: [&str; 2], missing: usize, how: (char, char)) -> Result<String> {
    let (fill, align) = how;
    run.fuel
        .take_bytes(missing.saturating_mul(fill.len_utf8()))?;
    let (before, within) = match align {
        '<' => (0, 0),
        '^' => (missing / 2, 0),
        '=' => (0, missing),
        _ => (missing, 0),
    };
    let [sign, body] = parts;
    let fills = |count: usize| std::iter::repeat_n(fill, count);
    let mut out: String = fills(before).collect();
    out.push_str(sign);
    out.extend(fills(within));
    out.push_str(body);
    out.extend(fills(missing - before - within));
    Ok(out)
}

fn whole(number: &BigInt, spec: &Spec, kind: char) -> Result<Parts> {
    let group = spec.group(kind)?;
    if spec.precision.is_some() || spec.drops_negative_zero {
        return refused("a whole number has no precision in a format");
    }
    let (base, prefix) = match kind {
        'c' => return single(number, spec),
        'b' => (2, "0b"),
        'o' => (8, "0o"),
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        'd' | 'n' => (10, ""),
        _ => return refused(format!("a whole number has no format `{kind}`")),
    };
    let digits = numbers::whole(number, base)?;
    Ok(Parts {
        is_negative: number.is_negative(),
        prefix: if spec.alternate { prefix } else { "" },
        whole: match kind {
            'X' => digits.to_uppercase(),
            _ => digits,
        },
        rest: String::new(),
        group,
    })
}

fn single(number: &BigInt, spec: &Spec) -> Result<Parts> {
    if spec.sign.is_some() || spec.alternate {
        return refused("a character has no sign in a format");
    }
    let c = character(&Value::from(number.clone()))?;
    Ok(Parts {
        rest: c.into(),
        ..Parts::default()
    })
}

fn float(run: &Run<'_>, number: f64, spec: &Spec) -> Result<Parts> {
    let kind = spec.kind.unwrap_or('\0');
    let group = spec.group(kind)?;
    let notation = match kind {
        'e' | 'E' => Notation::Exponent,
        'f' | 'F' | '%' => Notation::Fixed,
        'g' | 'G' | 'n' => Notation::General,
        '\0' if spec.precision.is_none() => Notation::Shortest,
        '\0' => Notation::General,
        _ => return refused(format!("a float has no format `{kind}`")),
    };
    let form = Form {
        notation,
        precision: spec.precision.unwrap_or(6),
        alternate: spec.alternate,
        adds_zero: kind == '\0',
    };
    run.fuel.take_bytes(form.precision)?;
    let number = if kind == '%' { number * 100.0 } else { number };
    let mut text = form.unsigned(number);
    let mantissa = text.split('e').next().unwrap_or_default();
    let is_zero = mantissa.chars().all(|c| matches!(c, '0' | '.'));
    match kind {
        '%' => text.push('%'),
        'E' | 'F' | 'G' => text.make_ascii_uppercase(),
        _ => {}
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let rest = text.split_off(end);
    Ok(Parts {
        is_negative: numbers::is_negative(number) && !(spec.drops_negative_zero && is_zero),
        prefix: "",
        whole: text,
        rest,
        group,
    })
}

impl Parts {
    fn in_place(&self, run: &Run<'_>, spec: &Spec) -> Result<String> {
        let sign = match (self.is_negative, spec.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        };
        let before = format!("{sign}{}", self.prefix);
        let width = spec.width.unwrap_or(0);
        let align = spec.number_alignment();
        let missing = width.saturating_sub(before.len() + self.rest.chars().count());
        let least = match (spec.fill, align) {
            ('0', '=') => missing,
            _ => 0,
        };
        run.fuel.take_bytes(least)?;
        let digits = match self.whole.is_empty() {
            true => String::new(),
            false => grouped(&self.whole, (self.group, spec.separator), least),
        };
        let missing = missing.saturating_sub(digits.len());
        padded(
            run,
            [&before, &(digits + &self.rest)],
            missing,
            (spec.fill, align),
        )
    }
}

/// Separates groups of digits, with zeros before them up to a width.
fn grouped(digits: &str, by: (usize, Option<char>), width: usize) -> String {
    let (size, Some(separator)) = by else {
        return format!("{}{digits}", "0".repeat(width.saturating_sub(digits.len())));
    };
    let mut reversed = String::with_capacity(width);
    let mut left = digits.chars().rev().peekable();
    while left.peek().is_some() || reversed.len() < width {
        if !reversed.is_empty() {
            reversed.push(separator);
        }
        for place in 0..size {
            if place > 0 && left.peek().is_none() && reversed.len() >= width {
                break;
            }
            reversed.push(left.next().unwrap_or('0'));
        }
    }
    reversed.chars().rev().collect()
}
