//! The one day that it always is.

use crate::error::{Result, unknown};

/// No directive becomes longer than this.
pub(crate) const MOST_BYTES: usize = 24;

/// Formats 26 July 2024 at midnight, whatever the day.
///
/// A clock would give every day's prompts other tokens than those trained on. The date is the one
/// that Llama 3's templates fall back to where there is no clock.
pub(crate) fn strftime_now(format: &str) -> Result<String> {
    let mut out = String::with_capacity(format.len());
    let mut rest = format;
    while let Some((before, directive)) = rest.split_once('%') {
        out.push_str(before);
        let (part, after) = match directive.strip_prefix('-') {
            Some(unpadded) => unpadded_part(unpadded)?,
            None => date_part(directive)?,
        };
        out.push_str(part);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Returns what a directive at the beginning of a text stands for, and what comes after it.
fn date_part(text: &str) -> Result<(&'static str, &str)> {
    let mut characters = text.chars();
    let part = match characters.next() {
        Some('d' | 'e') => "26",
        Some('m') => "07",
        Some('Y' | 'G') => "2024",
        Some('y' | 'g') => "24",
        Some('C') => "20",
        Some('b' | 'h') => "Jul",
        Some('B') => "July",
        Some('a') => "Fri",
        Some('A') => "Friday",
        Some('u' | 'w') => "5",
        Some('j') => "208",
        Some('U') => "29",
        Some('V' | 'W') => "30",
        Some('F') => "2024-07-26",
        Some('D' | 'x') => "07/26/24",
        Some('c') => "Fri Jul 26 00:00:00 2024",
        Some('H' | 'M' | 'S') => "00",
        Some('I' | 'l') => "12",
        Some('k') => " 0",
        Some('p') => "AM",
        Some('P') => "am",
        Some('f') => "000000",
        Some('R') => "00:00",
        Some('T' | 'X') => "00:00:00",
        Some('r') => "12:00:00 AM",
        Some('z' | 'Z') => "",
        Some('n') => "\n",
        Some('t') => "\t",
        Some('%') | None => "%",
        Some(other) => {
            return unknown(format!(
                "strftime_now does not know the directive `%{other}`"
            ));
        }
    };
    Ok((part, characters.as_str()))
}

/// As [`date_part`], of numbers that are not padded.
fn unpadded_part(text: &str) -> Result<(&'static str, &str)> {
    let number = match text.chars().next() {
        Some('d' | 'e') => "26",
        Some('m') => "7",
        Some('Y') => "2024",
        Some('y') => "24",
        Some('j') => "208",
        Some('H' | 'k' | 'M' | 'S') => "0",
        Some('I' | 'l') => "12",
        Some('b' | 'B' | 'a' | 'A' | 'p') => return date_part(text),
        other => {
            let found = other.map_or(String::new(), String::from);
            return unknown(format!(
                "strftime_now does not know the directive `%-{found}`"
            ));
        }
    };
    Ok((number, text.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_the_same_every_day() {
        let date = strftime_now("%d %b %Y, %A").unwrap();
        assert_eq!(date, "26 Jul 2024, Friday");
        assert_eq!(strftime_now("%-d.%-m.%y %I%%").unwrap(), "26.7.24 12%");
        assert!(strftime_now("%Q").is_err());
    }
}
