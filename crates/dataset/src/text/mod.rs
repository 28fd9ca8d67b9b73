//! What may be wrong with a text by itself. Each detector takes a text and says what it found, if anything;
//! what finds a private value says it masked.

mod cards;
mod characters;
mod code;
mod contacts;
mod html;
mod iban;
mod markers;
mod mojibake;
mod normal_form;
mod phrases;
mod placeholders;
mod scan;
mod script;
mod secrets;

pub(crate) use cards::card_number;
pub(crate) use characters::{control_character, invisible_character, replacement_character};
pub(crate) use contacts::{email_address, phone_number};
pub(crate) use html::leftover_html;
pub(crate) use iban::iban;
pub(crate) use markers::special_token;
pub(crate) use mojibake::{meant, mojibake};
pub(crate) use normal_form::{NormalForms, normal_forms};
pub(crate) use phrases::{boilerplate, refusal};
pub(crate) use placeholders::placeholder;
pub(crate) use scan::visible;
pub(crate) use script::{Script, main_script, mixed_word};
pub(crate) use secrets::secret;

/// Tells whether `text` has something that must not be shown.
pub(crate) fn is_private(text: &str) -> bool {
    [secret, email_address, phone_number, card_number, iban]
        .iter()
        .any(|detect| detect(text).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    const DETECTORS: [fn(&str) -> Option<String>; 16] = [
        card_number,
        control_character,
        invisible_character,
        replacement_character,
        email_address,
        phone_number,
        leftover_html,
        iban,
        special_token,
        mojibake,
        boilerplate,
        refusal,
        placeholder,
        mixed_word,
        secret,
        |text| main_script(text).map(|script| script.to_string()),
    ];

    /// What detectors begin with, and what may stand across the places where they cut.
    const PIECES: [&str; 40] = [
        "<|",
        "|>",
        "<｜",
        "｜>",
        "</",
        "<b",
        " a=",
        ">",
        "&#x",
        "&amp",
        ";",
        "{{",
        "}}",
        "`",
        "```",
        "@",
        "a.b",
        ".com",
        "+49",
        "(212)",
        " 736-",
        "5000",
        "1-",
        "4539148803436467",
        "DE89",
        "GB29 NWBK",
        "sk-",
        "AKIA",
        "eyJ",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "password",
        "=",
        ": \"",
        "Ã",
        "é",
        "€",
        "\u{200d}",
        "\u{fffd}",
        "TODO:",
    ];

    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            select(&PIECES[..]).prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
            "[a-zA-Z0-9 -]{0,8}",
        ];
        vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn detectors_take_any_text_and_say_little_of_it(text in text()) {
            for detect in DETECTORS {
                if let Some(found) = detect(&text) {
                    prop_assert!(found.chars().count() < 400, "{found}");
                }
            }
            normal_forms(&text);
        }
    }
}
