//! The local server: the platform on the embedded stores, and the trainers it starts.

mod commercial;
mod file;
mod gpus;
mod listener;
mod metrics;
mod platform;
mod signals;
mod supervisor;

pub(crate) use file::ServerFile;
pub(crate) use listener::{ServerOptions, Tls, serve};
pub(crate) use platform::Platform;
pub(crate) use signals::asked_to_stop;
pub(crate) use supervisor::Supervisor;
