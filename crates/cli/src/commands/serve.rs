use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use llmopt_domain::{KeyLimits, Scope};
use llmopt_http::API;
use llmopt_service::NewKey;
use tokio::sync::watch;

use crate::{
    context::Context,
    failure::Failure,
    output::note,
    serve::{Platform, ServerFile, ServerOptions, Supervisor, Tls, asked_to_stop, serve},
};

/// How long requests that are being answered may take once the server is asked to end.
const GRACE: Duration = Duration::from_secs(10);
/// What the file with the first key is called in the data directory.
const FIRST_KEY: &str = "admin.key";

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
    let is_open = welcome(context, &platform, address, tls.is_some()).await?;
    announce(context, &url, is_open)?;
    let mut beside = vec![tokio::spawn(
        platform.commercial.clone().look_after(stop.clone()),
    )];
    beside.extend(supervisor.map(|it| tokio::spawn(it.run(stop.clone()))));
    let answers = platform.answer_worker();
    beside.extend(answers.map(|it| tokio::spawn(it.run(stop.clone(), GRACE))));
    let options = ServerOptions { tls, grace: GRACE };
    let router = platform.router(address);
    let served = serve(listener, router, options, wait(stop.clone())).await;
    for task in beside {
        // Where the server failed, nobody else asks for the end.
        if served.is_err() {
            task.abort();
        }
        let _ = task.await;
    }
    drop(file);
    if let Some(traces) = context.traces.take() {
        // What is left is sent; it blocks.
        let _ = tokio::task::spawn_blocking(move || traces.end()).await;
    }
    served.map_err(|error| Failure::failed_from(&error))
}

fn bind(context: &Context, arguments: &ServeArguments) -> Result<TcpListener, Failure> {
    let address = arguments.listen.unwrap_or(context.settings.listen);
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

/// Sees to it that somebody can ask, and returns whether everybody may. Where others than those of this
/// machine reach the server, they need a key: without any, one is made, and kept in a file for its owner.
async fn welcome(
    context: &Context,
    platform: &Platform,
    address: SocketAddr,
    tls: bool,
) -> Result<bool, Failure> {
    let is_here = address.ip().is_loopback();
    if !is_here && !tls {
        note(
            "keys and answers can be read on their way: use `--tls-cert`, or a proxy that speaks HTTPS",
        );
    }
    let are_there = platform.keys.are_there().await?;
    if is_here || are_there {
        return Ok(!are_there);
    }
    let issued = platform.keys.create(first_key()).await?;
    let path = context.data_dir.join(FIRST_KEY);
    if let Err(error) = keep(&path, &issued.text.expose()) {
        // A key that nobody has is none.
        platform.keys.revoke(&issued.key.id).await?;
        let path = path.display();
        return Err(
            Failure::failed(format!("failed to write `{path}`: {error}")).next(
                "make a key with `llmopt keys create --name me --scope admin`, then start again",
            ),
        );
    }
    note(format!(
        "the first key, for everything, is in `{}`: move it to where you keep such things",
        path.display()
    ));
    Ok(false)
}

/// Writes a secret to a file that its owner alone can read, whatever was there.
fn keep(path: &Path, secret: &str) -> io::Result<()> {
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&partial)?;
    let written = writeln!(file, "{secret}").and_then(|()| file.sync_all());
    written
        .and_then(|()| std::fs::rename(&partial, path))
        .inspect_err(|_| {
            let _ = std::fs::remove_file(&partial);
        })
}

fn first_key() -> NewKey {
    NewKey {
        name: "the first key".to_owned(),
        scopes: [Scope::Admin].into(),
        limits: KeyLimits::default(),
        expires_ms: None,
    }
}

fn announce(context: &mut Context, url: &str, is_open: bool) -> Result<(), Failure> {
    if context.output.is_json() {
        let ready = serde_json::json!({
            "event": "ready", "url": url, "pid": std::process::id(), "open": is_open,
        });
        return context.output.json(&ready);
    }
    let data_dir = context.data_dir.display().to_string();
    context
        .output
        .line(format!("serving {url}{API} from `{data_dir}`"))?;
    let header = if is_open {
        context.output.line(
            "everyone on this machine may ask; `llmopt keys create` makes the server want keys",
        )?;
        ""
    } else {
        " -H 'authorization: Bearer KEY'"
    };
    context.output.line(format!(
        "try: curl {url}{API}/models{header}; end with Ctrl-C"
    ))
}

async fn wait(mut stop: watch::Receiver<bool>) {
    // Where nobody is left to ask for the end, it has come.
    let _ = stop.wait_for(|stop| *stop).await;
}
