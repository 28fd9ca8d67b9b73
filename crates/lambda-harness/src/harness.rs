use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
};

use axum::{Router, routing::post, serve::ListenerExt as _};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    sync::oneshot,
};

use crate::{
    FunctionSpec, HarnessError,
    api::{self, Api},
    function::Function,
    lambda_api,
    routes::Routes,
};

/// A running harness. Dropping it ends it, and every process of its functions.
#[derive(Debug)]
pub struct Harness {
    url: String,
    service: Arc<Service>,
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a harness is to have.
#[derive(Debug)]
pub struct HarnessBuilder {
    functions: Vec<FunctionSpec>,
    routes: Routes,
    api: Api,
}

/// What the fronts share.
#[derive(Debug)]
pub(crate) struct Service {
    functions: BTreeMap<String, Arc<Function>>,
    pub(crate) routes: Routes,
    pub(crate) api: Api,
}

impl Service {
    pub(crate) fn function(&self, name: &str) -> Result<&Arc<Function>, HarnessError> {
        let found = self.functions.get(name);
        found.ok_or_else(|| HarnessError::UnknownFunction(name.to_owned()))
    }
}

impl HarnessBuilder {
    /// Adds a function. It has no process before its first invocation.
    #[must_use]
    pub fn function(mut self, spec: FunctionSpec) -> Self {
        self.functions.push(spec);
        self
    }

    /// Sends requests for `path`, and for all paths below it that no longer route matches, to a
    /// function. A segment `{name}` stands for any, and becomes a path parameter.
    #[must_use]
    pub fn route(mut self, path: &str, function: &str) -> Self {
        self.routes.add(path, function);
        self
    }

    /// Sets the API's stage, which events tell and no path has; `live` unless set.
    #[must_use]
    pub fn stage(mut self, stage: &str) -> Self {
        stage.clone_into(&mut self.api.stage);
        self
    }

    /// Sets the types of the bodies that events carry in base64, `*/*` for all; unless set, forms,
    /// gzip and unknown bytes. Any other body that is not UTF-8 is damaged, as by API Gateway.
    #[must_use]
    pub fn binary_media_types(mut self, types: &[&str]) -> Self {
        self.api.binary_media_types = types.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Starts it on a loopback port, on a thread of its own.
    ///
    /// # Errors
    /// [`HarnessError::NoProgram`] if a program does not exist, [`HarnessError::UnknownFunction`] if a
    /// route leads to none, [`HarnessError::Start`] if this machine gives no port or thread.
    pub async fn start(self) -> Result<Harness, HarnessError> {
        let service = Arc::new(self.service()?);
        let (stop, stopped) = oneshot::channel();
        let (started, is_started) = oneshot::channel();
        let served = Arc::clone(&service);
        let thread = thread::Builder::new()
            .name("lambda-harness".to_owned())
            .spawn(move || run(served, started, stopped))
            .map_err(HarnessError::Start)?;
        let outcome = is_started.await.map_err(|_| HarnessError::Stopped)?;
        let (address, runtime) = outcome.map_err(HarnessError::Start)?;
        Ok(Harness {
            url: format!("http://{address}"),
            service,
            runtime,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    fn service(self) -> Result<Service, HarnessError> {
        let mut functions = BTreeMap::new();
        for mut spec in self.functions {
            spec.program = spec
                .program
                .canonicalize()
                .map_err(|_| HarnessError::NoProgram {
                    name: spec.name.clone(),
                    program: spec.program.clone(),
                })?;
            functions.insert(spec.name.clone(), Arc::new(Function::new(spec)));
        }
        let service = Service {
            functions,
            routes: self.routes,
            api: self.api,
        };
        for name in service.routes.functions() {
            service.function(name)?;
        }
        Ok(service)
    }
}

impl Harness {
    /// Returns a harness to be, without functions.
    pub fn builder() -> HarnessBuilder {
        HarnessBuilder {
            functions: Vec::new(),
            routes: Routes::default(),
            api: Api {
                stage: "live".to_owned(),
                binary_media_types: [
                    "multipart/form-data",
                    "application/gzip",
                    "application/octet-stream",
                ]
                .map(str::to_owned)
                .to_vec(),
            },
        }
    }

    /// Returns where the API is, and Lambda's own (`AWS_ENDPOINT_URL_LAMBDA`).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Invokes a function and returns its answer.
    ///
    /// # Errors
    /// [`HarnessError::Function`] if the function fails; as Lambda, if it cannot be invoked;
    /// [`HarnessError::NotJson`] if its answer is not JSON, as that of a stream.
    pub async fn invoke(&self, name: &str, event: Value) -> Result<Value, HarnessError> {
        let function = Arc::clone(self.service.function(name)?);
        let invoked = self.runtime.spawn(async move {
            let answer = function.invoke(event.to_string().into()).await?;
            Ok::<_, HarnessError>(lambda_api::whole(answer).await?)
        });
        let answer = invoked.await.map_err(|_| HarnessError::Stopped)??;
        serde_json::from_slice(&answer).map_err(HarnessError::NotJson)
    }

    /// Returns what the processes of a function wrote to their standard output and error.
    ///
    /// # Errors
    /// [`HarnessError::UnknownFunction`].
    pub fn logs(&self, name: &str) -> Result<String, HarnessError> {
        Ok(self.service.function(name)?.logs.text())
    }

    /// Returns the ids of a function's processes, the oldest first.
    ///
    /// # Errors
    /// [`HarnessError::UnknownFunction`].
    pub fn processes(&self, name: &str) -> Result<Vec<u32>, HarnessError> {
        Ok(self.service.function(name)?.processes())
    }

    /// Ends the processes of a function that wait for an event: the next starts a new one.
    ///
    /// # Errors
    /// [`HarnessError::UnknownFunction`].
    pub async fn end_idle(&self, name: &str) -> Result<(), HarnessError> {
        let function = Arc::clone(self.service.function(name)?);
        let ended = self.runtime.spawn(async move { function.end_idle().await });
        ended.await.map_err(|_| HarnessError::Stopped)
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Started = Result<(SocketAddr, Handle), io::Error>;

/// Serves until it is stopped. Processes are started by this thread, so that they end with it.
fn run(service: Arc<Service>, started: oneshot::Sender<Started>, stopped: oneshot::Receiver<()>) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error));
            return;
        }
    };
    runtime.block_on(async {
        let bound = async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let listener = match bound.await {
            Ok((listener, address)) => {
                let _ = started.send(Ok((address, Handle::current())));
                listener
            }
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        // A small part of an answer is not to wait for the next.
        let listener = listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let fronts = router(service).into_make_service_with_connect_info::<SocketAddr>();
        tokio::select! {
            _ = stopped => {}
            _ = axum::serve(listener, fronts) => {}
        }
    });
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route(
            "/2015-03-31/functions/{name}/invocations",
            post(lambda_api::invoke),
        )
        .route(
            "/2021-11-15/functions/{name}/response-streaming-invocations",
            post(lambda_api::invoke_with_response_stream),
        )
        .fallback(api::handle)
        .with_state(service)
}
