use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::{rt::TokioExecutor, server::conn::auto::Builder};
use thiserror::Error;

/// How long the headers of a request may take, and a silent HTTP/2 connection to say that it is there.
const HEADERS_TIME: Duration = Duration::from_secs(15);
/// What they may take, in bytes.
const HEADERS_BYTES: usize = 64 << 10;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 128;

/// The files of a certificate, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The certificate, with the chain to its authority.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// How a server listens and ends.
pub(crate) struct ServerOptions {
    /// The certificate; absent means plain HTTP.
    pub(crate) tls: Option<RustlsConfig>,
    /// How long requests that are being answered may take once the server is to end.
    pub(crate) grace: Duration,
}

/// Why a server does not serve.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    /// The certificate or its key cannot be used.
    #[error(
        "failed to read the certificate `{}` with the key `{}`: expected PEM files that belong together",
        certificate.display(), key.display()
    )]
    Tls {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The listener failed.
    #[error("failed to serve on {address}")]
    Listen {
        /// Where it listens.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Serves `router` on `listener` until `stop` resolves, then answers what has begun and returns.
///
/// # Errors
/// [`ServeError::Listen`].
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServerOptions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let address = listener.local_addr();
    let address = address.unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let failed = |source| ServeError::Listen { address, source };
    listener.set_nonblocking(true).map_err(failed)?;
    let handle = Handle::new();
    let ending = handle.clone();
    let grace = options.grace;
    tokio::spawn(async move {
        stop.await;
        ending.graceful_shutdown(Some(grace));
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    // A part of a stream does not wait until its reader has confirmed the one before it.
    let at_once = NoDelayAcceptor::new();
    let server = axum_server::from_tcp(listener).map_err(failed)?;
    let mut server = server.first_request_timeout(HEADERS_TIME).handle(handle);
    bound(server.http_builder());
    let served = match options.tls {
        None => server.acceptor(at_once).serve(service).await,
        Some(config) => {
            let acceptor = RustlsAcceptor::new(config).acceptor(at_once);
            server.acceptor(acceptor).serve(service).await
        }
    };
    served.map_err(failed)
}

/// Bounds what a connection may take before any route sees its request.
fn bound(builder: &mut Builder<TokioExecutor>) {
    builder
        .http1()
        .header_read_timeout(HEADERS_TIME)
        .max_buf_size(HEADERS_BYTES);
    builder
        .http2()
        .max_header_list_size(HEADERS_BYTES as u32)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(HEADERS_TIME);
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`ServeError::Tls`] if they cannot be used.
    pub(crate) async fn load(self) -> Result<RustlsConfig, ServeError> {
        let config = RustlsConfig::from_pem_file(&self.certificate, &self.key).await;
        config.map_err(|source| ServeError::Tls {
            certificate: self.certificate,
            key: self.key,
            source,
        })
    }
}
