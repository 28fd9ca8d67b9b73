use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

/// How long a service may take to take a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);
/// How long one try may take. A part of a large file is its longest.
const ATTEMPT: Duration = Duration::from_secs(60);
/// How long a call may take with all its tries.
const OPERATION: Duration = Duration::from_secs(120);
/// How long a connection may be idle: services close theirs soon after, which a function that was
/// frozen meanwhile would find out by losing a call.
const IDLE: Duration = Duration::from_secs(15);
/// Tries of what may be tried again, the first included.
const ATTEMPTS: u32 = 4;

/// The way to AWS, one for each process: credentials, region, endpoint and connections.
///
/// What services say is their own fault, or that they are busy, is tried up to 4 times within 120 s, with
/// growing pauses; a try has 60 s, a connection 3 s. What tries again by itself must not be done twice:
/// each adapter says how it knows its own writes again.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
}

impl Aws {
    /// Reads what every AWS SDK reads (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL` and so on) and this
    /// machine's certificates, which takes 4 ms, and connects to nothing yet: where the environment names
    /// a region and credentials, nothing else is asked for them.
    pub async fn connect() -> Self {
        Self::load(aws_config::defaults(BehaviorVersion::latest())).await
    }

    pub(crate) async fn load(loader: ConfigLoader) -> Self {
        let http = Builder::new()
            .pool_idle_timeout(IDLE)
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let config = loader
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .load()
            .await;
        Self { config }
    }

    /// Lets every request go through `client` instead.
    #[cfg(test)]
    pub(crate) fn through(
        &self,
        client: impl aws_smithy_runtime_api::client::http::HttpClient + 'static,
    ) -> Self {
        let config = self.config.to_builder().http_client(client).build();
        Self { config }
    }

    /// Tries everything once.
    #[cfg(test)]
    pub(crate) fn without_retries(&self) -> Self {
        let retries = RetryConfig::disabled();
        let config = self.config.to_builder().retry_config(retries).build();
        Self { config }
    }

    /// Returns the configuration, for the clients of other services.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }
}
