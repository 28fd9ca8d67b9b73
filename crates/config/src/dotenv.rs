use crate::ConfigError;

/// One assignment of a `.env` file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: usize,
}

const FORM: &str = "`NAME=value`, a comment that begins with `#`, or nothing";

/// Parses the text of a `.env` file: `NAME=value` lines, optionally after `export`; values bare (up to
/// ` #`), in single quotes (as they are) or in double quotes (with `\n`, `\t`, `\"`, `\\`, `\$`).
/// There is no interpolation.
pub(crate) fn parse(text: &str) -> Result<Vec<Assignment>, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut assignments: Vec<Assignment> = Vec::new();
    for (index, content) in text.lines().enumerate() {
        let Some(assignment) = parse_line(index + 1, content.trim())? else {
            continue;
        };
        refuse_second(&assignments, &assignment)?;
        assignments.push(assignment);
    }
    Ok(assignments)
}

fn refuse_second(earlier: &[Assignment], assignment: &Assignment) -> Result<(), ConfigError> {
    let first = earlier.iter().find(|other| other.name == assignment.name);
    first.map_or(Ok(()), |first| {
        Err(ConfigError::Syntax {
            line: assignment.line,
            expected: "each name once",
            found: format!("`{}`, which line {} sets too", first.name, first.line),
            fix: "remove one of the lines",
        })
    })
}

fn parse_line(line: usize, content: &str) -> Result<Option<Assignment>, ConfigError> {
    if content.is_empty() || content.starts_with('#') {
        return Ok(None);
    }
    let content = content.strip_prefix("export ").unwrap_or(content);
    let Some((name, value)) = content.split_once('=') else {
        let found = "a line without `=`".to_owned();
        let fix = "complete or remove the line";
        return Err(syntax(line, FORM, found, fix));
    };
    let name = name.trim();
    if !is_name(name) {
        let found = "another name before `=`".to_owned();
        let expected = "a name of letters, digits and `_` that does not begin with a digit";
        return Err(syntax(line, expected, found, "correct the name"));
    }
    let value = parse_value(line, value.trim())?;
    let name = name.to_owned();
    Ok(Some(Assignment { name, value, line }))
}

fn is_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}

fn parse_value(line: usize, value: &str) -> Result<String, ConfigError> {
    let mut rest = value.chars();
    match rest.next() {
        Some('\'') => parse_quoted(line, '\'', rest.as_str()),
        Some('"') => parse_quoted(line, '"', rest.as_str()),
        _ => Ok(bare(value).to_owned()),
    }
}

fn bare(value: &str) -> &str {
    let starts_comment = |(at, _): &(usize, &str)| {
        *at == 0 || value[..*at].ends_with(|before: char| before.is_whitespace())
    };
    match value.match_indices('#').find(starts_comment) {
        Some((at, _)) => value[..at].trim_end(),
        None => value,
    }
}

fn parse_quoted(line: usize, quote: char, text: &str) -> Result<String, ConfigError> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == quote {
            return end_of_line(line, characters.as_str()).map(|()| value);
        }
        if quote == '"' && character == '\\' {
            value.push(escaped(line, characters.next())?);
        } else {
            value.push(character);
        }
    }
    let found = format!("no closing {quote}");
    let fix = "close the quotes on the same line";
    Err(syntax(line, "a value in quotes", found, fix))
}

fn escaped(line: usize, character: Option<char>) -> Result<char, ConfigError> {
    match character {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some(itself @ ('"' | '\\' | '$')) => Ok(itself),
        _ => {
            let expected = r#"one of `\n`, `\t`, `\"`, `\\`, `\$` in double quotes"#;
            let fix = "write the backslash twice, or use single quotes";
            Err(syntax(line, expected, "another escape".to_owned(), fix))
        }
    }
}

fn end_of_line(line: usize, rest: &str) -> Result<(), ConfigError> {
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        return Ok(());
    }
    let expected = "the end of the line or a comment after the closing quote";
    let fix = "put the whole value in quotes";
    Err(syntax(line, expected, "more text".to_owned(), fix))
}

fn syntax(line: usize, expected: &'static str, found: String, fix: &'static str) -> ConfigError {
    ConfigError::Syntax {
        line,
        expected,
        found,
        fix,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn pairs(text: &str) -> Vec<(String, String, usize)> {
        let assignments = parse(text).expect("the text parses");
        assignments
            .into_iter()
            .map(|assignment| (assignment.name, assignment.value, assignment.line))
            .collect()
    }

    fn value(line: &str) -> String {
        pairs(line).remove(0).1
    }

    #[test]
    fn assignments_keep_their_lines_past_comments_blanks_bom_and_crlf() {
        let found = pairs("\u{feff}A=1\r\n\r\n# no\r\n  export B_2 = two words \r\n");

        let expected = [("A", "1", 1), ("B_2", "two words", 4)];
        assert_eq!(
            found,
            expected.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line))
        );
    }

    #[test]
    fn a_comment_after_a_bare_value_begins_at_a_hash_after_white_space() {
        assert_eq!(value("A=one # two"), "one");
        assert_eq!(value("A=one#two"), "one#two");
        assert_eq!(value("A= # nothing"), "");
        assert_eq!(value("A=a=b"), "a=b");
    }

    #[test]
    fn quotes_keep_hashes_and_only_double_quotes_read_escapes() {
        assert_eq!(value(r"A='x # \n' # comment"), r"x # \n");
        assert_eq!(value(r#"A="x\n\"y\" \$z""#), "x\n\"y\" $z");
    }

    #[test]
    fn what_is_not_an_assignment_is_refused_with_its_line_and_without_its_text() {
        for text in [
            "\nhf_secret",
            "\n1hf_secret=x",
            "\nA='hf_secret",
            "\nA=\"hf_secret\\q\"",
            "\nA=\"hf_secret\" hf_secret",
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.starts_with("`.env`, line 2: expected "), "{error}");
            assert!(!error.contains("hf_secret"), "{error}");
        }
    }

    #[test]
    fn a_name_that_is_set_twice_is_refused_naming_both_lines() {
        let error = parse("A=1\nB=2\nA=3").expect_err("twice").to_string();

        assert_eq!(
            error,
            "`.env`, line 3: expected each name once, found `A`, which line 1 sets too; \
             remove one of the lines"
        );
    }
}
