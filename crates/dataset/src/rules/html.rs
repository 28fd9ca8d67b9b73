use llmopt_domain::{Finding, Severity};

use super::{Example, Rule};
use crate::text::leftover_html;

/// Pages that were scraped leave tags and entities behind, which the model learns to write.
pub(super) struct LeftoverHtml;

impl Rule for LeftoverHtml {
    fn code(&self) -> &'static str {
        "leftover_html"
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    fn description(&self) -> &'static str {
        "tags or entities of HTML outside of code, in a row that is not about HTML"
    }

    fn fix(&self) -> &'static str {
        "turn the text into plain text or Markdown, unless the model is to write HTML"
    }

    fn check(&mut self, example: &Example<'_>, findings: &mut Vec<Finding>) {
        let turns = &example.conversation.messages;
        let mut found = turns
            .iter()
            .enumerate()
            .filter_map(|(index, turn)| leftover_html(&turn.content).map(|found| (index, found)));
        if let Some((index, found)) = found.next()
            && !turns.iter().any(|turn| is_about_markup(&turn.content))
        {
            findings.push(self.finding(example.place_of_turn(index), "plain text", found));
        }
    }
}

fn is_about_markup(text: &str) -> bool {
    let text = text.to_lowercase();
    [
        "html",
        "xml",
        "css",
        "svg",
        "web page",
        "webpage",
        "javascript",
        "<!doctype",
    ]
    .iter()
    .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use crate::testing::{File, with_code};

    #[test]
    fn what_a_page_left_behind_is_a_warning_that_names_it() {
        let more = "{\"prompt\": \"Who wrote it?\", \"response\": \"<p>Mary &amp; Percy</p>\"}\n";
        let report = File::with_rows(10, more).validate();
        let [finding] = with_code(&report, "leftover_html")[..] else {
            panic!("{report:?}")
        };
        assert_eq!(finding.found, "`<p>`");
        assert_eq!(finding.place.field.as_deref(), Some("response"));
    }

    #[test]
    fn rows_about_html_may_have_it() {
        let more = "{\"prompt\": \"Write a line in HTML\", \"response\": \"<p>Hello</p>\"}\n";
        let report = File::with_rows(10, more).validate();
        assert!(report.findings.is_empty(), "{report:?}");
    }
}
