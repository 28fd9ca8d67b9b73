use llmopt_domain::Severity;

use super::Reference;

const fn error(code: &'static str, description: &'static str, fix: &'static str) -> Reference {
    Reference {
        code,
        severity: Severity::Error,
        description,
        fix,
    }
}

/// What reading itself finds, before any rule sees the row.
pub(super) const READING: [Reference; 23] = [
    error(
        "unparsable_row",
        "a row that is no JSON object, or breaks the table",
        "mend the row at the place that is named, or delete it",
    ),
    error(
        "invalid_utf8",
        "bytes that are not UTF-8",
        "save the file as UTF-8",
    ),
    error(
        "row_too_long",
        "a row longer than is read",
        "split the row, or delete it",
    ),
    error(
        "broken_file",
        "JSON that breaks off between rows",
        "mend the file at the place that is named",
    ),
    error(
        "broken_header",
        "a table whose first line names no columns, or one twice",
        "give every column a name of its own",
    ),
    error(
        "ragged_row",
        "a row of a table with more or fewer fields than the header",
        "quote the fields that have a comma or a line end",
    ),
    error(
        "unknown_columns",
        "columns of which none are known to hold prompts and responses",
        "rename the columns to one of the shapes that are named, or map them",
    ),
    error(
        "missing_column",
        "a map of columns that names one which no row has",
        "correct the map, or leave it out",
    ),
    error(
        "ambiguous_columns",
        "columns that could be read in two ways",
        "remove or rename the columns that are not meant, or map those that are",
    ),
    error(
        "broken_compression",
        "a packed file that is cut off or damaged",
        "pack the file again from its source",
    ),
    error(
        "lone_surrogate",
        "half of a character of UTF-16",
        "correct the text at the place that is named, or delete the row",
    ),
    error(
        "invalid_utf16",
        "UTF-16 that ends within a character",
        "save the file again, best as UTF-8",
    ),
    error(
        "broken_parquet",
        "a Parquet file that is cut off or damaged, or has pages of more than 256 MiB together",
        "write the file again, with smaller row groups if its pages are large",
    ),
    error(
        "unsupported_codec",
        "a Parquet file whose columns are packed in a way that is not read",
        "write it with `zstd`, `snappy`, `gzip` or `lz4_raw`, or without compression",
    ),
    Reference {
        code: "near_duplicates_not_sought",
        severity: Severity::Info,
        description: "more rows than are compared with each other",
        fix: "nothing to do, unless near duplicates are feared: split the file",
    },
    Reference {
        code: "other_encoding",
        severity: Severity::Warning,
        description: "a table or a text that is not UTF-8 and was read as Windows-1252",
        fix: "save the file as UTF-8, unless its letters are right as they are read",
    },
    error(
        "wrong_call",
        "tools, or a call of one, that cannot be read",
        "correct the JSON that is named, or delete the row",
    ),
    error(
        "same_answers",
        "a preference between two answers that are the same",
        "correct one of the answers, or delete the row",
    ),
    error(
        "missing_field",
        "a row without a field that it must have",
        "add the field, or delete the row",
    ),
    error(
        "wrong_type",
        "a field that is not of the type that is read",
        "write it as the type that is named",
    ),
    error(
        "unknown_role",
        "a turn of a role that is not known",
        "rename the role, or delete the row",
    ),
    error(
        "wrong_turns",
        "turns in an order that is not a conversation's, or none",
        "merge, add or remove turns, or delete the row",
    ),
    error(
        "unsupported_turn",
        "a turn with what is not read yet",
        "remove it, or delete the row",
    ),
];

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use crate::references;

    /// The codes that `source` makes problems of.
    fn codes(source: &str) -> BTreeSet<String> {
        let calls = [
            "Problem::row(",
            "Problem::file(",
            "fn code(&self) -> &'static str {",
            "code: \"",
        ];
        let places = calls
            .iter()
            .flat_map(|call| source.match_indices(call).map(|(at, it)| at + it.len()));
        let literals = places.filter_map(|at| {
            let rest = source[..at].ends_with('"').then(|| &source[at..]);
            let rest = rest.or_else(|| source[at..].trim_start().strip_prefix('"'))?;
            rest.split_once('"').map(|(code, _)| code.to_owned())
        });
        literals.collect()
    }

    fn sources(folder: &Path) -> String {
        let entries = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.file_name() != Some("testing.rs".as_ref()))
            .map(|path| match path.is_dir() {
                true => sources(&path),
                false => production(&fs::read_to_string(path).unwrap()),
            })
            .collect()
    }

    fn production(source: &str) -> String {
        source
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn every_code_that_the_sources_have_is_registered_and_no_other() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let used = codes(&sources(&folder));
        let registered: BTreeSet<String> =
            references().iter().map(|it| it.code.to_owned()).collect();
        let unknown: Vec<_> = used.difference(&registered).collect();
        assert!(
            unknown.is_empty(),
            "add to `READING` or `rules`: {unknown:?}"
        );
        let reading: BTreeSet<String> =
            super::READING.iter().map(|it| it.code.to_owned()).collect();
        let unused: Vec<_> = reading.difference(&used).collect();
        assert!(unused.is_empty(), "take out of `READING`: {unused:?}");
        assert!(
            used.contains("duplicate_row") && used.contains("mojibake"),
            "{used:?}"
        );
    }
}
