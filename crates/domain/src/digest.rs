use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// A SHA-256 digest, displayed as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl PartialSchema for Digest {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^sha256:[0-9a-f]{64}$"))
            .into()
    }
}

impl ToSchema for Digest {}

impl Digest {
    /// Computes the digest of `bytes`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::from_hash(&Sha256::digest(bytes))
    }

    /// Computes the digest of everything `reader` yields, in constant memory.
    ///
    /// # Errors
    /// Whatever reading fails with.
    pub fn of_reader(mut reader: impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0_u8; 1 << 16];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(Self::from_hash(&hasher.finalize())),
                count => hasher.update(&buffer[..count]),
            }
        }
    }

    /// Computes the digest of `value`'s JSON, whose key order is the order of its fields.
    ///
    /// # Errors
    /// If `value` does not serialise to JSON.
    pub fn of_json(value: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self::of_bytes(&serde_json::to_vec(value)?))
    }

    /// Returns the first 12 hexadecimal digits: enough to tell things apart in a name.
    pub fn short(&self) -> &str {
        let hex = self.0.strip_prefix("sha256:").unwrap_or(&self.0);
        hex.get(..12).unwrap_or(hex)
    }

    /// Returns whether it is the same as `other`, in a time that does not tell where they part.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    fn from_hash(hash: &[u8]) -> Self {
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("sha256:{hex}"))
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    /// Takes a digest as it was displayed. Its beginning names folders, so nothing else is one.
    fn try_from(text: String) -> Result<Self, String> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.strip_prefix("sha256:") {
            Some(hex) if hex.len() == 64 && hex.bytes().all(is_hex) => Ok(Self(text)),
            _ => Err(format!(
                "`{text}` is no digest: expected `sha256:` and 64 of `0-9a-f`"
            )),
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_digest_is_read_as_one() {
        let digest = Digest::of_bytes(b"x");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        let shouted = json.to_uppercase();
        for text in ["\"\"", "\"sha256:../../home\"", "\"sha256:ab\"", &shouted] {
            assert!(serde_json::from_str::<Digest>(text).is_err(), "{text}");
        }
    }
}
