use std::collections::BTreeSet;

use crate::columns::SHAPES;

/// Nobody types longer names, which would take long to compare.
const LONGEST: usize = 64;

/// Finds the column that was probably meant to be `name`.
pub(crate) fn misspelling<'a, 'b>(
    name: &'b str,
    found: &BTreeSet<&'a str>,
) -> Option<(&'a str, &'b str)> {
    let (length, lower) = (name.chars().count(), name.to_lowercase());
    let distances = found.iter().map(|column| {
        let plain = column.trim();
        // A name may be as long as a row.
        let is_similar = length <= LONGEST && plain.chars().count().abs_diff(length) <= 2;
        let distance = is_similar.then(|| distance(&plain.to_lowercase(), &lower));
        (distance.unwrap_or(usize::MAX), *column)
    });
    let known = |column: &str| SHAPES.iter().any(|shape| shape.reads(column));
    let near = distances.filter(|(distance, column)| *distance <= 2 && !known(column));
    near.min().map(|(_, column)| (column, name))
}

/// Counts the letters to insert, delete or replace to make `a` into `b` (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_maps_are_compared_whatever_their_case_and_length() {
        let long = "ä".repeat(LONGEST + 1);
        let found = BTreeSet::from(["größe ", "id", long.as_str()]);
        assert_eq!(misspelling("GRÖSSE", &found), Some(("größe ", "GRÖSSE")));
        assert_eq!(misspelling("Größe", &found), Some(("größe ", "Größe")));
        assert_eq!(misspelling(&long, &found), None);
    }

    #[test]
    fn distances_are_counted() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
