use llmopt_storage::{Cursor, Listing, Page, Record};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Problem, Validation};

/// The entries of a page where the caller does not say how many.
const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;
/// No id is longer, and no store has to be asked.
const LONGEST_ID: usize = 512;

/// Which part of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageParameters {
    /// Entries at most, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<u32>,
    /// Where the part before ended: its `next_cursor`.
    pub cursor: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PageView<T> {
    /// The entries.
    pub data: Vec<T>,
    /// What to ask for the next part with; absent where this is the last.
    pub next_cursor: Option<String>,
}

impl PageParameters {
    /// Returns the listing of records that is asked for.
    ///
    /// # Errors
    /// A [`Problem`] if a parameter is out of range.
    pub fn listing(&self, group: Option<String>) -> Result<Listing, Problem> {
        let mut validation = Validation::default();
        let limit = self.limit(&mut validation);
        let after = self.cursor.as_deref().and_then(|cursor| {
            let parsed = parse(cursor)
                .ok_or("expected the `next_cursor` of the part before, found another text");
            validation.take("cursor", parsed)
        });
        validation.finish()?;
        Ok(Listing {
            group,
            after,
            limit,
        })
    }

    /// Returns the part of `entries`, sorted by `id`, that is asked for.
    ///
    /// # Errors
    /// A [`Problem`] if a parameter is out of range.
    pub fn part_of<T>(
        &self,
        entries: Vec<T>,
        id: impl Fn(&T) -> &str,
    ) -> Result<PageView<T>, Problem> {
        let mut validation = Validation::default();
        let limit = self.limit(&mut validation) as usize;
        validation.finish()?;
        let after = self.cursor.as_deref().unwrap_or_default();
        let mut entries = entries.into_iter().filter(|entry| id(entry) > after);
        let data: Vec<T> = entries.by_ref().take(limit).collect();
        let more = entries.next().is_some();
        let last = data.last().map(|entry| id(entry).to_owned());
        Ok(PageView {
            next_cursor: last.filter(|_| more),
            data,
        })
    }

    fn limit(&self, validation: &mut Validation) -> u32 {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        validation.require((1..=MAX_LIMIT).contains(&limit), "limit", || {
            format!("expected 1 to {MAX_LIMIT}, found {limit}")
        });
        limit
    }
}

impl<T> PageView<T> {
    /// Renders a page of records.
    pub fn of<R: Record>(page: Page<R>, view: impl Fn(R) -> T) -> Self {
        Self {
            next_cursor: page.next.as_ref().map(render),
            data: page
                .records
                .into_iter()
                .map(|stored| view(stored.record))
                .collect(),
        }
    }
}

fn render(cursor: &Cursor) -> String {
    format!("{}-{}", cursor.created_ms, cursor.id)
}

fn parse(text: &str) -> Option<Cursor> {
    let (created_ms, id) = text.split_once('-')?;
    if id.len() > LONGEST_ID {
        return None;
    }
    // What a store counts in.
    let created_ms: i64 = created_ms.parse().ok()?;
    Some(Cursor {
        created_ms: u64::try_from(created_ms).ok()?,
        id: id.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_list_join() {
        let entries = || vec!["a", "b", "c", "d", "e"];
        let mut parameters = PageParameters {
            limit: Some(2),
            cursor: None,
        };
        let mut found = Vec::new();
        loop {
            let page = parameters.part_of(entries(), |entry| entry).unwrap();
            found.extend(page.data);
            parameters.cursor = page.next_cursor;
            if parameters.cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, entries());
    }

    #[test]
    fn a_cursor_is_read_as_it_was_rendered() {
        let cursor = Cursor {
            created_ms: 17,
            id: "ab-cd".to_owned(),
        };
        assert_eq!(parse(&render(&cursor)), Some(cursor));
    }

    #[test]
    fn all_parameters_that_are_wrong_are_named() {
        let parameters = PageParameters {
            limit: Some(0),
            cursor: Some("x".to_owned()),
        };
        let problem = parameters.listing(None).unwrap_err().to_json(None);
        assert_eq!(problem["errors"][0]["pointer"], "limit");
        assert_eq!(problem["errors"][1]["pointer"], "cursor");
    }
}
