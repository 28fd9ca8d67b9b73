//! How a kept answer is encrypted: ChaCha20-Poly1305 (RFC 8439) under a key that HKDF-SHA256 (RFC 5869) derives
//! from what the caller alone shows and a salt that no other answer has, so that each key is used once.

use llmopt_storage::StorageError;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, Salt},
};

use super::RequestName;

/// How a sealed answer begins; what is sealed otherwise one day will begin otherwise.
const FORM: u8 = 1;
const SALT_BYTES: usize = 32;
const PURPOSE: &[u8] = b"llmopt kept answer";

/// Encrypts an answer.
///
/// # Errors
/// [`StorageError::Internal`] if this machine has no random bytes.
pub(super) fn seal(
    name: &RequestName,
    fingerprint: &str,
    mut answer: Vec<u8>,
) -> Result<Vec<u8>, StorageError> {
    let salt: [u8; SALT_BYTES] = random()?;
    let failed = |_| internal("it is too large".into());
    let key = key(name, &salt).map_err(failed)?;
    key.seal_in_place_append_tag(nonce(), Aad::from(fingerprint), &mut answer)
        .map_err(failed)?;
    let mut sealed = Vec::with_capacity(1 + SALT_BYTES + answer.len());
    sealed.push(FORM);
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(&answer);
    Ok(sealed)
}

/// Decrypts an answer; `None` where it was sealed for another, or is not what was sealed.
pub(super) fn open(name: &RequestName, fingerprint: &str, sealed: Vec<u8>) -> Option<Vec<u8>> {
    let (form, rest) = sealed.split_first()?;
    let (salt, answer) = rest.split_at_checked(SALT_BYTES)?;
    if *form != FORM {
        return None;
    }
    let mut answer = answer.to_vec();
    let key = key(name, salt).ok()?;
    let opened = key.open_in_place(nonce(), Aad::from(fingerprint), &mut answer);
    let length = opened.ok()?.len();
    answer.truncate(length);
    Some(answer)
}

fn key(name: &RequestName, salt: &[u8]) -> Result<LessSafeKey, Unspecified> {
    let extracted = Salt::new(HKDF_SHA256, salt).extract(&name.secret);
    let info = [PURPOSE, name.id.as_bytes()];
    let key = extracted.expand(&info, &CHACHA20_POLY1305)?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

/// The salt is what differs.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

pub(super) fn random<const SIZE: usize>() -> Result<[u8; SIZE], StorageError> {
    let mut bytes = [0; SIZE];
    getrandom::fill(&mut bytes).map_err(|error| internal(error.to_string().into()))?;
    Ok(bytes)
}

fn internal(source: Box<dyn std::error::Error + Send + Sync>) -> StorageError {
    StorageError::Internal {
        operation: "seal",
        subject: "an answer".to_owned(),
        source,
    }
}
