/// What a fetch reports while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchEvent<'a> {
    /// Another process fetches the same; this one waits for it.
    Waiting,
    /// The Hub cannot be reached and the revision is taken to be what it was at the last fetch.
    Offline {
        /// The commit that is used.
        commit: &'a str,
    },
    /// It is known what there is to download.
    Listed {
        /// How many files.
        files: u64,
        /// Their size in bytes.
        total_bytes: u64,
    },
    /// More bytes are on disk; those of earlier, cut-off fetches count.
    Advanced {
        /// The file that is being downloaded.
        file: &'a str,
        /// Bytes of all files that are on disk.
        done_bytes: u64,
        /// Bytes of all files.
        total_bytes: u64,
    },
}

/// Hears what a fetch does. Called often, so it should be quick. Any closure that takes a
/// [`FetchEvent`] is one.
pub trait Progress: Send + Sync {
    /// Takes note of `event`.
    fn on_event(&self, event: FetchEvent<'_>);
}

impl<F: Fn(FetchEvent<'_>) + Send + Sync> Progress for F {
    fn on_event(&self, event: FetchEvent<'_>) {
        self(event);
    }
}
