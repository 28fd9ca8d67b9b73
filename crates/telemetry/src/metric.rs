/// One metric: what it is called, what it counts in, by what it is told apart, and what it means.
#[derive(Debug)]
pub struct Metric {
    /// Its name, as OpenTelemetry spells names.
    pub name: &'static str,
    /// How it grows.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// By what it is told apart (`crate::labels`).
    pub labels: &'static [&'static str],
    /// By what it is told apart in CloudWatch, each a metric that is paid for; none where functions do not
    /// measure it.
    pub dimensions: &'static [&'static [&'static str]],
    /// What it means, in a few words.
    pub meaning: &'static str,
}

/// How a metric grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How many values were at most each of these.
    Histogram(&'static [f64]),
}

/// What a metric counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share from 0 to 1.
    Ratio,
    /// A number of these.
    Of(&'static str),
}

impl Unit {
    /// Returns the unit as OpenTelemetry writes it.
    pub fn otel(self) -> String {
        match self {
            Self::Seconds => "s".to_owned(),
            Self::Bytes => "By".to_owned(),
            Self::Ratio => "1".to_owned(),
            Self::Of(what) => format!("{{{what}}}"),
        }
    }

    /// Returns the unit as CloudWatch calls it.
    pub fn cloudwatch(self) -> &'static str {
        match self {
            Self::Seconds => "Seconds",
            Self::Bytes => "Bytes",
            Self::Ratio => "None",
            Self::Of(_) => "Count",
        }
    }
}

impl Metric {
    /// Returns its name as Prometheus spells names: with the unit, and `_total` where it only grows.
    pub fn prometheus(&self) -> String {
        let mut name = prometheus(self.name);
        let unit = match self.unit {
            Unit::Seconds => "_seconds",
            Unit::Bytes => "_bytes",
            Unit::Ratio => "_ratio",
            Unit::Of(_) => "",
        };
        name.push_str(unit);
        if self.kind == Kind::Counter {
            name.push_str("_total");
        }
        name
    }

    /// Returns its labels as Prometheus spells them.
    pub fn prometheus_labels(&self) -> Vec<String> {
        self.labels.iter().map(|label| prometheus(label)).collect()
    }
}

fn prometheus(name: &str) -> String {
    name.replace('.', "_")
}
