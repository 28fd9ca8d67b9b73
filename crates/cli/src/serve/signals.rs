use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{failure::Failure, output::note};

/// Returns what becomes true at the first Ctrl-C or SIGTERM. A second one ends the process as it is:
/// nothing is lost by that, only what was being answered.
pub(crate) fn asked_to_stop() -> Result<watch::Receiver<bool>, Failure> {
    let listen = |kind| {
        signal(kind).map_err(|error| Failure::failed(format!("failed to hear signals: {error}")))
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send_replace(true) {
                end_now();
            }
            note("ending: requests are answered and a running job saves a checkpoint first");
        }
    });
    Ok(receiver)
}

#[expect(
    clippy::disallowed_methods,
    reason = "what would be waited for is what the user no longer wants to wait for"
)]
fn end_now() -> ! {
    std::process::exit(130)
}
