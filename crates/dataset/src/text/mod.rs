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
pub(crate) use script::{Script, main_script, mixed_word};
pub(crate) use secrets::secret;

/// Tells whether `text` has something that must not be shown.
pub(crate) fn is_private(text: &str) -> bool {
    [secret, email_address, phone_number, card_number, iban]
        .iter()
        .any(|detect| detect(text).is_some())
}
