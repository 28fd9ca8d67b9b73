use std::ops::Range;

use super::scan::{ends_in_word, leading, masked, trailing};

/// Finds an e-mail address that may be somebody's: none of those that are kept for examples.
pub(crate) fn email_address(text: &str) -> Option<String> {
    let marks = text.match_indices('@');
    let mut found = marks.filter_map(|(at, _)| address(text, at));
    found.next().map(masked)
}

fn address(text: &str, at: usize) -> Option<&str> {
    let is_local = |it: char| it.is_ascii_alphanumeric() || "._%+-".contains(it);
    let is_domain = |it: char| it.is_ascii_alphanumeric() || ".-".contains(it);
    let local = trailing(&text[..at], is_local).trim_start_matches('.');
    let domain = leading(&text[at + 1..], is_domain).trim_end_matches(['.', '-']);
    let (_, top) = domain.rsplit_once('.')?;
    let is_address = !local.is_empty()
        && (2..=12).contains(&top.len())
        && top.bytes().all(|it| it.is_ascii_alphabetic())
        && !domain.starts_with(['.', '-'])
        && !domain.contains("..");
    let is_known = local == "git" || is_reserved(&domain.to_ascii_lowercase(), top);
    (is_address && !is_known).then(|| &text[at - local.len()..at + 1 + domain.len()])
}

/// RFC 2606 keeps these for examples; files have such names, too.
fn is_reserved(domain: &str, top: &str) -> bool {
    const TOPS: [&str; 9] = [
        "test",
        "example",
        "invalid",
        "localhost",
        "png",
        "jpg",
        "svg",
        "js",
        "css",
    ];
    let name = domain.trim_end_matches(top).trim_end_matches('.');
    let last = name.rsplit('.').next().unwrap_or(name);
    last == "example" || TOPS.contains(&top.to_ascii_lowercase().as_str())
}

/// Finds a telephone number: written with `+` and a country, or as in North America.
pub(crate) fn phone_number(text: &str) -> Option<String> {
    international(text).or_else(|| north_american(text))
}

fn international(text: &str) -> Option<String> {
    let marks = text.match_indices('+');
    let mut found = marks.filter_map(|(at, _)| {
        let is_part = |it: char| it.is_ascii_digit() || " ()-.".contains(it);
        let written = leading(&text[at + 1..], is_part).trim_end_matches([' ', '(', '-', '.']);
        let digits = written.bytes().filter(u8::is_ascii_digit).count();
        let is_number = written.starts_with(|it: char| ('1'..='9').contains(&it))
            && (10..=15).contains(&digits)
            && is_grouped(written)
            && !ends_in_word(&text[..at])
            && !is_fictional(written);
        is_number.then(|| masked(&text[at..at + 1 + written.len()]))
    });
    found.next()
}

/// A group of one digit makes it a sum, unless it is the country's code or the `(0)` behind it.
fn is_grouped(written: &str) -> bool {
    let groups = written.split(|it: char| !it.is_ascii_digit());
    let mut groups = groups.filter(|group| !group.is_empty()).skip(1);
    groups.all(|group| group.len() >= 2 || group == "0")
}

/// Finds `212-736-5000`, `(212) 736-5000` and the like, with or without `1` before it.
fn north_american(text: &str) -> Option<String> {
    let runs = digit_runs(text);
    let mut found = runs.windows(3).enumerate().filter_map(|(index, window)| {
        let [area, exchange, line] = window else {
            return None;
        };
        let lengths = [area, exchange, line].map(Range::len);
        let first_gap = [area.end, exchange.start];
        let is_number = lengths == [3, 3, 4]
            && matches!(
                &text[first_gap[0]..first_gap[1]],
                "-" | "." | ")" | ") " | ")-"
            )
            && matches!(&text[exchange.end..line.start], "-" | ".");
        let start = is_number.then(|| start_of(text, &runs[..index], area.start))??;
        let number = &text[start..line.end];
        let goes_on = text[line.end..].starts_with(|it: char| it.is_alphanumeric() || it == '-');
        (!goes_on && !is_fictional(number)).then(|| masked(number))
    });
    found.next()
}

fn digit_runs(text: &str) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in (0..text.len()).filter(|at| text.as_bytes()[*at].is_ascii_digit()) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Returns where the number begins whose area is at `area`; nothing, where it is the end of something longer.
fn start_of(text: &str, runs_before: &[Range<usize>], area: usize) -> Option<usize> {
    let mut start = area - usize::from(text[..area].ends_with('('));
    if let Some(country) = runs_before.last()
        && &text[country.clone()] == "1"
        && matches!(&text[country.end..start], "-" | "." | " ")
    {
        start = country.start;
    }
    let before = text[..start].chars().next_back();
    let goes_on = before.is_some_and(|it| it.is_alphanumeric() || "-.,_+$/".contains(it));
    (!goes_on).then_some(start)
}

/// Films and examples have 555 for the exchange, and so do numbers that count up.
fn is_fictional(written: &str) -> bool {
    let mut groups = written.split(|it: char| !it.is_ascii_digit());
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    groups.any(|group| group == "555") || digits.contains("1234567") || digits.contains("55501")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_and_masked() {
        let found = email_address("write to anna.berg@mailbox.org, please").unwrap();
        assert_eq!(found, "`ann…` (21 characters)");
        assert!(email_address("<j+news@sub.firma.co.uk>").is_some());
    }

    #[test]
    fn examples_handles_and_files_are_no_addresses() {
        for text in [
            "user@example.com",
            "me@mail.example.org",
            "@anna said",
            "icon@2x.png",
            "git@github.com:a/b",
            "root@localhost",
            "a @ b.c",
            "3 items @ 5.00 each",
            "@decorator.name",
            "x@y",
        ] {
            assert_eq!(email_address(text), None, "{text}");
        }
    }

    #[test]
    fn telephone_numbers_are_found_and_masked() {
        for text in [
            "call +49 30 901820-00",
            "+44 (0)20 7219 3000",
            "tel. 212-736-5000",
            "(212) 736-5000",
            "1-800-275-2273",
            "212.736.5000",
            "+4930227320",
        ] {
            let found = phone_number(text);
            assert!(found.as_ref().is_some_and(|it| it.contains('…')), "{text}");
            assert!(!found.unwrap().contains("736"), "{text}");
        }
    }

    #[test]
    fn sums_dates_and_films_have_no_telephone_numbers() {
        for text in [
            "2024-01-15",
            "5 +1234567890",
            "1+2 3 4 5 6 7 8 9 10",
            "555-123-4567",
            "+1 212 555 0123",
            "100 - 200 - 3000",
            "x+49301234567",
            "192.168.100.2000",
            "12-34-56",
            "ISBN 978-3-16-148410-0",
            "+1 2 3 4 5 6 7 8 9 1",
            "2-212-736-5000",
            "212-736-5000-1",
            "$212-736-5000",
            "212 736 5000",
            "100-200-300-4000",
        ] {
            assert_eq!(phone_number(text), None, "{text}");
        }
    }
}
