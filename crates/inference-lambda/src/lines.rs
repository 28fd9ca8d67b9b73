use llmopt_service::GenerationLine;

/// Between the head of a streamed answer, which is of use to HTTP only, and its body.
const DELIMITER: [u8; 8] = [0; 8];

/// Takes an answer apart into its lines, however it is cut into parts on the way: one line of JSON each
/// after a head where it was streamed, else an array.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    form: Form,
}

/// What of an answer is known from how it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// A head, as far as it is here.
    #[default]
    Head,
    /// Lines.
    Body,
    /// An array.
    Array,
    /// An array that was read; nothing comes after it.
    Over,
}

impl Lines {
    /// Returns the lines that the next part completes.
    pub fn push(&mut self, part: &[u8]) -> Vec<Result<GenerationLine, String>> {
        self.rest.extend_from_slice(part);
        if self.form == Form::Head {
            self.form = self.begin();
        }
        match self.form {
            // It is read when it is whole, which it cannot be before this.
            Form::Array if part.contains(&b']') => return self.array(),
            Form::Array => return Vec::new(),
            Form::Head | Form::Over => return Vec::new(),
            Form::Body => {}
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
        let values = serde_json::Deserializer::from_slice(&self.rest);
        match values.into_iter::<Vec<GenerationLine>>().next() {
            Some(Ok(lines)) => {
                self.form = Form::Over;
                lines.into_iter().map(Ok).collect()
            }
            Some(Err(_)) | None => Vec::new(),
        }
    }

    /// Tells the form of the answer, and drops its head.
    fn begin(&mut self) -> Form {
        if self.rest.first() == Some(&b'[') {
            return Form::Array;
        }
        let delimiter = self
            .rest
            .windows(DELIMITER.len())
            .position(|window| window == DELIMITER);
        match delimiter {
            None => Form::Head,
            Some(at) => {
                self.rest.drain(..at + DELIMITER.len());
                Form::Body
            }
        }
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
    fn what_comes_after_an_array_is_nothing_wherever_it_is_cut() {
        let answer = b"[]\0\0\0\0\0\0\0\0{}\n";
        for size in 1..=answer.len() {
            let mut lines = Lines::default();
            let found = answer.chunks(size).flat_map(|part| lines.push(part));
            assert_eq!(found.count(), 0, "in parts of {size} bytes");
        }
    }

    #[test]
    fn what_is_no_line_is_told() {
        let mut lines = Lines::default();
        let found = lines.push(b"\0\0\0\0\0\0\0\0{}\n");
        assert!(matches!(found.as_slice(), [Err(_)]), "{found:?}");
    }
}
