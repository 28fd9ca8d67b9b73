//! Metrics as Prometheus reads them, by a reader that takes nothing that is not as the format has it.

use std::collections::{BTreeMap, BTreeSet};

use crate::server::Server;

/// The labels of a sample.
type Labels = BTreeMap<String, String>;

/// Everything that one scrape gave.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    pub(crate) text: String,
    kinds: BTreeMap<String, String>,
    samples: Vec<(String, Labels, f64)>,
}

impl Scrape {
    pub(crate) fn of(server: &Server) -> Self {
        let response = reqwest::blocking::get(format!("{}/metrics", server.url)).unwrap();
        assert_eq!(response.status(), 200);
        let kind = &response.headers()["content-type"];
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        Self::read(&response.text().unwrap())
    }

    pub(crate) fn read(text: &str) -> Self {
        let mut scrape = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            scrape.line(line);
        }
        scrape.check();
        scrape
    }

    /// The value of the one sample with this name and, among its labels, these.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.samples.iter().filter(|(own, has, _)| {
            let has = |(label, value): &(&str, &str)| has.get(*label).is_some_and(|it| it == value);
            own == name && labels.iter().all(has)
        });
        let value = found.next().map(|(_, _, value)| *value);
        assert!(found.next().is_none(), "{name} {labels:?} names several");
        value
    }

    /// All values that a label has.
    pub(crate) fn values_of(&self, label: &str) -> BTreeSet<&str> {
        let values = self
            .samples
            .iter()
            .filter_map(|(_, labels, _)| labels.get(label));
        values.map(String::as_str).collect()
    }

    fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            let known = self.kinds.insert(name.to_owned(), kind.to_owned());
            assert!(known.is_none(), "{name} has two types");
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, _) = rest.split_once(' ').unwrap();
            assert!(!self.kinds.contains_key(name), "help comes first: {line}");
        } else {
            self.sample(line);
        }
    }

    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series.split_once('{') {
            None => (series, Labels::new()),
            Some((name, rest)) => (name, read_labels(rest.strip_suffix('}').unwrap())),
        };
        assert!(is_name(name), "{line}");
        let value = value.parse().unwrap();
        self.samples.push((name.to_owned(), labels, value));
    }

    /// Every sample is one of a family that was announced, no two are the same, and buckets grow up to the count.
    fn check(&self) {
        let mut seen = BTreeSet::new();
        let mut buckets: BTreeMap<(String, Labels), Vec<(f64, f64)>> = BTreeMap::new();
        for (name, labels, value) in &self.samples {
            assert!(seen.insert((name, labels)), "{name} {labels:?} comes twice");
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| {
                let family = name.strip_suffix(part)?;
                (self.kinds.get(family)? == "histogram").then_some(family)
            });
            let kind = &self.kinds[family.unwrap_or(name)];
            assert_eq!(kind == "histogram", family.is_some(), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            if let (Some(family), Some(bound)) = (family, labels.get("le")) {
                let mut own = labels.clone();
                own.remove("le");
                let bound = bound.replace("+Inf", "inf").parse().unwrap();
                let of = (family.to_owned(), own);
                buckets.entry(of).or_default().push((bound, *value));
            }
        }
        for ((family, labels), buckets) in buckets {
            let grow = buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
            assert!(grow, "{family} {labels:?}: {buckets:?}");
            let all = self.samples.iter().find(|(name, own, _)| {
                name.strip_suffix("_count") == Some(&family) && *own == labels
            });
            let (bound, count) = buckets.last().unwrap();
            assert_eq!((*bound, *count), (f64::INFINITY, all.unwrap().2));
        }
    }
}

fn is_name(name: &str) -> bool {
    let starts = name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_');
    starts
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || it == '_')
}

fn read_labels(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(is_name(name), "{text}");
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    other => panic!("\\{other} is no escape: {text}"),
                }),
                (_, plain) => value.push(plain),
            }
        };
        let known = labels.insert(name.to_owned(), value);
        assert!(known.is_none(), "{name} comes twice");
        text = rest[end + 1..].trim_start_matches(',');
    }
    labels
}

#[test]
fn the_reader_takes_what_is_right_and_nothing_else() {
    let right =
        "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"x\\\"\\\\\\n,}\",c=\"\"} 3\n";
    let scrape = Scrape::read(right);
    assert_eq!(
        scrape.value("a_total", &[("b", "x\"\\\n,}"), ("c", "")]),
        Some(3.0)
    );
    for wrong in [
        "a_total 3\n",
        "# TYPE a gauge\na 3",
        "# TYPE a gauge\na 3\na 4\n",
        "# TYPE a counter\na 3\n",
        "# TYPE a-b gauge\na-b 3\n",
        "# TYPE a gauge\na{b=\"\\t\"} 3\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
    ] {
        assert!(
            std::panic::catch_unwind(|| Scrape::read(wrong)).is_err(),
            "{wrong}"
        );
    }
}
