//! What Hugging Face's chat templates expect beyond plain Jinja.

use minijinja::{
    Environment, Error, ErrorKind, Value,
    value::{Kwargs, from_args},
};
use minijinja_contrib::pycompat;

/// Adds Python's methods, `raise_exception`, `strftime_now` and an unescaped `tojson`.
pub(crate) fn install(environment: &mut Environment<'static>) {
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
}

/// Replaces `{% generation %}` and `{% endgeneration %}` with tags that do nothing.
///
/// They only mark what is trained, which we know from rendering prefixes.
pub(crate) fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag, after)) = split_tag(rest) {
        out.push_str(before);
        let name = tag.trim_matches(['{', '}', '%', '-', '+', ' ', '\t', '\n']);
        match name {
            "generation" => out.push_str(&tag.replace(name, "if true")),
            "endgeneration" => out.push_str(&tag.replace(name, "endif")),
            _ => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Splits at the first `{% … %}`.
fn split_tag(source: &str) -> Option<(&str, &str, &str)> {
    let start = source.find("{%")?;
    let end = start + source.get(start..)?.find("%}")? + 2;
    Some((
        source.get(..start)?,
        source.get(start..end)?,
        source.get(end..)?,
    ))
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// Formats 26 July 2024, whatever the day.
///
/// A clock would give every day's prompts other tokens than those trained on. The date is the one
/// that Llama 3's templates fall back to where there is no clock.
fn strftime_now(format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(c) = characters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let directive = match characters.next() {
            Some('-') => characters.next(),
            directive => directive,
        };
        out.push_str(date_part(directive)?);
    }
    Ok(out)
}

fn date_part(directive: Option<char>) -> Result<&'static str, Error> {
    Ok(match directive {
        Some('d' | 'e') => "26",
        Some('m') => "07",
        Some('Y') => "2024",
        Some('y') => "24",
        Some('b' | 'h') => "Jul",
        Some('B') => "July",
        Some('a') => "Fri",
        Some('A') => "Friday",
        Some('j') => "208",
        Some('F') => "2024-07-26",
        Some('H' | 'M' | 'S') => "00",
        Some('%') => "%",
        other => {
            let found = other.map_or(String::new(), String::from);
            let message = format!("strftime_now does not know the directive `%{found}`");
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    })
}

/// Writes JSON as Python's `json.dumps(value, ensure_ascii=False)` does.
fn tojson(value: &Value, arguments: Kwargs) -> Result<Value, Error> {
    let indent: Option<Value> = arguments.get("indent")?;
    // Accepted for templates that say what is always so here.
    let _: Option<bool> = arguments.get("ensure_ascii")?;
    arguments.assert_all_used()?;
    let (none,): (Kwargs,) = from_args(&[])?;
    let escaped = minijinja::filters::tojson(value, indent, none)?;
    let text = escaped.as_str().unwrap_or_default();
    Ok(Value::from(without_html_escapes(text)))
}

/// Undoes the escapes that minijinja adds so that JSON can stand in HTML.
fn without_html_escapes(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let (text, length) = match escape.get(..6) {
            Some("\\u003c") => ("<", 6),
            Some("\\u003e") => (">", 6),
            Some("\\u0026") => ("&", 6),
            Some("\\u0027") => ("'", 6),
            // A backslash and what it escapes stay together, so that `\\u003c` stays as it is.
            _ => (escape.get(..2).unwrap_or(escape), 2),
        };
        out.push_str(text);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String, Error> {
        let mut environment = Environment::new();
        install(&mut environment);
        environment.render_str(source, ())
    }

    #[test]
    fn json_is_not_escaped_for_html() {
        let source = r#"{{ {"a": "<b> & 'c' \\u003c é\n"} | tojson }}"#;
        assert_eq!(render(source).unwrap(), r#"{"a": "<b> & 'c' \\u003c é\n"}"#);
    }

    #[test]
    fn json_is_indented_as_python_does_it() {
        assert_eq!(
            render("{{ [1, {'a': 2}] | tojson(indent=2) }}").unwrap(),
            "[\n  1,\n  {\n    \"a\": 2\n  }\n]"
        );
    }

    #[test]
    fn the_date_is_the_same_every_day() {
        assert_eq!(
            render("{{ strftime_now('%d %b %Y, %A') }}").unwrap(),
            "26 Jul 2024, Friday"
        );
        assert!(render("{{ strftime_now('%Q') }}").is_err());
    }

    #[test]
    fn generation_tags_keep_their_white_space_control() {
        assert_eq!(
            without_generation_tags("a {%- generation -%} b {% endgeneration %}{% if x %}"),
            "a {%- if true -%} b {% endif %}{% if x %}"
        );
        assert_eq!(
            without_generation_tags("generation {% x"),
            "generation {% x"
        );
    }
}
