//! Python's methods of texts.

use minijinja::{Error, ErrorKind, State, Value};

use super::{
    arguments::{Arguments, expect_text, refused},
    formatting,
    methods::{charge, join, texts},
    objects::Shape,
    strings::{self, Numeral, Within, is_line_break, is_space, numeral},
};

/// Calls a method of a text.
pub(super) fn call(
    state: &State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let text = value.as_str().unwrap_or_default();
    if value.is_safe() {
        return Err(refused(format!(
            "`{method}` of a text that is marked as safe is not known here; leave out the mark"
        )));
    }
    if method == "format" {
        return formatting::braces(text, arguments);
    }
    let given = Arguments::of(arguments, 3)?;
    let result = match method {
        "upper" | "lower" | "title" | "capitalize" | "swapcase" | "casefold" => {
            cased(text, method)?
        }
        "strip" | "lstrip" | "rstrip" => stripped(text, method, &given)?,
        "split" | "rsplit" | "splitlines" | "partition" | "rpartition" => {
            parts(text, method, &given)?
        }
        "startswith" | "endswith" => matches(text, method, &given)?,
        "find" | "rfind" | "index" | "rindex" | "count" => found(text, method, &given)?,
        "center" | "ljust" | "rjust" | "zfill" => padded(state, text, method, &given)?,
        "replace" => replaced(state, text, &given)?,
        "removeprefix" => {
            let affix = given.required_text(0, "")?;
            Value::from(text.strip_prefix(&affix).unwrap_or(text))
        }
        "removesuffix" => {
            let affix = given.required_text(0, "")?;
            Value::from(text.strip_suffix(&affix).unwrap_or(text))
        }
        "join" => Value::from(join(state, text, &given.required(0, "")?)?),
        _ if method.starts_with("is") => Value::from(asked(text, method)?),
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    };
    let takes_none =
        method.starts_with("is") || matches!(method, "upper" | "lower" | "title" | "capitalize");
    if takes_none && !arguments.is_empty() {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    given.finish()?;
    Ok(result)
}

fn cased(text: &str, method: &str) -> Result<Value, Error> {
    Ok(Value::from(match method {
        "upper" => text.to_uppercase(),
        "lower" => text.to_lowercase(),
        "title" => strings::title(text),
        "capitalize" => strings::capitalize(text),
        "casefold" if text.is_ascii() => text.to_ascii_lowercase(),
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    }))
}

fn stripped(text: &str, method: &str, given: &Arguments<'_>) -> Result<Value, Error> {
    let characters = given.text(0, "")?;
    let is_stripped = |c: char| match &characters {
        Some(characters) => characters.contains(c),
        None => is_space(c),
    };
    Ok(Value::from(match method {
        "lstrip" => text.trim_start_matches(is_stripped),
        "rstrip" => text.trim_end_matches(is_stripped),
        _ => text.trim_matches(is_stripped),
    }))
}

fn parts(text: &str, method: &str, given: &Arguments<'_>) -> Result<Value, Error> {
    if method == "splitlines" {
        let lines = strings::lines(text).into_iter();
        let keeps_ends = given.is_true(0, "keepends")?;
        return Ok(lines
            .map(|it| {
                if keeps_ends {
                    it
                } else {
                    it.strip_suffix("\r\n")
                        .unwrap_or(it.trim_end_matches(is_line_break))
                }
            })
            .map(Value::from)
            .collect());
    }
    if let "partition" | "rpartition" = method {
        let separator = separator(given.text(0, "")?)?.ok_or(ErrorKind::MissingArgument)?;
        let parts = match method {
            "partition" => text.split_once(&separator),
            _ => text.rsplit_once(&separator),
        };
        return Ok(match (parts, method) {
            (Some((before, after)), _) => texts([before, &separator, after]),
            (None, "partition") => texts([text, "", ""]),
            (None, _) => texts(["", "", text]),
        });
    }
    let most = given.integer(1, "maxsplit")?.unwrap_or(-1);
    let most = usize::try_from(most).unwrap_or(usize::MAX - 1);
    let separator = separator(given.text(0, "sep")?)?;
    let parts = match (separator, method) {
        (Some(separator), "split") => text.splitn(most + 1, &separator).map(Value::from).collect(),
        (Some(separator), _) => reversed(text.rsplitn(most + 1, &separator).collect()),
        (None, "split") => words(text, most).into_iter().map(Value::from).collect(),
        (None, _) => reversed(words_from_end(text, most)),
    };
    Ok(parts)
}

fn separator(given: Option<String>) -> Result<Option<String>, Error> {
    match given {
        Some(separator) if separator.is_empty() => {
            Err(refused("a text cannot be split at nothing"))
        }
        separator => Ok(separator),
    }
}

fn reversed(parts: Vec<&str>) -> Value {
    parts.into_iter().rev().map(Value::from).collect()
}

fn words(text: &str, most: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() && words.len() < most {
        let end = rest.find(is_space).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        words.push(word);
        rest = after.trim_start_matches(is_space);
    }
    if !rest.is_empty() {
        words.push(rest);
    }
    words
}

fn words_from_end(text: &str, most: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while !rest.is_empty() && words.len() < most {
        let space = rest.char_indices().rfind(|(_, c)| is_space(*c));
        let (before, word) = rest.split_at(space.map_or(0, |(at, c)| at + c.len_utf8()));
        words.push(word);
        rest = before.trim_end_matches(is_space);
    }
    if !rest.is_empty() {
        words.push(rest);
    }
    words
}

fn matches(text: &str, method: &str, given: &Arguments<'_>) -> Result<Value, Error> {
    let affix = given.required(0, "")?;
    let affixes = match Shape::of(&affix) {
        Shape::Tuple => affix.try_iter()?.collect(),
        _ => vec![affix],
    };
    let affixes = affixes
        .iter()
        .map(expect_text)
        .collect::<Result<Vec<_>, _>>()?;
    let within = Within::new(text, given.integer(1, "")?, given.integer(2, "")?);
    let is_match = |part: Within<'_>| {
        affixes.iter().any(|it| match method {
            "startswith" => part.text.starts_with(it),
            _ => part.text.ends_with(it),
        })
    };
    Ok(Value::from(within.is_some_and(is_match)))
}

fn found(text: &str, method: &str, given: &Arguments<'_>) -> Result<Value, Error> {
    let what = given.required_text(0, "")?;
    let within = Within::new(text, given.integer(1, "")?, given.integer(2, "")?);
    if method == "count" {
        return Ok(Value::from(
            within.map_or(0, |it| it.text.matches(&what).count()),
        ));
    }
    let place = within.and_then(|it| {
        let byte = match method {
            "find" | "index" => it.text.find(&what),
            _ => it.text.rfind(&what),
        };
        byte.map(|byte| it.character(byte))
    });
    match place {
        Some(place) => Ok(Value::from(place)),
        None if method.ends_with("find") => Ok(Value::from(-1)),
        None => Err(refused(format!("`{what}` is not in the text"))),
    }
}

fn padded(
    state: &State<'_, '_>,
    text: &str,
    method: &str,
    given: &Arguments<'_>,
) -> Result<Value, Error> {
    let width = i64::try_from(given.required(0, "")?)?;
    let fill = match method {
        "zfill" => "0".to_owned(),
        _ => given.text(1, "")?.unwrap_or_else(|| " ".to_owned()),
    };
    if fill.chars().count() != 1 {
        return Err(refused("a text is filled up with one character"));
    }
    let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
    charge(state, width)?;
    let missing = width.saturating_sub(text.chars().count());
    let before = match method {
        "ljust" => 0,
        // Python puts the odd one before where the width is odd too.
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let (before, after) = (fill.repeat(before), fill.repeat(missing - before));
    let sign = match method {
        "zfill" if text.starts_with(['+', '-']) => 1,
        _ => 0,
    };
    let (sign, text) = text.split_at(sign);
    Ok(Value::from(format!("{sign}{before}{text}{after}")))
}

fn replaced(state: &State<'_, '_>, text: &str, given: &Arguments<'_>) -> Result<Value, Error> {
    let (old, new) = (given.required_text(0, "")?, given.required_text(1, "")?);
    let most = given.integer(2, "")?.unwrap_or(-1);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let places = (text.len() / old.len().max(1) + 1).min(most);
    charge(
        state,
        places.saturating_mul(new.len().saturating_sub(old.len())),
    )?;
    Ok(Value::from(text.replacen(&old, &new, most)))
}

/// Answers what all characters of a text are.
fn asked(text: &str, method: &str) -> Result<bool, Error> {
    let all = |is: fn(char) -> Option<bool>| {
        let mut answers = text.chars().map(is);
        let all = answers.try_fold(true, |all, it| it.map(|it| all && it));
        let message = format!("`{method}` of `{text}` is not known here");
        all.map(|it| it && !text.is_empty())
            .ok_or_else(|| refused(message))
    };
    let has = |is: fn(char) -> bool| text.chars().any(is);
    match method {
        "isascii" => Ok(text.is_ascii()),
        "isspace" => all(|c| Some(is_space(c))),
        "isalpha" => all(|c| Some(is_alphabetic(c))),
        "isdecimal" => all(|c| is_numeral(c, &[Numeral::Decimal])),
        "isdigit" => all(|c| is_numeral(c, &[Numeral::Decimal, Numeral::Digit])),
        "isnumeric" => all(|c| Some(numeral(c) != Numeral::No)),
        "isalnum" => all(|c| Some(is_alphabetic(c) || numeral(c) != Numeral::No)),
        "islower" => Ok(has(char::is_lowercase) && !has(char::is_uppercase)),
        "isupper" => Ok(has(char::is_uppercase) && !has(char::is_lowercase)),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// Letters alone; Unicode has numbers and marks among what is alphabetic.
fn is_alphabetic(c: char) -> bool {
    c.is_alphabetic() && (!c.is_numeric() || matches!(c, '\u{3400}'..='\u{9fff}'))
}

fn is_numeral(c: char, kinds: &[Numeral]) -> Option<bool> {
    match numeral(c) {
        Numeral::Unknown => None,
        kind => Some(kinds.contains(&kind)),
    }
}
