//! The filter that makes links of addresses.

use super::{size, words::is_word};
use crate::{
    calls::Given,
    error::{Result, refused, unknown},
    iteration, printing,
    run::Run,
    strings,
    value::Value,
};

/// How links are written.
struct Links {
    longest: Option<usize>,
    attributes: String,
    schemes: Vec<String>,
}

pub(super) fn urlize(run: &Run<'_>, value: &Value, given: &Given) -> Result<Value> {
    let names = [
        "trim_url_limit",
        "nofollow",
        "target",
        "rel",
        "extra_schemes",
    ];
    let arguments = given.read(names)?;
    let mut rel: Vec<&str> = words_of(arguments.text(3)?.unwrap_or_default());
    rel.push("noopener");
    rel.extend(arguments.is_true(1).then_some("nofollow"));
    rel.sort_unstable();
    rel.dedup();
    let mut attributes = format!(" rel=\"{}\"", printing::escaped(&run.fuel, &rel.join(" "))?);
    if let Some(target) = arguments.get(2).filter(|it| it.is_true()) {
        let target = printing::escape(&run.fuel, target)?;
        attributes.push_str(&format!(" target=\"{target}\""));
    }
    let links = Links {
        longest: arguments.some(0).map(limit).transpose()?,
        attributes,
        schemes: schemes(run, arguments.some(4))?,
    };
    let text = printing::escape(&run.fuel, value)?;
    run.fuel.take_bytes(text.len().saturating_mul(8))?;
    let mut out = String::new();
    for part in text.split_inclusive(strings::is_space) {
        let word = part.trim_end_matches(strings::is_space);
        run.fuel.take_items(links.schemes.len())?;
        let link = links.linked(word)?;
        run.fuel.take_bytes(link.len())?;
        out.push_str(&link);
        out.push_str(part.strip_prefix(word).unwrap_or_default());
    }
    Ok(run.marked(out))
}

fn words_of(text: &str) -> Vec<&str> {
    let words = text.split(strings::is_space);
    words.filter(|it| !it.is_empty()).collect()
}

fn limit(value: &Value) -> Result<usize> {
    match value.expect_index()? < 0 {
        true => refused("urlize cannot cut links to less than nothing"),
        false => size(value),
    }
}

/// Reads how addresses begin that are links too.
fn schemes(run: &Run<'_>, given: Option<&Value>) -> Result<Vec<String>> {
    let given = given.map_or(Ok(Vec::new()), |it| iteration::all(run, it))?;
    let mut schemes = Vec::new();
    for scheme in &given {
        let scheme = scheme.expect_text()?;
        let (name, slashes) = scheme.split_once(':').unwrap_or_default();
        let is_named = |c| is_word(c) || matches!(c, '.' | '+' | '-');
        let is_name = name.chars().count() >= 2 && name.chars().all(is_named);
        if !is_name || !matches!(slashes, "" | "/" | "//") {
            return refused(format!("no address begins with `{scheme}`"));
        }
        schemes.push(scheme.to_owned());
    }
    Ok(schemes)
}

impl Links {
    /// Makes a link of a word, if it is an address, without the brackets and stops around it.
    fn linked(&self, word: &str) -> Result<String> {
        // Python takes them for letters of ASCII where it does not care for the case.
        if let Some(c) = word
            .chars()
            .find(|c| matches!(c, 'İ' | 'ı' | 'ſ' | '\u{212a}'))
        {
            return unknown(format!("urlize does not know the letter `{c}`"));
        }
        let inner = without(word, str::strip_prefix, ["(", "<", "&lt;"]);
        let head = word.strip_suffix(inner).unwrap_or_default();
        let outer = inner;
        let inner = without(inner, str::strip_suffix, [")", ">", ".", ",", "&gt;"]);
        let inner = balanced(outer, inner.len());
        let tail = outer.strip_prefix(inner).unwrap_or_default();
        Ok([head, &self.link(inner), tail].concat())
    }

    fn link(&self, address: &str) -> String {
        let attributes = &self.attributes;
        if is_page(address) {
            let shown = self.shown(address);
            let scheme = match address.starts_with("https://") || address.starts_with("http://") {
                true => "",
                false => "https://",
            };
            return format!("<a href=\"{scheme}{address}\"{attributes}>{shown}</a>");
        }
        if let Some(mail) = address.strip_prefix("mailto:").filter(|it| is_mail(it)) {
            return format!("<a href=\"{address}\">{mail}</a>");
        }
        let may_be_mail = !address.starts_with("www.") && !address.contains(':');
        if may_be_mail && is_mail(address) && !address.starts_with('@') {
            return format!("<a href=\"mailto:{address}\">{address}</a>");
        }
        let mut link = address.to_owned();
        for scheme in &self.schemes {
            if link != *scheme && link.starts_with(&**scheme) {
                link = format!("<a href=\"{link}\"{attributes}>{link}</a>");
            }
        }
        link
    }

    fn shown(&self, address: &str) -> String {
        let cut = self.longest.and_then(|it| address.char_indices().nth(it));
        match cut {
            Some((at, _)) => format!("{}...", address.split_at(at).0),
            None => address.to_owned(),
        }
    }
}

/// Takes everything away from one end of a word that is one of some marks.
fn without<'a, const N: usize>(
    mut word: &'a str,
    strip: fn(&'a str, &'static str) -> Option<&'a str>,
    marks: [&'static str; N],
) -> &'a str {
    while let Some(rest) = marks.iter().find_map(|it| strip(word, it)) {
        word = rest;
    }
    word
}

/// Lets brackets that are opened in the beginning of a word be closed in it too, as far as they are closed.
fn balanced(word: &str, mut length: usize) -> &str {
    for (open, close) in [("(", ")"), ("<", ">"), ("&lt;", "&gt;")] {
        let (inner, tail) = word.split_at(length);
        let opened = inner.matches(open).count();
        if opened <= inner.matches(close).count() {
            continue;
        }
        let closed = tail.match_indices(close).take(opened).last();
        length += closed.map_or(0, |(at, it)| at + it.len());
    }
    word.split_at(length).0
}

/// Returns what follows one of some beginnings, whose case does not matter.
fn after<'a>(text: &'a str, beginnings: &[&str]) -> Option<&'a str> {
    beginnings.iter().find_map(|it| {
        let (begin, rest) = text.split_at_checked(it.len())?;
        begin.eq_ignore_ascii_case(it).then_some(rest)
    })
}

/// Returns whether a word is the address of a page.
fn is_page(word: &str) -> bool {
    let scheme = after(word, &["https://", "http://"]);
    let rest = scheme.unwrap_or(word);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let place = rest.split_at(end).0;
    let is_port = |it: &str| (1..=5).contains(&it.chars().count()) && it.chars().all(is_digit);
    let host = match place.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.starts_with('[') || host.ends_with(']')) => {
            host
        }
        _ => place,
    };
    match scheme {
        Some(_) => is_named_host(host) || is_numbered_host(host) || is_long_numbered_host(host),
        None => after(host, &["www."]).is_some_and(is_named_host) || is_common_host(host),
    }
}

fn is_digit(c: char) -> bool {
    strings::decimal(c).is_some()
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.chars().all(|c| is_word(c) || c == '%' || c == '-')
}

fn is_named_host(host: &str) -> bool {
    let (labels, last) = host
        .rsplit_once('.')
        .map_or((None, host), |(it, last)| (Some(it), last));
    let is_plain =
        (2..=63).contains(&last.len()) && last.bytes().all(|it| it.is_ascii_alphabetic());
    let is_coded = after(last, &["xn--"]).is_some_and(|it| {
        (2..=59).contains(&it.chars().count()) && it.chars().all(|c| is_word(c) || c == '%')
    });
    (is_plain || is_coded) && labels.is_none_or(|it| it.split('.').all(is_label))
}

fn is_common_host(host: &str) -> bool {
    let common = ["com", "net", "int", "edu", "gov", "org", "info", "mil"];
    let is_sized = |it: &str| is_label(it) && (2..=63).contains(&it.chars().count());
    host.rsplit_once('.').is_some_and(|(labels, last)| {
        common.iter().any(|it| last.eq_ignore_ascii_case(it)) && labels.split('.').all(is_sized)
    })
}

fn is_numbered_host(host: &str) -> bool {
    let is_number = |it: &str| (1..=3).contains(&it.chars().count()) && it.chars().all(is_digit);
    host.split('.').count() == 4 && host.split('.').all(is_number)
}

fn is_long_numbered_host(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let parts: Vec<&str> = inner.map_or(Vec::new(), |it| it.split(':').collect());
    let is_hex = |c: char| is_digit(c) || c.is_ascii_hexdigit();
    if parts.len() < 3 || !parts.iter().all(|it| it.chars().all(is_hex)) {
        return false;
    }
    let (begin, rest) = parts.split_at(2);
    // After two groups with their colons, each of six more takes four digits at most, and the colon after them.
    let groups = |it: &&str| it.chars().count().div_ceil(4).max(1);
    let ends = rest.last().is_some_and(|it| it.is_empty()) && rest.len() > 1;
    let needed = rest.iter().map(groups).sum::<usize>();
    let needed = needed.saturating_sub(usize::from(ends));
    begin.iter().all(|it| it.chars().count() <= 4) && needed <= 6
}

fn is_mail(word: &str) -> bool {
    let Some((name, host)) = word.rsplit_once('@') else {
        return false;
    };
    let Some((begin, last)) = host.rsplit_once('.') else {
        return false;
    };
    let is_part = |c| is_word(c) || c == '.' || c == '-';
    !name.is_empty()
        && !last.is_empty()
        && last.chars().all(is_word)
        && begin.chars().next().is_some_and(is_word)
        && begin.chars().all(is_part)
}
