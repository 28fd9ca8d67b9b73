//! Python's methods of texts.

mod asking;
mod filling;
mod markup;
mod searching;
mod splitting;
mod translating;

pub(crate) use self::{filling::fills, markup::has_of_safe};

use std::{borrow::Cow, collections::HashSet};

use crate::{
    calls::{Arguments, Given},
    error::{Result, unknown},
    formatting, iteration, printing,
    run::Run,
    strings::{self, is_space},
    value::Value,
};

/// The names of Python's methods of texts.
const NAMES: [&str; 47] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

/// Returns whether Python's texts have a method, called here or not.
pub(crate) fn has(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls a method of a text. One that is marked as safe has some more, and stays safe.
pub(crate) fn call(run: &Run<'_>, of: &Value, name: &str, given: &Given) -> Result<Value> {
    let text = of.expect_text()?;
    run.fuel.take_bytes(text.len())?;
    match name {
        "upper" | "lower" | "title" | "capitalize" | "swapcase" | "casefold" => {
            given.nothing()?;
            Ok(Value::text_like(cased(text, name), of))
        }
        "strip" | "lstrip" | "rstrip" => {
            let stripped = stripped(run, text, given.read([""])?.text(0)?, Ends::named(name))?;
            Ok(Value::text_like(stripped, of))
        }
        "removeprefix" | "removesuffix" => without_affix(of, name, given),
        "split" | "rsplit" | "splitlines" | "partition" | "rpartition" => {
            splitting::call(run, of, name, given)
        }
        "startswith" | "endswith" | "find" | "rfind" | "index" | "rindex" | "count" => {
            searching::call(run, text, name, given)
        }
        "center" | "ljust" | "rjust" | "zfill" | "expandtabs" => {
            filling::call(run, of, name, given)
        }
        "replace" => replace(run, of, given),
        "join" => join(run, of, given),
        "format" => formatting::braces(run, of, given),
        "format_map" => formatting::format_map(run, of, given.read([""])?.required(0)?),
        "translate" => translating::translate(run, of, given),
        "maketrans" => translating::maketrans(run, given),
        "encode" => unknown("`encode` makes bytes, which are not known here"),
        _ if has(name) => {
            given.nothing()?;
            Ok(Value::Bool(asking::is(text, name)))
        }
        _ => markup::call(run, of, name, given),
    }
}

fn cased(text: &str, name: &str) -> String {
    match name {
        "upper" => strings::upper(text),
        "lower" => strings::lower(text),
        "title" => strings::title(text),
        "capitalize" => strings::capitalize(text),
        "swapcase" => strings::swapcase(text),
        _ => strings::casefold(text),
    }
}

/// Which ends of a text are cut.
#[derive(Clone, Copy)]
pub(crate) enum Ends {
    Left,
    Right,
    Both,
}

impl Ends {
    fn named(name: &str) -> Self {
        match name {
            "lstrip" => Self::Left,
            "rstrip" => Self::Right,
            _ => Self::Both,
        }
    }
}

/// Cuts white space, or what else is given, from the ends of a text.
pub(crate) fn stripped<'a>(
    run: &Run<'_>,
    text: &'a str,
    characters: Option<&str>,
    ends: Ends,
) -> Result<&'a str> {
    // Many characters to look through for each character would take long.
    let many = characters.filter(|it| it.len() > 64);
    run.fuel.take_items(many.map_or(0, str::len) / 8)?;
    let many: Option<HashSet<char>> = many.map(|it| it.chars().collect());
    let is_stripped = |c: char| match (&many, characters) {
        (Some(many), _) => many.contains(&c),
        (None, Some(characters)) => characters.contains(c),
        (None, None) => is_space(c),
    };
    Ok(match ends {
        Ends::Left => text.trim_start_matches(is_stripped),
        Ends::Right => text.trim_end_matches(is_stripped),
        Ends::Both => text.trim_matches(is_stripped),
    })
}

fn without_affix(of: &Value, name: &str, given: &Given) -> Result<Value> {
    let text = of.expect_text()?;
    let parameter = match (name, of) {
        ("removesuffix", Value::Safe(_)) => "suffix",
        _ => "",
    };
    let given = given.read([parameter])?;
    let affix = given.required_text(0)?;
    let rest = match name {
        "removeprefix" => text.strip_prefix(affix),
        _ => text.strip_suffix(affix),
    };
    Ok(Value::text_like(rest.unwrap_or(text), of))
}

fn replace(run: &Run<'_>, of: &Value, given: &Given) -> Result<Value> {
    let text = of.expect_text()?;
    let given = given.read(["", "", ""])?;
    let (old, new) = (given.required_text(0)?, given.required(1)?);
    let new = &*argument(run, of, new)?;
    let most = index_or(&given, 2, -1)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let places = text.matches(old).count().min(most);
    run.fuel.take_bytes(places.saturating_mul(new.len()))?;
    Ok(Value::text_like(text.replacen(old, new, most), of))
}

fn join(run: &Run<'_>, of: &Value, given: &Given) -> Result<Value> {
    let between = of.expect_text()?;
    let given = given.read([""])?;
    let mut left = iteration::iter(given.required(0)?)?;
    let mut out = String::new();
    let mut is_first = true;
    while let Some(value) = left.next(run)? {
        let part = argument(run, of, &value)?;
        let between = if is_first { "" } else { between };
        run.fuel
            .take_bytes(between.len().saturating_add(part.len()))?;
        out.extend([between, &part]);
        is_first = false;
    }
    Ok(Value::text_like(out, of))
}

/// Returns an argument that is put into a text, which is escaped where the text is marked as safe.
fn argument<'a>(run: &Run<'_>, of: &Value, value: &'a Value) -> Result<Cow<'a, str>> {
    match of.is_safe() {
        true => printing::escape(&run.fuel, value),
        false => value.expect_text().map(Into::into),
    }
}

fn index_or<const N: usize>(given: &Arguments<'_, N>, place: usize, default: i64) -> Result<i64> {
    given.get(place).map_or(Ok(default), Value::expect_index)
}
