/// Finds the texts that end an answer in what comes bit by bit.
///
/// What is let through does not depend on how the text was cut: the answer ends with the first
/// character that completes one of the texts, before the longest that it completes.
pub(crate) struct StopFilter {
    stops: Vec<String>,
    /// What may be the beginning of one of them.
    held: String,
    stopped: bool,
}

/// What comes out of a [`StopFilter`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// Text that is no part of a stop; perhaps empty.
    Text(String),
    /// The last text, perhaps empty: a stop comes after it.
    Stopped(String),
}

impl StopFilter {
    /// Stops at any of `stops`; empty ones are none.
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty());
        Self {
            stops: stops.cloned().collect(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Takes more of the text and returns what is sure to be before any stop. After one nothing passes.
    pub(crate) fn push(&mut self, text: &str) -> Passed {
        if self.stopped {
            return Passed::Stopped(String::new());
        }
        self.held.push_str(text);
        if let Some(at) = self.first_stop() {
            self.stopped = true;
            self.held.truncate(at);
            return Passed::Stopped(std::mem::take(&mut self.held));
        }
        let undecided = self.held.split_off(self.held.len() - self.undecided());
        Passed::Text(std::mem::replace(&mut self.held, undecided))
    }

    /// Returns what was held back, since the text ends here.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the stop that is completed first begins.
    fn first_stop(&self) -> Option<usize> {
        let found = self.stops.iter().filter_map(|stop| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start))
        });
        found.min().map(|(_, start)| start)
    }

    /// The bytes of the longest end of the held text that begins a stop.
    fn undecided(&self) -> usize {
        let ends = self.held.char_indices().map(|(at, _)| &self.held[at..]);
        let mut begins = ends.filter(|end| self.stops.iter().any(|stop| stop.starts_with(end)));
        begins.next().map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What passes, and whether a stop was found.
    fn filter<'a>(stops: &[&str], parts: impl IntoIterator<Item = &'a str>) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut filter = StopFilter::new(&stops);
        let mut text = String::new();
        for part in parts {
            match filter.push(part) {
                Passed::Text(part) => text.push_str(&part),
                Passed::Stopped(part) => return (text + &part, true),
            }
        }
        (text + &filter.finish(), false)
    }

    #[test]
    fn text_without_a_stop_passes_whole() {
        let passed = filter(&["###", ""], ["a #", "# b", " ##"]);
        assert_eq!(passed, ("a ## b ##".to_owned(), false));
        assert_eq!(filter(&[], ["ü", "b"]), ("üb".to_owned(), false));
    }

    #[test]
    fn a_stop_is_left_out_with_all_that_follows() {
        let passed = filter(&["\nUser:"], ["Hi", "\n", "Us", "er: no"]);
        assert_eq!(passed, ("Hi".to_owned(), true));
    }

    #[test]
    fn what_may_begin_a_stop_is_held_back_until_it_is_decided() {
        let mut filter = StopFilter::new(&["<end>".to_owned()]);
        assert_eq!(filter.push("a<e"), Passed::Text("a".to_owned()));
        assert_eq!(filter.push("n"), Passed::Text(String::new()));
        assert_eq!(filter.push("!<"), Passed::Text("<en!".to_owned()));
        assert_eq!(filter.finish(), "<");
    }

    #[test]
    fn the_stop_that_is_complete_first_counts() {
        assert_eq!(filter(&["abcd", "c"], ["xabcd"]), ("xab".to_owned(), true));
        assert_eq!(filter(&["bc", "abc"], ["xabc"]), ("x".to_owned(), true));
    }

    proptest! {
        #[test]
        fn how_the_text_is_cut_makes_no_difference(
            text in "[abü]{0,30}",
            stops in proptest::collection::vec("[abü]{0,4}", 0..4),
            cuts in proptest::collection::vec(1_usize..5, 30),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let mut rest: Vec<char> = text.chars().collect();
            let mut parts = Vec::new();
            for cut in cuts {
                let tail = rest.split_off(cut.min(rest.len()));
                parts.push(std::mem::replace(&mut rest, tail).into_iter().collect::<String>());
            }
            parts.push(rest.into_iter().collect());
            let whole = filter(&stops, [text.as_str()]);
            prop_assert_eq!(filter(&stops, parts.iter().map(String::as_str)), whole.clone());
            let found = stops.iter().any(|stop| !stop.is_empty() && text.contains(stop));
            prop_assert_eq!(whole.1, found);
            prop_assert!(text.starts_with(&whole.0));
        }
    }
}
