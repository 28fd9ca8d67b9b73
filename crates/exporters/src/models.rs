use std::collections::HashSet;

use parking_lot::RwLock;

/// Models that are told apart at most: each has a dozen series, and a scrape carries them all.
const MOST: usize = 100;
/// What the rest are called; no model's id has this form.
pub(crate) const OTHER: &str = "other";

/// The models that are told apart: the first that answered.
#[derive(Default)]
pub(crate) struct Models {
    known: RwLock<HashSet<String>>,
}

impl Models {
    /// Returns the label for a model.
    pub(crate) fn label<'a>(&self, model: &'a str) -> &'a str {
        if self.known.read().contains(model) {
            return model;
        }
        let mut known = self.known.write();
        if known.len() < MOST || known.contains(model) {
            known.insert(model.to_owned());
            return model;
        }
        OTHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_models_are_told_apart_and_stay_so() {
        let models = Models::default();
        for number in 0..MOST {
            let model = format!("ft:base:{number}:1");
            assert_eq!(models.label(&model), model);
        }
        assert_eq!(models.label("ft:base:late:1"), OTHER);
        assert_eq!(models.label("ft:base:7:1"), "ft:base:7:1");
    }
}
