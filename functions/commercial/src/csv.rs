//! Comma-separated values as RFC 4180 has them, which a spreadsheet does not take for formulas.

/// What makes a spreadsheet take the rest of a cell for a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Renders a line with its end.
pub(crate) fn line<'c>(cells: impl IntoIterator<Item = &'c str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(cell).collect();
    cells.join(",") + "\r\n"
}

fn cell(text: &str) -> String {
    let guard = if text.starts_with(FORMULA) { "'" } else { "" };
    let must_quote = |letter| matches!(letter, ',' | '"' | '\r' | '\n');
    if text.contains(must_quote) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_cell_is_quoted() {
        assert_eq!(line(["a", "b c", ""]), "a,b c,\r\n");
        assert_eq!(
            line(["a,b", "say \"hi\"", "two\nlines"]),
            "\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n"
        );
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"] {
            assert_eq!(line([text]), format!("'{text}\r\n"));
        }
        assert_eq!(line(["=a,b"]), "\"'=a,b\"\r\n");
        assert_eq!(line(["\r=1"]), "\"'\r=1\"\r\n");
    }
}
