/// Every route that can have limits of its own; a test in `crates/openapi` holds this to the routes there are.
pub const ROUTES: [&str; 44] = [
    "DELETE /commercial/budgets/{scope}",
    "DELETE /datasets/uploads/{upload_id}",
    "DELETE /datasets/{dataset_id}",
    "DELETE /keys/{key_id}",
    "DELETE /models/{model_id}",
    "GET /commercial/budgets",
    "GET /commercial/models",
    "GET /commercial/test",
    "GET /commercial/usage",
    "GET /datasets",
    "GET /datasets/uploads/{upload_id}",
    "GET /datasets/{dataset_id}",
    "GET /datasets/{dataset_id}/changes",
    "GET /datasets/{dataset_id}/preview",
    "GET /datasets/{dataset_id}/report",
    "GET /datasets/{dataset_id}/versions",
    "GET /generate/results/{answer_id}",
    "GET /keys",
    "GET /keys/{key_id}",
    "GET /models",
    "GET /models/{model_id}",
    "GET /openapi.json",
    "GET /status",
    "GET /training/jobs",
    "GET /training/jobs/{job_id}",
    "GET /training/jobs/{job_id}/checkpoints",
    "GET /training/jobs/{job_id}/events",
    "GET /training/jobs/{job_id}/metrics",
    "POST /commercial/compare",
    "POST /datasets",
    "POST /datasets/uploads",
    "POST /datasets/uploads/{upload_id}/complete",
    "POST /datasets/uploads/{upload_id}/parts",
    "POST /datasets/{dataset_id}/fix",
    "POST /generate",
    "POST /generate/batch",
    "POST /keys",
    "POST /keys/{key_id}/rotate",
    "POST /training/estimate",
    "POST /training/jobs",
    "POST /training/jobs/{job_id}/resume",
    "POST /training/jobs/{job_id}/stop",
    "PUT /commercial/budgets",
    "PUT /datasets/uploads/{upload_id}/parts/{part_number}",
];

/// Returns `route` without what its parts are called: whoever names a route may call them as they like.
fn shape(route: &str) -> String {
    let part = |part: &str| {
        let is_named = part.starts_with('{') && part.ends_with('}');
        if is_named {
            "{}".to_owned()
        } else {
            part.to_owned()
        }
    };
    let parts: Vec<String> = route.split('/').map(part).collect();
    parts.join("/")
}

/// Returns the route, or the group of routes, that `name` is, as it is written down here.
pub(crate) fn known(name: &str) -> Option<&str> {
    if !name.contains(' ') {
        let groups = ROUTES.iter().filter_map(|route| route.split('/').nth(1));
        return groups.into_iter().find(|group| *group == name);
    }
    let wanted = shape(name);
    ROUTES.iter().find(|route| shape(route) == wanted).copied()
}
