use super::scan::{ends_in_word, masked};

/// How long the numbers of a country are (SWIFT's registry of IBAN formats).
const LENGTHS: [(&str, usize); 38] = [
    ("AD", 24),
    ("AE", 23),
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("ES", 24),
    ("FI", 18),
    ("FR", 27),
    ("GB", 22),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IS", 26),
    ("IT", 27),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("RO", 24),
    ("SA", 24),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("TR", 26),
];

/// Finds the number of a bank account: an IBAN of a known country with the right check digits.
pub(crate) fn iban(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_start = |at: &usize| {
        bytes[at + 1].is_ascii_uppercase() && bytes[at + 2..at + 4].iter().all(u8::is_ascii_digit)
    };
    let starts = (0..bytes.len().saturating_sub(3)).filter(|at| bytes[*at].is_ascii_uppercase());
    let mut found = starts.filter(is_start).filter_map(|at| account(text, at));
    found.next().map(masked)
}

fn account(text: &str, start: usize) -> Option<&str> {
    let rest = &text[start..];
    let (_, length) = LENGTHS
        .iter()
        .find(|(country, _)| rest.starts_with(country))?;
    let is_part = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit();
    let mut parts = rest.char_indices().filter(|(_, it)| *it != ' ');
    let characters: Vec<(usize, char)> = parts.by_ref().take(*length).collect();
    if characters.len() < *length || !characters.iter().all(|(_, it)| is_part(*it)) {
        return None;
    }
    let end = characters.last()?.0 + 1;
    let goes_on = rest[end..].starts_with(|it: char| it.is_alphanumeric());
    let number: Vec<char> = characters.into_iter().map(|(_, it)| it).collect();
    let is_account = !goes_on && !ends_in_word(&text[..start]) && is_checked(&number);
    is_account.then(|| &rest[..end])
}

/// Tells whether the check digits are right: the number with its first four characters last is 1 modulo 97
/// (ISO 13616).
fn is_checked(number: &[char]) -> bool {
    let moved = number[4..].iter().chain(&number[..4]);
    let remainder = moved.fold(0, |remainder, character| {
        let value = character.to_digit(36).unwrap_or(0);
        let shift = if value < 10 { 10 } else { 100 };
        (remainder * shift + value) % 97
    });
    remainder == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_and_masked() {
        for text in [
            "pay to DE89 3704 0044 0532 0130 00.",
            "GB29NWBK60161331926819",
            "(FR14 2004 1010 0505 0001 3M02 606)",
        ] {
            let found = iban(text).unwrap();
            assert!(found.contains("…` (") && found.len() < 30, "{found}");
        }
    }

    #[test]
    fn other_codes_are_no_accounts() {
        for text in [
            "DE88 3704 0044 0532 0130 00",
            "XX89370400440532013000",
            "ADE89370400440532013000",
            "DE89",
            "NO12 apples",
            "é DE89 3704 é",
            "DE89 3704 0044 0532 0130 0é",
        ] {
            assert_eq!(iban(text), None, "{text}");
        }
    }
}
