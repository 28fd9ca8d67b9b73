use llmopt_domain::Severity;

use super::{reading::READING, rules};
use crate::ValidationOptions;

/// What the code of a finding stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The code.
    pub code: &'static str,
    /// How bad its findings are.
    pub severity: Severity,
    /// What is found.
    pub description: &'static str,
    /// What the user can do about it.
    pub fix: &'static str,
}

/// Returns every code that a finding may have: those of reading, then the rules', the worst first.
pub fn references() -> Vec<Reference> {
    let rules = rules(&ValidationOptions::default());
    let mut rules: Vec<_> = rules
        .iter()
        .map(|rule| Reference {
            code: rule.code(),
            severity: rule.severity(),
            description: rule.description(),
            fix: rule.fix(),
        })
        .collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.severity));
    READING.into_iter().chain(rules).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _};

    use expect_test::expect_file;

    use super::*;

    const BEGIN: &str = "<!-- Generated from crates/dataset/src/rules; `UPDATE_EXPECT=1 cargo test -p llmopt-dataset` writes it anew. -->\n";
    const END: &str = "<!-- End of what is generated. -->\n";

    fn table() -> String {
        let mut text =
            "| code | severity | what is found | what to do |\n|---|---|---|---|\n".to_owned();
        for Reference {
            code,
            severity,
            description,
            fix,
        } in references()
        {
            let severity = match severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "info",
            };
            let description = description.replace('|', "\\|");
            writeln!(text, "| `{code}` | {severity} | {description} | {fix} |").unwrap();
        }
        text
    }

    #[test]
    fn the_table_is_that_of_the_rules() {
        let page = include_str!("../../../../docs/DATASETS.md");
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let text = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
        expect_file!["../../../../docs/DATASETS.md"].assert_eq(&text);
    }

    #[test]
    fn every_code_is_one_word_and_stands_for_one_thing() {
        let all = references();
        let codes: BTreeSet<_> = all.iter().map(|it| it.code).collect();
        assert_eq!(codes.len(), all.len());
        for it in all {
            let is_code = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
            assert!(it.code.bytes().all(is_code), "{}", it.code);
            assert!(
                !it.description.ends_with('.') && !it.fix.ends_with('.'),
                "{}",
                it.code
            );
        }
    }
}
