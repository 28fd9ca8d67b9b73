use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use llmopt_http::API;
use tokio::sync::watch;

use crate::{
    context::Context,
    failure::Failure,
    output::note,
    serve::{Platform, ServerFile, ServerOptions, Supervisor, Tls, asked_to_stop, serve},
};

/// How long requests that are being answered may take once the server is asked to end.
const GRACE: Duration = Duration::from_secs(10);

/// Serves the whole platform on this machine: upload datasets, train, watch, and ask the models.
///
/// Everything lies in the data directory. Ctrl-C, or `llmopt stop` from elsewhere, ends it in good order:
/// requests are answered, and a job that is being trained saves a checkpoint and goes on at the next start.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt serve
  llmopt serve --listen 127.0.0.1:9000
  llmopt serve --tls-cert cert.pem --tls-key key.pem

  curl http://127.0.0.1:8080/api/v1/models
  curl http://127.0.0.1:8080/api/v1/generate -H 'content-type: application/json' \\
       -d '{\"model_id\": \"orders\", \"prompt\": \"Two flat whites, please\", \"max_tokens\": 64}'")]
pub(crate) struct ServeArguments {
    /// Where to listen; port 0 takes a free one [default: LLMOPT_LISTEN, or 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A certificate to serve HTTPS with, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listen where other machines can reach it, though whoever does needs no key yet
    #[arg(long)]
    allow_network: bool,
}

pub(crate) async fn run(context: &mut Context, arguments: ServeArguments) -> Result<(), Failure> {
    // Before anything can be interrupted.
    let stop = asked_to_stop()?;
    let listener = bind(context, &arguments)?;
    let address = listener.local_addr().map_err(no_address)?;
    let tls = match arguments.tls_cert.zip(arguments.tls_key) {
        None => None,
        Some((certificate, key)) => {
            let loaded = Tls { certificate, key }.load().await;
            Some(loaded.map_err(|error| Failure::failed_from(&error))?)
        }
    };
    let url = url(address, tls.is_some());
    let file = ServerFile::claim(&context.data_dir, &url)?;
    let platform = Platform::open(context)?;
    let supervisor = match context.trainer() {
        Ok(trainer) => Some(Supervisor::new(&platform, trainer.program(), context)),
        Err(failure) => {
            note(format!("jobs will wait: {failure}"));
            None
        }
    };
    announce(context, &url)?;
    let training = supervisor.map(|it| tokio::spawn(it.run(stop.clone())));
    let options = ServerOptions { tls, grace: GRACE };
    let router = platform.router(address);
    let served = serve(listener, router, options, wait(stop.clone())).await;
    if let Some(training) = training {
        // Where the server failed, nobody else asks for the end.
        if served.is_err() {
            training.abort();
        }
        let _ = training.await;
    }
    drop(file);
    served.map_err(|error| Failure::failed_from(&error))
}

fn bind(context: &Context, arguments: &ServeArguments) -> Result<TcpListener, Failure> {
    let address = arguments.listen.unwrap_or(context.settings.listen);
    if !address.ip().is_loopback() && !arguments.allow_network {
        return Err(Failure::input(format!(
            "`{address}` can be reached from other machines, and the server asks nobody for a key yet"
        ))
        .next("listen on 127.0.0.1, or add `--allow-network` where only those reach it who may"));
    }
    TcpListener::bind(address).map_err(|error| {
        Failure::failed(format!("failed to listen on {address}: {error}"))
            .next("stop what listens there, or choose another port with `--listen`")
    })
}

fn no_address(error: std::io::Error) -> Failure {
    Failure::failed(format!("failed to learn the server's own address: {error}"))
}

fn url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn announce(context: &mut Context, url: &str) -> Result<(), Failure> {
    if context.output.is_json() {
        let ready = serde_json::json!({ "event": "ready", "url": url, "pid": std::process::id() });
        return context.output.json(&ready);
    }
    let data_dir = context.data_dir.display().to_string();
    context
        .output
        .line(format!("serving {url}{API} from `{data_dir}`"))?;
    context
        .output
        .line(format!("try: curl {url}{API}/models; end with Ctrl-C"))
}

async fn wait(mut stop: watch::Receiver<bool>) {
    // Where nobody is left to ask for the end, it has come.
    let _ = stop.wait_for(|stop| *stop).await;
}
