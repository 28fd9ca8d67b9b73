use llmopt_service::GenerationLine;

/// Between the head of a streamed answer, which is of use to HTTP only, and its body.
const DELIMITER: [u8; 8] = [0; 8];

/// Takes an answer apart into its lines, however it is cut into parts on the way: one line of JSON each
/// after a head where it was streamed, else an array.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
    begun: bool,
}

impl Lines {
    /// Returns the lines that the next part completes.
    pub(crate) fn push(&mut self, part: &[u8]) -> Vec<Result<GenerationLine, String>> {
        self.rest.extend_from_slice(part);
        if !self.begun && self.rest.first() == Some(&b'[') {
            return self.array();
        }
        if !self.begun && !self.drop_head() {
            return Vec::new();
        }
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else {
            return Vec::new();
        };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        let lines = whole.split(|&byte| byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).map_err(|error| error.to_string()))
            .collect()
    }

    /// Returns the lines of an array once it is whole.
    fn array(&mut self) -> Vec<Result<GenerationLine, String>> {
        let Ok(lines) = serde_json::from_slice::<Vec<GenerationLine>>(&self.rest) else {
            return Vec::new();
        };
        self.rest.clear();
        lines.into_iter().map(Ok).collect()
    }

    /// Returns whether the body has begun.
    fn drop_head(&mut self) -> bool {
        let delimiter = self
            .rest
            .windows(DELIMITER.len())
            .position(|window| window == DELIMITER);
        if let Some(at) = delimiter {
            self.rest.drain(..at + DELIMITER.len());
            self.begun = true;
        }
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use llmopt_service::{FailureKind, GenerationEvent, RemoteFailure};

    use super::*;

    #[test]
    fn lines_are_whole_however_the_answer_is_cut() {
        let text = |text: &str| {
            GenerationLine::Event(GenerationEvent::Text {
                text: text.to_owned(),
            })
        };
        let failure = GenerationLine::Failure(RemoteFailure {
            kind: FailureKind::Input,
            message: "no".to_owned(),
        });
        let expected = [text("ein schönes "), text("Haus\n"), failure];
        let mut answer = b"{\"statusCode\":200}\0\0\0\0\0\0\0\0".to_vec();
        for line in &expected {
            answer.extend(serde_json::to_vec(line).unwrap());
            answer.push(b'\n');
        }
        for size in 1..answer.len() {
            let mut lines = Lines::default();
            let found: Vec<GenerationLine> = answer
                .chunks(size)
                .flat_map(|part| lines.push(part))
                .map(Result::unwrap)
                .collect();
            assert_eq!(found, expected, "in parts of {size} bytes");
        }
        let array = serde_json::to_vec(&expected).unwrap();
        for size in 1..array.len() {
            let mut lines = Lines::default();
            let found: Vec<GenerationLine> = array
                .chunks(size)
                .flat_map(|part| lines.push(part))
                .map(Result::unwrap)
                .collect();
            assert_eq!(found, expected, "an array in parts of {size} bytes");
        }
    }

    #[test]
    fn what_is_no_line_is_told() {
        let mut lines = Lines::default();
        let found = lines.push(b"\0\0\0\0\0\0\0\0{}\n");
        assert!(matches!(found.as_slice(), [Err(_)]), "{found:?}");
    }
}
