use std::fmt;

use llmopt_domain::Place;

use super::Example;

/// The first rows of some kind, and how many there are.
#[derive(Debug, Default)]
pub(super) struct FirstRows {
    first: Option<Place>,
    numbers: Vec<u64>,
    /// All of them.
    pub(super) count: u64,
}

impl FirstRows {
    const MOST: usize = 5;

    /// Adds the row, whose response is what it is about.
    pub(super) fn add(&mut self, example: &Example<'_>) {
        self.count += 1;
        if self.numbers.len() < Self::MOST {
            self.numbers.push(example.row.number);
            self.first
                .get_or_insert_with(|| example.place_of_response());
        }
    }

    /// Returns the place of the first one.
    pub(super) fn place(&self) -> Place {
        self.first.clone().unwrap_or_default()
    }
}

impl fmt::Display for FirstRows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers.iter().map(u64::to_string).collect();
        let rows = if self.count == 1 { "row" } else { "rows" };
        write!(formatter, "{rows} {}", numbers.join(", "))?;
        match self.count - self.numbers.len() as u64 {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}
