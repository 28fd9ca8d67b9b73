use llmopt_domain::Digest;

/// Why what was sent in parts is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// Parts of an upload are missing.
    #[error("upload `{id}` lacks {}", parts_text(missing))]
    Incomplete {
        /// The upload.
        id: String,
        /// The numbers of the parts.
        missing: Vec<u32>,
    },
    /// What was sent is not what was announced.
    #[error("expected a file with the digest `{expected}`, as announced, found `{found}`")]
    Changed {
        /// The digest that was announced.
        expected: Digest,
        /// The digest of what was sent.
        found: Digest,
    },
    /// An upload is complete.
    #[error("upload `{id}` is complete: it is the dataset `{dataset}`")]
    Done {
        /// The upload.
        id: String,
        /// The dataset.
        dataset: String,
    },
    /// A file has no such part.
    #[error("expected a part from 1 to {count}, found {number}")]
    NoPart {
        /// The number asked for.
        number: u32,
        /// The parts it has.
        count: u32,
    },
    /// A part has another size than it has to have.
    #[error("part {number}: expected {expected} bytes, found {found}{}", and_more(*expected, *found))]
    Size {
        /// The part's number.
        number: u32,
        /// The size it has to have, in bytes.
        expected: u64,
        /// The bytes that came, up to the first too many.
        found: u64,
    },
}

impl PartError {
    /// Returns what the user can do next, where the message does not say it already.
    pub(crate) fn next_step(&self) -> Option<&'static str> {
        match self {
            Self::Incomplete { .. } => Some("send what is missing, then complete it"),
            Self::Changed { .. } => Some("nothing of it was kept: upload the file anew"),
            Self::Size { .. } => Some("nothing of it was kept: send the part whole"),
            Self::Done { .. } | Self::NoPart { .. } => None,
        }
    }
}

/// Names up to ten parts and counts the rest.
fn parts_text(parts: &[u32]) -> String {
    const NAMED: usize = 10;
    let named: Vec<String> = parts.iter().take(NAMED).map(u32::to_string).collect();
    let noun = if parts.len() == 1 { "part" } else { "parts" };
    match parts.len().saturating_sub(NAMED) {
        0 => format!("{noun} {}", named.join(", ")),
        more => format!("{noun} {} and {more} more", named.join(", ")),
    }
}

/// Of what is too long, nobody counts the end.
fn and_more(expected: u64, found: u64) -> &'static str {
    if found > expected { " and more" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_parts_are_named_up_to_ten_and_then_counted() {
        assert_eq!(parts_text(&[7]), "part 7");
        assert_eq!(parts_text(&[1, 2]), "parts 1, 2");
        let many: Vec<u32> = (1..=12).collect();
        assert_eq!(
            parts_text(&many),
            "parts 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"
        );
    }
}
