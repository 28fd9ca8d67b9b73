use std::{collections::BTreeSet, fmt, num::NonZeroU32, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::{Digest, Format};

/// What a key's text begins with, so that a leaked one is recognised.
const PREFIX: &str = "llmopt_";
/// Characters of a key's id and of its secret.
const ID_LENGTH: usize = 12;
const SECRET_LENGTH: usize = 43;
/// Secrets of the past that are taken at once.
const SECRETS: usize = 4;

/// What a key may be used for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To see models and have answers generated.
    Generate,
    /// To keep datasets, train on them and delete models; and what `generate` may.
    Train,
    /// Everything, keys included.
    Admin,
}

impl Scope {
    /// Returns whether whoever has this scope may do what `needed` stands for.
    pub fn covers(self, needed: Self) -> bool {
        self >= needed
    }

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Train => "train",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What one key may ask for at most; absent, what everybody may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLimits {
    /// Requests in each minute on average.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Requests at once.
    pub burst: Option<NonZeroU32>,
    /// Tokens of commercial models in each minute on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<NonZeroU32>,
}

/// The record of a platform key. The secret itself is shown once and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The version of this format.
    pub format: Format<1>,
    /// Its id: the part of its text that is no secret.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The digest of its secret.
    pub secret: Digest,
    /// The secrets that it had before it was rotated, the last first.
    pub previous: Vec<PreviousSecret>,
    /// What it may be used for.
    pub scopes: BTreeSet<Scope>,
    /// What it may ask for at most.
    pub limits: KeyLimits,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_ms: Option<u64>,
}

/// The record of a key's use, which whoever looks at keys writes and no key hangs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUse {
    /// The version of this format.
    pub format: Format<1>,
    /// The key's id.
    pub id: String,
    /// When it was used first, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was used last, to the minute, in milliseconds since 1970.
    pub used_ms: u64,
}

/// A secret that another has taken the place of, and that is still taken for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousSecret {
    /// The digest of the secret.
    pub secret: Digest,
    /// Until when it is taken, in milliseconds since 1970.
    pub until_ms: u64,
}

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyProblem {
    /// There is no such key, or its secret is another.
    #[error("the key is not known")]
    Unknown,
    /// It was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// It has expired.
    #[error("the key has expired")]
    Expired,
}

impl ApiKey {
    /// Checks that whoever shows `secret` at `now_ms` may use the key, in a time that tells nothing of
    /// the secret.
    ///
    /// # Errors
    /// [`KeyProblem`]. Only who has the secret learns that a key was revoked or has expired.
    pub fn check(&self, secret: &str, now_ms: u64) -> Result<(), KeyProblem> {
        let shown = Digest::of_bytes(secret.as_bytes());
        let is_present = shown.is_same(&self.secret);
        // All are compared, whatever comes of the first.
        let is_previous = self.previous.iter().fold(false, |found, previous| {
            found | (shown.is_same(&previous.secret) & (now_ms < previous.until_ms))
        });
        if !(is_present | is_previous) {
            return Err(KeyProblem::Unknown);
        }
        if self.revoked_ms.is_some() {
            return Err(KeyProblem::Revoked);
        }
        if self.expires_ms.is_some_and(|end| end <= now_ms) {
            return Err(KeyProblem::Expired);
        }
        Ok(())
    }

    /// Gives it another secret at `now_ms`; the one that it has, and those before whose time is not over, are
    /// taken for `overlap_ms` more at most. With 0 none of them is.
    pub fn rotated(&self, secret: Digest, overlap_ms: u64, now_ms: u64) -> Self {
        let until_ms = now_ms.saturating_add(overlap_ms);
        let present = PreviousSecret {
            secret: self.secret.clone(),
            until_ms,
        };
        let before = self.previous.iter().map(|previous| PreviousSecret {
            until_ms: previous.until_ms.min(until_ms),
            ..previous.clone()
        });
        let mut previous: Vec<PreviousSecret> = std::iter::once(present).chain(before).collect();
        previous.retain(|previous| now_ms < previous.until_ms);
        previous.truncate(SECRETS);
        Self {
            secret,
            previous,
            ..self.clone()
        }
    }

    /// Returns whether it may be used for what `needed` stands for.
    pub fn allows(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.covers(needed))
    }

    /// Returns whether it can still be used at `now_ms`.
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|end| now_ms < end)
    }
}

/// A key as its owner shows it: `llmopt_`, 12 characters of id, `_` and 43 of secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText {
    /// The key's id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl KeyText {
    /// Makes a key's text of random bytes: 9 for its id and 32 for its secret.
    pub fn from_random(id: [u8; 9], secret: [u8; 32]) -> Self {
        Self {
            id: URL_SAFE_NO_PAD.encode(id),
            secret: URL_SAFE_NO_PAD.encode(secret),
        }
    }

    /// Returns the text, for the one time that it is shown.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, self.secret)
    }
}

impl FromStr for KeyText {
    type Err = KeyProblem;

    fn from_str(text: &str) -> Result<Self, KeyProblem> {
        let parts = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_at_checked(ID_LENGTH))
            .and_then(|(id, rest)| Some((id, rest.strip_prefix('_')?)));
        match parts {
            Some((id, secret))
                if secret.len() == SECRET_LENGTH && is_plain(id) && is_plain(secret) =>
            {
                Ok(Self {
                    id: id.to_owned(),
                    secret: secret.to_owned(),
                })
            }
            _ => Err(KeyProblem::Unknown),
        }
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyText({}, redacted)", self.id)
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> KeyText {
        KeyText::from_random([7; 9], [200; 32])
    }

    fn key() -> ApiKey {
        let text = text();
        ApiKey {
            format: Format,
            id: text.id,
            name: "tests".to_owned(),
            created_ms: 1,
            secret: Digest::of_bytes(text.secret.as_bytes()),
            previous: Vec::new(),
            scopes: BTreeSet::from([Scope::Train]),
            limits: KeyLimits::default(),
            expires_ms: None,
            revoked_ms: None,
        }
    }

    #[test]
    fn a_key_is_read_as_it_was_shown() {
        let text = text();
        let shown = text.expose();
        assert_eq!(shown.len(), 7 + 12 + 1 + 43);
        assert_eq!(shown.parse::<KeyText>(), Ok(text.clone()));
        assert!(!format!("{text:?}").contains(&text.secret));
    }

    #[test]
    fn what_is_no_key_is_not_taken_for_one() {
        let shown = text().expose();
        let longer = format!("{shown}A");
        let shorter = &shown[..shown.len() - 1];
        let strange = shown.replace('y', "ü");
        for text in [
            "",
            "llmopt_",
            "sk-abc",
            &longer,
            shorter,
            &strange,
            &shown[1..],
        ] {
            assert_eq!(text.parse::<KeyText>(), Err(KeyProblem::Unknown), "{text}");
        }
    }

    #[test]
    fn only_its_secret_opens_a_key_while_it_lives() {
        let (key, secret) = (key(), text().secret);
        assert_eq!(key.check(&secret, 5), Ok(()));
        assert_eq!(key.check("other", 5), Err(KeyProblem::Unknown));
        let revoked = ApiKey {
            revoked_ms: Some(3),
            ..key.clone()
        };
        assert_eq!(revoked.check(&secret, 5), Err(KeyProblem::Revoked));
        assert_eq!(revoked.check("other", 5), Err(KeyProblem::Unknown));
        let expired = ApiKey {
            expires_ms: Some(5),
            ..key
        };
        assert_eq!(expired.check(&secret, 4), Ok(()));
        assert_eq!(expired.check(&secret, 5), Err(KeyProblem::Expired));
    }

    #[test]
    fn secrets_of_the_past_are_taken_for_as_long_as_was_said() {
        let digest = |text: &str| Digest::of_bytes(text.as_bytes());
        let first = text().secret;
        let rotated = key().rotated(digest("second"), 10, 100);
        assert_eq!(rotated.check(&first, 109), Ok(()));
        assert_eq!(rotated.check(&first, 110), Err(KeyProblem::Unknown));
        assert_eq!(rotated.check("second", 110), Ok(()));
        // A rotation whose answer was lost is done again: what was promised to the first holds.
        let again = rotated.rotated(digest("third"), 10, 101);
        assert_eq!(again.check(&first, 109), Ok(()));
        assert_eq!(again.check("second", 109), Ok(()));
        let at_once = again.rotated(digest("fourth"), 0, 102);
        assert_eq!(at_once.previous, []);
        assert_eq!(at_once.check("third", 102), Err(KeyProblem::Unknown));
        let mut many = key();
        for number in 0..20 {
            many = many.rotated(digest(&number.to_string()), 1_000, 100 + number);
        }
        assert_eq!(many.previous.len(), SECRETS);
    }

    #[test]
    fn wider_scopes_cover_narrower_ones() {
        let key = key();
        assert!(key.allows(Scope::Generate) && key.allows(Scope::Train));
        assert!(!key.allows(Scope::Admin));
    }
}
