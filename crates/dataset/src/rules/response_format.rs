use llmopt_domain::{Finding, Severity};
use serde::de::IgnoredAny;

use super::{Example, Rule, Totals, first_rows::FirstRows, is_share};

/// Where answers are to be JSON, one that is not teaches to break it. Keeps the first bad rows.
#[derive(Default)]
pub(super) struct UnparsableJson {
    rows: u64,
    sound: u64,
    broken: FirstRows,
    first_error: Option<String>,
}

impl Rule for UnparsableJson {
    fn code(&self) -> &'static str {
        "unparsable_json"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "a response that is not JSON where at least 80 in 100 are"
    }

    fn fix(&self) -> &'static str {
        "mend the JSON, or delete the rows"
    }

    fn check(&mut self, example: &Example<'_>, _findings: &mut Vec<Finding>) {
        let (_, response) = example.prompt_and_response();
        if response.trim().is_empty() {
            return;
        }
        self.rows += 1;
        match parse(response) {
            Ok(()) => self.sound += 1,
            Err(error) => {
                self.broken.add(example);
                self.first_error.get_or_insert(error);
            }
        }
    }

    fn finish(&mut self, _totals: &Totals<'_>, say: &mut dyn FnMut(Finding)) {
        const FEWEST: u64 = 8;
        let is_json = self.sound >= FEWEST && is_share(self.sound, self.rows, 80);
        if let Some(error) = &self.first_error
            && is_json
        {
            let found = format!("`{error}`, and the like in {}", self.broken);
            let expected = format!("JSON, as in {} other rows", self.sound);
            say(self.finding(self.broken.place(), &expected, found));
        }
    }
}

/// Reads an object or a list; numbers and words are no format.
fn parse(response: &str) -> Result<(), String> {
    let response = response.trim();
    if !response.starts_with(['{', '[']) {
        return Err("it begins with neither { nor [".to_owned());
    }
    let parsed = serde_json::from_str::<IgnoredAny>(response);
    parsed.map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{File, with_code};

    fn file(broken: &[&str]) -> File {
        let row = |i, response: &str| {
            format!(
                "{}\n",
                json!({"prompt": format!("order {i}"), "response": response})
            )
        };
        let sound: String = (0..12)
            .map(|i| row(i, &format!("{{\"total\": {i}}}")))
            .collect();
        let broken: String = (50..).zip(broken).map(|(i, it)| row(i, it)).collect();
        File::new("a.jsonl", (sound + &broken).as_bytes())
    }

    #[test]
    fn the_few_that_do_not_parse_are_one_warning() {
        let report = file(&["{\"total\": 7", "{'total': 7}"]).validate();
        let [finding] = with_code(&report, "unparsable_json")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(
            finding.found,
            "`EOF while parsing an object at line 1 column 11`, and the like in rows 13, 14"
        );
        assert_eq!(finding.place.row, Some(13));
    }

    #[test]
    fn a_mixed_corpus_has_no_format() {
        let report = file(&["the total is 7"; 12]).validate();
        assert!(with_code(&report, "unparsable_json").is_empty());
        assert!(with_code(&file(&[]).validate(), "unparsable_json").is_empty());
    }
}
