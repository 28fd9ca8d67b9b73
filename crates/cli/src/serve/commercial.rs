use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use llmopt_commercial::Commercial;
use llmopt_commercial_setup::{PriceRefresh, Sources, commercial};
use llmopt_config::SpendingSync;
use llmopt_domain::error_chain;
use llmopt_http::now_ms;
use llmopt_prices::Day;
use llmopt_providers::Circuit;
use llmopt_service::{ProviderCircuit, ProviderFigures, ProviderProbe, ServiceError};
use llmopt_storage::RateStore;
use llmopt_storage_embedded::{SqliteSpendStore, Synchronous};
use parking_lot::Mutex;
use tokio::{sync::watch, time::timeout};

use crate::{context::Context, failure::Failure};

/// How often it is looked for what was abandoned, and for a newer table of prices.
const EVERY: Duration = Duration::from_secs(60);
/// The most that a table of prices has, in bytes.
const LONGEST_TABLE: u64 = 16 << 20;

/// Commercial models on the embedded stores, with the newest prices that are there.
#[derive(Clone)]
pub(crate) struct CommercialModels {
    pub(crate) commercial: Commercial,
    prices: Arc<PriceFile>,
}

impl CommercialModels {
    /// Opens what is kept in the data directory.
    pub(crate) fn open(context: &Context, rates: Arc<dyn RateStore>) -> Result<Self, Failure> {
        let synchronous = match context.settings.spending_sync {
            SpendingSync::Full => Synchronous::Full,
            SpendingSync::Normal => Synchronous::Normal,
        };
        let path = context.data_dir.join(SqliteSpendStore::FILE_NAME);
        let spend = SqliteSpendStore::open_as(&path, synchronous).map_err(ServiceError::from)?;
        let sources = Sources {
            spend: Arc::new(spend),
            rates,
            secrets: None,
            alerts: Vec::new(),
        };
        let commercial =
            commercial(&context.settings, sources).map_err(|error| Failure::input_from(&error))?;
        let prices = PriceFile::new(
            context.data_dir.join(PriceFile::NAME),
            PriceRefresh::new(commercial.prices().clone()),
        );
        prices.look();
        let prices = Arc::new(prices);
        Ok(Self { commercial, prices })
    }

    /// Looks after budgets and prices until it is asked to stop. What a process that is no more left behind is swept
    /// first.
    pub(crate) async fn look_after(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            self.sweep().await;
            // Where nobody is left to ask for the end, it has come.
            let stopped = stop.wait_for(|stop| *stop);
            if timeout(EVERY, stopped).await.is_ok() {
                break;
            }
            let prices = Arc::clone(&self.prices);
            // It is done or it is not: there is nobody to tell.
            let _ = tokio::task::spawn_blocking(move || prices.look()).await;
        }
    }

    /// Settles what a process that is no more left behind.
    pub(crate) async fn sweep(&self) {
        match self.commercial.spending().sweep(now_ms()).await {
            Ok(swept) => swept.log(),
            Err(error) => {
                let error = error_chain(&error);
                tracing::error!(error, "the budgets cannot be looked after now");
            }
        }
    }
}

impl ProviderProbe for CommercialModels {
    fn providers(&self) -> Vec<ProviderFigures> {
        let circuits = self.commercial.circuits().into_iter();
        let figures = circuits.map(|it| ProviderFigures {
            name: it.provider,
            circuit: match it.circuit {
                Circuit::Closed => ProviderCircuit::Closed,
                Circuit::Open { .. } => ProviderCircuit::Open,
                Circuit::Trying => ProviderCircuit::Trying,
            },
            retry_after_seconds: match it.circuit {
                Circuit::Open { retry_after } => Some(retry_after.as_secs_f64().ceil() as u64),
                Circuit::Closed | Circuit::Trying => None,
            },
        });
        figures.collect()
    }

    fn price_age_days(&self) -> i64 {
        let changed = self.commercial.prices().current().version().date;
        changed.days_until(Day::of_unix_ms(now_ms()))
    }
}

/// A table of prices that somebody may put into the data directory, at any time.
struct PriceFile {
    path: PathBuf,
    refresh: PriceRefresh,
    /// Why it could not be read last, so that the log has it once.
    problem: Mutex<Option<String>>,
}

impl PriceFile {
    const NAME: &str = "prices.json";

    fn new(path: PathBuf, refresh: PriceRefresh) -> Self {
        let problem = Mutex::default();
        Self {
            path,
            refresh,
            problem,
        }
    }

    /// Has the table hold if it is there and newer.
    fn look(&self) {
        let problem = match read(&self.path) {
            Ok(bytes) => {
                self.refresh.offer(&bytes);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(error.to_string()),
        };
        let mut known = self.problem.lock();
        if let Some(error) = problem.as_ref().filter(|_| *known != problem) {
            let path = self.path.display();
            tracing::error!(%path, error, "a table of prices cannot be read: the present one holds on");
        }
        *known = problem;
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LONGEST_TABLE)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
