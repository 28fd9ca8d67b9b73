use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Lines that are kept of each function.
const KEPT: usize = 10_000;

/// What the processes of a function wrote, the most recent lines.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    lines: Mutex<VecDeque<String>>,
}

impl Logs {
    /// Keeps what `output` brings, to its end.
    pub(crate) async fn keep(&self, output: impl AsyncRead + Unpin) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output
            .read_until(b'\n', &mut line)
            .await
            .is_ok_and(|read| read > 0)
        {
            let mut lines = self.lines.lock();
            if lines.len() == KEPT {
                lines.pop_front();
            }
            lines.push_back(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
    }

    pub(crate) fn text(&self) -> String {
        self.lines.lock().iter().map(String::as_str).collect()
    }
}
