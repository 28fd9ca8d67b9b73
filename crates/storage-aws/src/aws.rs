use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};

/// How long a service may take to take a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long one try may take. A part of a large file is its longest.
const ATTEMPT: Duration = Duration::from_secs(60);
/// How long a call may take with all its tries.
const OPERATION: Duration = Duration::from_secs(120);
/// Tries of what may be tried again, the first included.
const ATTEMPTS: u32 = 4;

/// The way to AWS, one for each process: credentials, region, endpoint and connections.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
}

impl Aws {
    /// Reads what every AWS SDK reads (`AWS_REGION`, `AWS_PROFILE`, `AWS_ENDPOINT_URL` and so on) and
    /// connects to nothing yet.
    pub async fn connect() -> Self {
        Self::load(aws_config::defaults(BehaviorVersion::latest())).await
    }

    pub(crate) async fn load(loader: ConfigLoader) -> Self {
        // Certificates are read with the first connection.
        let http = Builder::new()
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

    /// Returns the configuration, for the clients of other services.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }
}
