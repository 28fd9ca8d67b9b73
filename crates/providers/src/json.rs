//! Reading JSON of a provider's, with errors that name the place and never what stands there.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use crate::ProviderError;

/// Reads one value.
///
/// # Errors
/// If it is not JSON, or not of the shape that is expected; `what` is what it should be.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, ProviderError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        problem(error.inner(), what, &path)
    })?;
    let end = reader.end();
    end.map_err(|error| problem(&error, what, ""))?;
    Ok(value)
}

/// Writes a request's body.
///
/// # Errors
/// If a number has no form in JSON.
pub(crate) fn write(body: &impl Serialize) -> Result<Vec<u8>, ProviderError> {
    serde_json::to_vec(body).map_err(|_| ProviderError::Unsendable {
        place: "the request".to_owned(),
        problem: "it has no form in JSON",
    })
}

fn problem(error: &serde_json::Error, what: &str, path: &str) -> ProviderError {
    let (line, column) = (error.line(), error.column());
    ProviderError::Protocol(match error.classify() {
        // The place is lost in a value of which the kind decides the shape.
        Category::Data if path == "." => format!("{what} has something unexpected in it"),
        Category::Data => format!("{what} has something unexpected at `{path}`"),
        Category::Eof => format!("{what} is JSON that is cut off"),
        Category::Syntax | Category::Io => {
            format!("{what} is no JSON at line {line}, column {column}")
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its shape is of interest")]
    struct Shape {
        usage: Usage,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its shape is of interest")]
    struct Usage {
        tokens: u64,
    }

    #[test]
    fn an_error_names_the_place_and_not_what_stands_there() {
        let cases = [
            (
                r#"{"usage": {"tokens": "hunter2"}}"#,
                "the chunk has something unexpected at `usage.tokens`",
            ),
            (r#"{"usage": {"tok"#, "the chunk is JSON that is cut off"),
            ("hunter2", "the chunk is no JSON at line 1, column 1"),
            (
                r#"{"usage": {"tokens": 1}} x"#,
                "the chunk is no JSON at line 1, column 26",
            ),
        ];
        for (text, expected) in cases {
            let error = read::<Shape>(text.as_bytes(), "the chunk").unwrap_err();
            let ProviderError::Protocol(said) = error else {
                panic!("{error:?}");
            };
            assert_eq!(said, expected);
        }
    }
}
