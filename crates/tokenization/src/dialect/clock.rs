//! The one day that it always is.

use minijinja::{Error, ErrorKind};

/// Formats 26 July 2024, whatever the day.
///
/// A clock would give every day's prompts other tokens than those trained on. The date is the one
/// that Llama 3's templates fall back to where there is no clock.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_the_same_every_day() {
        let date = strftime_now("%d %b %Y, %A").unwrap();
        assert_eq!(date, "26 Jul 2024, Friday");
        assert!(strftime_now("%Q").is_err());
    }
}
