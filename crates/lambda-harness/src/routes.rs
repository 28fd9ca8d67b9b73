use serde_json::{Map, Value};

/// Which function answers which paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes(Vec<Route>);

#[derive(Clone, Debug)]
struct Route {
    segments: Vec<String>,
    function: String,
}

/// A path that a function answers.
#[derive(Debug, PartialEq)]
pub(crate) struct Matched<'a> {
    pub(crate) function: &'a str,
    /// The template that it matches, as an API would have it.
    pub(crate) resource: String,
    pub(crate) parameters: Map<String, Value>,
}

impl Routes {
    /// Adds a template, in which `{name}` stands for any segment, and all paths below it.
    pub(crate) fn add(&mut self, template: &str, function: &str) {
        self.0.push(Route {
            segments: segments(template).map(str::to_owned).collect(),
            function: function.to_owned(),
        });
    }

    pub(crate) fn functions(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|route| route.function.as_str())
    }

    /// Returns the most specific match: the longest, then the one with the fewest parameters.
    pub(crate) fn find(&self, path: &str) -> Option<Matched<'_>> {
        let path: Vec<&str> = segments(path).collect();
        let matching = self.0.iter().filter(|route| route.matches(&path));
        let best = matching.max_by_key(|route| (route.segments.len(), route.literals()))?;
        Some(best.matched(&path))
    }
}

impl Route {
    fn matches(&self, path: &[&str]) -> bool {
        path.len() >= self.segments.len()
            && self
                .segments
                .iter()
                .zip(path)
                .all(|(segment, found)| parameter(segment).is_some() || segment == found)
    }

    fn literals(&self) -> usize {
        self.segments
            .iter()
            .filter(|segment| parameter(segment).is_none())
            .count()
    }

    fn matched(&self, path: &[&str]) -> Matched<'_> {
        let mut parameters: Map<String, Value> = self
            .segments
            .iter()
            .zip(path)
            .filter_map(|(segment, found)| Some((parameter(segment)?.to_owned(), (*found).into())))
            .collect();
        let mut resource = format!("/{}", self.segments.join("/"));
        let rest = &path[self.segments.len()..];
        if !rest.is_empty() {
            resource = format!("{}/{{proxy+}}", resource.trim_end_matches('/'));
            parameters.insert("proxy".to_owned(), rest.join("/").into());
        }
        Matched {
            function: &self.function,
            resource,
            parameters,
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn routes() -> Routes {
        let mut routes = Routes::default();
        routes.add("/api/v1/jobs", "jobs");
        routes.add("/api/v1/jobs/{id}", "job");
        routes.add("/api/v1/jobs/new", "new");
        routes
    }

    #[test]
    fn the_most_specific_route_answers() {
        let routes = routes();
        let function = |path| routes.find(path).map(|matched| matched.function);
        assert_eq!(function("/api/v1/jobs"), Some("jobs"));
        assert_eq!(function("/api/v1/jobs/new"), Some("new"));
        assert_eq!(function("/api/v1/jobs/7"), Some("job"));
        assert_eq!(function("/api/v1/jobs/7/events"), Some("job"));
        assert_eq!(function("/api/v1/jobsters"), None);
        assert_eq!(function("/api/v1"), None);
    }

    #[test]
    fn a_match_tells_its_resource_and_parameters() {
        let routes = routes();
        let matched = routes.find("/api/v1/jobs/7/events").unwrap();
        assert_eq!(matched.resource, "/api/v1/jobs/{id}/{proxy+}");
        let parameters = Value::Object(matched.parameters);
        assert_eq!(parameters, json!({"id": "7", "proxy": "events"}));
    }
}
