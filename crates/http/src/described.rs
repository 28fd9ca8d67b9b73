use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    response::IntoResponse,
    routing::{MethodRouter, Route},
};
use tower::{Layer, Service};
use utoipa::openapi::{OpenApi, RefOr, path::Paths, schema::Schema};
use utoipa_axum::router::OpenApiRouter;

/// What is said of some routes: the schemas that they use by name, and their operations.
pub type Description = (Vec<(String, RefOr<Schema>)>, Paths);

/// Handlers of one path, and what describes them. [`routes!`](crate::routes) makes it.
pub struct DescribedRoutes<S> {
    /// The path.
    pub path: String,
    /// What answers.
    pub methods: MethodRouter<S>,
    /// Describes them.
    pub describe: fn() -> Description,
}

/// Routes that can say what they are. They are described for who asks for that: a server, which does not, is spared the
/// time at its start and the memory.
pub struct DescribedRouter<S> {
    router: Router<S>,
    describe: Vec<fn() -> Description>,
}

impl<S: Clone + Send + Sync + 'static> Default for DescribedRouter<S> {
    fn default() -> Self {
        Self {
            router: Router::new(),
            describe: Vec::new(),
        }
    }
}

impl<S: Clone + Send + Sync + 'static> DescribedRouter<S> {
    /// Adds routes.
    #[must_use]
    pub fn routes(mut self, routes: DescribedRoutes<S>) -> Self {
        self.describe.push(routes.describe);
        Self {
            router: self.router.route(&routes.path, routes.methods),
            ..self
        }
    }

    /// Puts a layer over the routes that there are.
    #[must_use]
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self {
            router: self.router.layer(layer),
            ..self
        }
    }

    /// Returns the routes over their state.
    pub fn with_state(self, state: S) -> Router {
        self.router.with_state(state)
    }

    /// Describes the routes.
    pub fn into_openapi(self) -> OpenApi {
        let described = OpenApiRouter::<()>::default();
        let described = self.describe.iter().fold(described, |all, describe| {
            let (schemas, paths) = describe();
            all.routes((schemas, paths, MethodRouter::new()))
        });
        described.into_openapi()
    }
}

/// Makes [`DescribedRoutes`] of handlers of one path that have `#[utoipa::path]`. In tests, it panics where they have several.
#[macro_export]
macro_rules! routes {
    ($($($handler:ident)::+),+) => {{
        use $crate::utoipa_axum::PathItemExt as _;
        let [path, others @ ..] = [$($crate::utoipa_axum::routes!(@path [path()] of $($handler)::+)),+];
        debug_assert!(others.iter().all(|other| *other == path), "{path} and {others:?} are several paths");
        let methods = axum::routing::MethodRouter::new();
        $(
            let types = $crate::utoipa_axum::routes!(@path [methods()] of $($handler)::+);
            let methods = types.iter().fold(methods, |methods, method| {
                methods.on(method.to_method_filter(), $($handler)::+)
            });
        )+
        $crate::DescribedRoutes {
            path,
            methods,
            describe: || {
                let mut schemas = Vec::new();
                let mut paths = utoipa::openapi::path::Paths::new();
                $(
                    let (path, operation, types) =
                        $crate::utoipa_axum::routes!(@resolve_types $($handler)::+ : schemas);
                    paths.add_path_operation(path, types, operation);
                )+
                (schemas, paths)
            },
        }
    }};
}
