use std::time::Duration;

use llmopt_config::Store;

use crate::{
    context::Context,
    failure::Failure,
    platform_client::{PlatformClient, ServerFlags},
    serve::Platform,
};

/// How long what an answer cost that was given up may take to settle; a sweep settles what is left, at its bound.
pub(super) const SETTLING: Duration = Duration::from_secs(1);

/// Returns who answers about commercial models: the server that is named, or this process on the data directory.
pub(super) async fn commercial_routes(
    context: &Context,
    server: &ServerFlags,
) -> Result<PlatformClient, Failure> {
    match server.server()? {
        Some(server) => Ok(server),
        None => Ok(PlatformClient::Here(
            platform(context).await?.commercial_router(),
        )),
    }
}

/// Opens the platform on the data directory.
pub(super) async fn platform(context: &Context) -> Result<Platform, Failure> {
    if context.settings.store != Store::Embedded {
        let failure =
            Failure::input("with `LLMOPT_STORE=aws` the functions answer, and not this machine");
        return Err(failure.next("name their API with `--url`, or unset `LLMOPT_STORE`"));
    }
    let platform = Platform::open(context)?;
    // Where no server runs, nobody else gives budgets back what a killed process held.
    platform.commercial.sweep().await;
    Ok(platform)
}
