use std::{sync::Arc, time::Duration};

use reqwest::{Client, redirect};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt as _;
use thiserror::Error;

/// Connections to providers: one pool of them for all. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Transport {
    pub(crate) client: Client,
    pub(crate) connect_timeout: Duration,
}

/// Why no connection can be made at all.
#[derive(Debug, Error)]
pub enum TransportError {
    /// TLS cannot be set up.
    #[error("failed to set up TLS with this machine's certificates of authorities")]
    Tls(#[from] rustls::Error),
    /// The client cannot be made.
    #[error("failed to set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

impl Transport {
    /// How long a connection that nobody uses is kept: less than the load balancers of providers do.
    const IDLE: Duration = Duration::from_secs(50);

    /// Makes a pool. A connection has to be made, TLS included, within `connect_timeout`.
    ///
    /// # Errors
    /// If this machine has no certificates of authorities.
    pub fn new(connect_timeout: Duration) -> Result<Self, TransportError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls()?)
            // An answer that nobody waits for any more is stopped by closing its connection.
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(Self::IDLE)
            // A key is for the server that it was given for.
            .redirect(redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("llmopt/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            connect_timeout,
        })
    }
}

fn tls() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}
