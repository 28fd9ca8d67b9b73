use super::scan::{Number, masked, numbers};

/// Numbers that makers of payment systems publish for tests.
const TESTS: [&str; 6] = [
    "4111111111111111",
    "4242424242424242",
    "4012888888881881",
    "5555555555554444",
    "378282246310005",
    "6011111111111117",
];

/// Finds the number of a payment card: of a known issuer, with the right check digit.
pub(crate) fn card_number(text: &str) -> Option<String> {
    let found = numbers(text).find(is_card);
    found.map(|number| masked(number.written))
}

fn is_card(number: &Number<'_>) -> bool {
    const SHORTEST: usize = 13;
    if number.written.len() < SHORTEST {
        return false;
    }
    let digits = number.digits();
    let grouped = number.groups().all(|group| group.len() >= 3);
    (SHORTEST..=19).contains(&digits.len())
        && grouped
        && number.stands_alone()
        && is_issued(&digits)
        && luhn(&digits)
        && !is_test(&digits)
}

fn is_test(digits: &[u32]) -> bool {
    let text: String = digits
        .iter()
        .filter_map(|it| char::from_digit(*it, 10))
        .collect();
    TESTS.contains(&text.as_str())
}

/// The first digits and lengths of Visa, Mastercard, American Express, Discover, JCB and Diners Club (ISO/IEC 7812).
fn is_issued(digits: &[u32]) -> bool {
    let start = digits
        .iter()
        .take(4)
        .fold(0, |start, digit| start * 10 + digit);
    matches!(
        (start, digits.len()),
        (4000..=4999, 13 | 16 | 19)
            | (5100..=5599 | 2221..=2720, 16)
            | (3400..=3499 | 3700..=3799, 15)
            | (6011 | 6440..=6599 | 3528..=3589, 16..=19)
            | (3000..=3059 | 3600..=3699 | 3800..=3999, 14)
    )
}

/// Tells whether the last digit checks the others (ISO/IEC 7812-1, annex B).
fn luhn(digits: &[u32]) -> bool {
    let values = digits.iter().rev().enumerate().map(|(place, digit)| {
        let doubled = digit * (1 + place as u32 % 2);
        doubled / 10 + doubled % 10
    });
    values.sum::<u32>().is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_found_and_masked() {
        for text in [
            "my card is 4539 1488 0343 6467",
            "4539148803436467",
            "5425-2334-3010-9903",
            "3714 496353 98431",
        ] {
            let found = card_number(text).unwrap();
            assert!(
                found.contains("…` (") && found.len() < 30,
                "{text}: {found}"
            );
        }
    }

    #[test]
    fn other_long_numbers_are_no_cards() {
        for text in [
            "4539 1488 0343 6468",
            "1234567812345670",
            "4111 1111 1111 1111",
            "0.4539148803436467",
            "id4539148803436467",
            "4 5 3 9 1 4 8 8 0 3 4 3 6 4 6 7",
            "$4539148803436467",
        ] {
            assert_eq!(card_number(text), None, "{text}");
        }
    }
}
