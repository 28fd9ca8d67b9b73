use std::{
    fmt::{self, Display, Write as _},
    io::{self, IsTerminal, Write},
};

use anstream::ColorChoice;
use anstyle::Style;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// The least width of a terminal, in letters, that a framed table is drawn for.
const NARROWEST: u16 = 40;

/// Whom a command writes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tables and sentences.
    People,
    /// One JSON document, or one a line.
    Json,
}

/// A command's standard output.
///
/// A reader that goes away, as `head` does, is no failure: what comes after is dropped.
pub(crate) struct Output {
    writer: Box<dyn Write>,
    format: Format,
    terminal: bool,
    colours: bool,
    closed: bool,
    /// Whether what was written last ended its line.
    at_line_start: bool,
}

impl Output {
    /// Writes to the process's standard output.
    pub(crate) fn stdout(format: Format) -> Self {
        let stdout = io::stdout();
        Self {
            terminal: stdout.is_terminal(),
            // Knows NO_COLOR, CLICOLOR and TERM=dumb.
            colours: anstream::AutoStream::choice(&stdout) != ColorChoice::Never,
            writer: Box::new(stdout),
            format,
            closed: false,
            at_line_start: true,
        }
    }

    /// Returns whether the output is for machines.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Returns whether a person looks at the output.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        self.write(format_args!("{line}\n"))
    }

    /// Writes a part of a text that comes from elsewhere, at once; [`Output::end_line`] ends it.
    pub(crate) fn part(&mut self, text: &str) -> Result<(), Failure> {
        let Some(last) = text.chars().last() else {
            return Ok(());
        };
        self.at_line_start = last == '\n';
        if self.terminal {
            // What a model says may not command the terminal.
            let shown = text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "");
            return self.write(format_args!("{shown}"));
        }
        self.write(format_args!("{text}"))
    }

    /// Ends the line that a part was written to.
    pub(crate) fn end_line(&mut self) -> Result<(), Failure> {
        if self.at_line_start {
            return Ok(());
        }
        self.at_line_start = true;
        self.write(format_args!("\n"))
    }

    fn write(&mut self, what: fmt::Arguments<'_>) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let written = self
            .writer
            .write_fmt(what)
            .and_then(|()| self.writer.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => {
                return Err(Failure::failed(format!(
                    "failed to write the output: {error}"
                )));
            }
            Ok(()) => {}
        }
        Ok(())
    }

    /// Writes `value` as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(value).map_err(|error| {
            Failure::failed(format!("failed to write the output as JSON: {error}"))
        })?;
        self.line(json)
    }

    /// Writes rows below a header, framed where a person looks at them.
    pub(crate) fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        let mut table = self.empty_table();
        table.set_header(header.to_vec());
        for row in rows {
            table.add_row(row);
        }
        self.line(table.trim_fmt())
    }

    /// Writes names beside values.
    pub(crate) fn facts(&mut self, facts: &[(&str, String)]) -> Result<(), Failure> {
        let mut table = self.empty_table();
        for (name, value) in facts {
            table.add_row(vec![(*name).to_owned(), value.clone()]);
        }
        self.line(table.trim_fmt())
    }

    /// Returns `text` in `style` where colours are wanted.
    pub(crate) fn paint(&self, style: Style, text: impl Display) -> String {
        let mut painted = String::new();
        // Writing to a string does not fail.
        let _ = if self.colours {
            write!(painted, "{style}{text}{style:#}")
        } else {
            write!(painted, "{text}")
        };
        painted
    }

    fn empty_table(&self) -> Table {
        let mut table = Table::new();
        // Some terminals do not know how wide they are; a frame for them would be of one letter.
        let fits = table.width().is_some_and(|width| width >= NARROWEST);
        if self.terminal && fits {
            table
                .load_style(presets::UTF8_FULL_CONDENSED)
                .set_content_arrangement(ContentArrangement::Dynamic);
        } else {
            // Columns that a script can cut: no frame, no wrapping.
            table
                .load_style(presets::NOTHING)
                .set_content_arrangement(ContentArrangement::Disabled);
        }
        table
    }
}

/// Renders bytes with a unit that suits their size.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1024.0 {
        format!("{mebibytes:.0} MiB")
    } else {
        format!("{:.2} GiB", mebibytes / 1024.0)
    }
}

/// Renders seconds as people say them.
pub(crate) fn seconds_text(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// Renders a count with its thousands apart.
pub(crate) fn count_text(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a line on standard error, beside the output proper.
pub(crate) fn note(line: impl Display) {
    // Nobody is left to tell where standard error is gone.
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output(writer: Box<dyn Write>, colours: bool) -> Output {
        Output {
            writer,
            format: Format::People,
            terminal: false,
            colours,
            closed: false,
            at_line_start: true,
        }
    }

    /// Keeps what is written where a test can see it.
    #[derive(Clone, Default)]
    struct Kept(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn parts_of_a_text_end_with_one_line_break_and_cannot_command_a_terminal() {
        let written = |terminal, parts: &[&str]| {
            let kept = Kept::default();
            let mut output = output(Box::new(kept.clone()), false);
            output.terminal = terminal;
            for part in parts {
                output.part(part).unwrap();
            }
            output.end_line().unwrap();
            let bytes = kept.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(written(false, &["a", "", "b"]), "ab\n");
        assert_eq!(written(false, &["a\n"]), "a\n");
        assert_eq!(written(false, &[]), "");
        assert_eq!(written(true, &["\u{1b}[2Ja\tb"]), "[2Ja\tb\n");
        assert_eq!(written(false, &["\u{1b}[2J"]), "\u{1b}[2J\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let mut output = output(Box::new(Gone), false);
        output.line("one").unwrap();
        assert!(output.closed);
        output.line("two").unwrap();
    }

    #[test]
    fn colours_are_written_only_where_wanted() {
        let style = Style::new().bold();
        assert_eq!(output(Box::new(Gone), false).paint(style, "x"), "x");
        assert_eq!(
            output(Box::new(Gone), true).paint(style, "x"),
            "\u{1b}[1mx\u{1b}[0m"
        );
    }

    #[test]
    fn quantities_read_well() {
        assert_eq!(count_text(0), "0");
        assert_eq!(count_text(999), "999");
        assert_eq!(count_text(1_234_567), "1,234,567");
        assert_eq!(bytes_text(5 << 20), "5 MiB");
        assert_eq!(bytes_text(3 << 29), "1.50 GiB");
        assert_eq!(seconds_text(4.25), "4.2 s");
        assert_eq!(seconds_text(125.0), "2 min 05 s");
        assert_eq!(seconds_text(7260.0), "2 h 01 min");
    }
}
