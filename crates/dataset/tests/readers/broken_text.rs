//! JSONL, JSON, CSV and text that is broken in every of its rows in turn.

use serde_json::{Value, json};

use crate::cases::{Case, ROWS, columns, insert, json_line, lines_with};

const JSONL: &str = "rows.jsonl";
const JSON: &str = "rows.json";
const CSV: &str = "rows.csv";

/// What makes one row of JSON lines no row.
pub(crate) fn jsonl() -> Vec<Case> {
    let mut cases = Vec::new();
    for number in 1..=ROWS {
        let line = json_line(number);
        let mut flipped = line.clone().into_bytes();
        flipped[0] ^= 1;
        let broken = |what: &str, code, bytes: &[u8]| {
            let file = (JSONL, lines_with(number, bytes, json_line));
            Case::row(number, code, file).by(what)
        };
        let unparsable = |what: &str, bytes: &[u8]| broken(what, "unparsable_row", bytes);
        cases.extend([
            unparsable("a bit flip", &flipped),
            unparsable("a stray quote", &insert(&line, b"\"")),
            unparsable("a line feed in a string", &insert(&line, b"\n")),
            unparsable("a CRLF in a string", &insert(&line, b"\r\n")),
            unparsable("a carriage return in a string", &insert(&line, b"\r")),
            unparsable("a zero byte", &insert(&line, b"\0")),
            unparsable(
                "a bracket that is missing",
                &line.as_bytes()[..line.len() - 1],
            ),
            unparsable("a bracket too many", format!("{line}}}").as_bytes()),
            unparsable("a key twice", line.replace("response", "prompt").as_bytes()),
            unparsable("a scalar", b"17"),
            unparsable("a record of CSV", b"prompt,response"),
            broken("a byte of Latin-1", "invalid_utf8", &insert(&line, b"\xe9")),
            broken(
                "a byte of no encoding",
                "invalid_utf8",
                &insert(&line, b"\xff"),
            ),
            broken(
                "half of a character",
                "invalid_utf8",
                &insert(&line, b"\xe6\x97"),
            ),
            broken(
                "a surrogate",
                "lone_surrogate",
                &insert(&line, b"\xed\xa0\x80"),
            ),
        ]);
        // A file that begins so is a JSON list.
        if number > 1 {
            cases.push(unparsable("a list", format!("[{line}]").as_bytes()));
            cases.push(unparsable(
                "nested lists",
                format!("[[[{line}]]]").as_bytes(),
            ));
        }
        cases.extend(cuts(number, JSONL, |it| format!("{}\n", json_line(it))));
    }
    cases
}

/// Files that end at every fourth of row `number`, which is then no row.
fn cuts(number: u64, name: &'static str, write: impl Fn(u64) -> String) -> Vec<Case> {
    let before: String = (1..number).map(&write).collect();
    let row = write(number);
    let places = (1..4).map(|fourth| row.len() * fourth / 4);
    let case = |place: usize| {
        let bytes = [before.as_bytes(), &row.as_bytes()[..place]].concat();
        Case::row(number, "unparsable_row", (name, bytes)).by("the end of the file")
    };
    places.map(case).collect()
}

/// A list of all rows, of which `number` is `broken`.
fn list_with(number: u64, broken: &[u8]) -> Vec<u8> {
    let mut list = vec![b'['];
    for it in 1..=ROWS {
        let line = json_line(it);
        list.extend(if it == number {
            broken
        } else {
            line.as_bytes()
        });
        list.extend(if it == ROWS { "]" } else { ",\r\n" }.as_bytes());
    }
    list
}

/// What makes one row of a JSON list no row, or ends the list there.
pub(crate) fn json() -> Vec<Case> {
    let mut cases = Vec::new();
    for number in 1..=ROWS {
        let line = json_line(number);
        let broken = |what: &str, code, bytes: &[u8]| {
            Case::row(number, code, (JSON, list_with(number, bytes))).by(what)
        };
        cases.extend([
            broken("a list", "unparsable_row", format!("[{line}]").as_bytes()),
            broken(
                "a bracket that is missing",
                "unparsable_row",
                &line.as_bytes()[..line.len() - 1],
            ),
            broken("a stray quote", "unparsable_row", &insert(&line, b"\"")),
            broken(
                "a line feed in a string",
                "unparsable_row",
                &insert(&line, b"\n"),
            ),
            broken("a byte of Latin-1", "invalid_utf8", &insert(&line, b"\xe9")),
            Case::file(
                number,
                "broken_file",
                (JSON, list_with(number, format!("{line} {{}}").as_bytes())),
            )
            .by("a comma that is missing"),
        ]);
        let start = |it| if it == 1 { "[" } else { ",\n" };
        cases.extend(cuts(number, JSON, |it| {
            format!("{}{}", start(it), json_line(it))
        }));
    }
    cases
}

fn csv_line(number: u64) -> String {
    let [prompt, response] = columns(number);
    format!("\"{prompt}\",{response}")
}

fn table_with(number: u64, broken: &[u8]) -> Vec<u8> {
    let lines = lines_with(number, broken, csv_line);
    [b"prompt,response\r\n", &lines[..]].concat()
}

/// What makes one record of a table no row.
pub(crate) fn csv() -> Vec<Case> {
    let mut cases = Vec::new();
    for number in 1..=ROWS {
        let line = csv_line(number);
        let [prompt, response] = columns(number);
        let broken = |what: &str, code, bytes: &[u8]| {
            Case::row(number, code, (CSV, table_with(number, bytes))).by(what)
        };
        let open = format!("\"{prompt},{response}");
        let after = format!("\"{prompt}\" x,{response}");
        // A character of UTF-8 in the header, so that the file is not of another encoding.
        let mixed = [
            b"prompt,r\xc3\xa9ponse\n",
            &lines_with(number, &insert(&line, b"\xe9"), csv_line)[..],
        ]
        .concat();
        cases.extend([
            broken(
                "a field too many",
                "ragged_row",
                format!("{line},x").as_bytes(),
            ),
            broken("a field that is missing", "ragged_row", response.as_bytes()),
            broken(
                "a line feed without quotes",
                "ragged_row",
                format!("{response}\n{line}").as_bytes(),
            ),
            broken(
                "a carriage return without quotes",
                "ragged_row",
                format!("{response}\r{line}").as_bytes(),
            ),
            broken("text after a quote", "unparsable_row", after.as_bytes()),
            broken(
                "other separators",
                "ragged_row",
                line.replace('"', "").replace(',', ";").as_bytes(),
            ),
            Case {
                value: None,
                ..Case::row(number, "invalid_utf8", (CSV, mixed)).by("two encodings")
            },
        ]);
        // It ends with the file, or where the next quote opens, behind which there is text.
        let unclosed = broken(
            "a quote that is never closed",
            "unparsable_row",
            open.as_bytes(),
        );
        cases.push(unclosed);
        let before: String = (1..number).map(|it| csv_line(it) + "\n").collect();
        for (what, end) in [
            ("the end within quotes", prompt.len() / 2),
            ("the end before a separator", prompt.len() + 2),
        ] {
            let bytes = format!("prompt,response\n{before}{}", &line[..end]).into_bytes();
            let code = if end < prompt.len() {
                "unparsable_row"
            } else {
                "ragged_row"
            };
            cases.push(Case::row(number, code, (CSV, bytes)).by(what));
        }
    }
    cases
}

/// Lines of text of which one is in another encoding.
pub(crate) fn text() -> Vec<Case> {
    let line: fn(u64) -> String = |number| format!("{} \u{e9}", columns(number)[0]);
    let case = |number| {
        let bytes = lines_with(number, &insert(&line(number), b"\xe9"), line);
        let case = Case::row(number, "invalid_utf8", ("rows.txt", bytes));
        Case {
            value: Some(text_value),
            ..case.by("two encodings")
        }
    };
    (1..=ROWS).map(case).collect()
}

fn text_value(number: u64) -> Value {
    json!({"text": format!("{} \u{e9}", columns(number)[0])})
}
