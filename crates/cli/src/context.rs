use std::{path::PathBuf, sync::Arc};

use llmopt_config::{Secret, Settings, Store, telemetry, variables};
use llmopt_exporters::{TraceOptions, Traces};
use llmopt_service::{Jobs, Keys, Models, ResolvedModel, ServiceError, TrainingMachine};
use llmopt_storage::FolderStore;
use llmopt_storage_aws::{Aws, DynamoRecordStore, S3FolderStore};
use llmopt_storage_embedded::{Database, FileFolderStore, SqliteRecordStore};

use crate::{
    arguments::{Arguments, Command},
    failure::Failure,
    hub::Hub,
    output::{Format, Output},
    trainer::Trainer,
};

/// What every command works with.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) data_dir: PathBuf,
    pub(crate) output: Output,
    /// Where traces go, if a collector was named to a command that makes some.
    pub(crate) traces: Option<Traces>,
}

impl Context {
    /// Returns the machine that jobs are trained on, and what it costs.
    pub(crate) fn training_machine(&self) -> TrainingMachine {
        TrainingMachine {
            usd_per_hour: self.settings.trainer_usd_per_hour(),
            name: self.settings.trainer_machine.clone(),
        }
    }

    /// Reads the settings and sets up the logs.
    pub(crate) fn open(arguments: &Arguments) -> Result<Self, Failure> {
        let settings = Settings::load().map_err(|error| Failure::input_from(&error))?;
        let traces = match arguments.command {
            Command::Serve(_) => start_traces(&settings)?,
            _ => None,
        };
        let logged = match &traces {
            Some(traces) => telemetry::init_traced(&settings, traces.layer()),
            None => telemetry::init(&settings),
        };
        logged.map_err(|error| Failure::failed_from(&error))?;
        let format = if arguments.json {
            Format::Json
        } else {
            Format::People
        };
        let data_dir = arguments.data_dir.as_ref().unwrap_or(&settings.data_dir);
        let data_dir = std::path::absolute(data_dir).map_err(|error| {
            Failure::input(format!(
                "`{}` is no folder's path: {error}",
                data_dir.display()
            ))
        })?;
        Ok(Self {
            data_dir,
            settings,
            output: Output::stdout(format),
            traces,
        })
    }

    /// Opens the store in the data directory, which is made if it is not there.
    pub(crate) fn store(&self) -> Result<FileFolderStore, Failure> {
        FileFolderStore::open(&self.data_dir).map_err(|error| ServiceError::from(error).into())
    }

    /// Opens the store that the settings name, for commands that work on either.
    pub(crate) async fn any_store(&self) -> Result<Arc<dyn FolderStore>, Failure> {
        if self.settings.store == Store::Embedded {
            return Ok(Arc::new(self.store()?));
        }
        let bucket = self.settings.need(&variables::BUCKET);
        let bucket = bucket.map_err(|error| Failure::input_from(&error))?;
        let store = S3FolderStore::open(&Aws::connect().await, bucket, &self.data_dir.join("aws"))
            .map_err(ServiceError::from)?;
        store.check().await.map_err(ServiceError::from)?;
        Ok(Arc::new(store))
    }

    /// Opens the keys in the store that the settings name.
    pub(crate) async fn keys(&self) -> Result<Keys, Failure> {
        if self.settings.store == Store::Embedded {
            let database = Database::open(&self.data_dir.join(Database::FILE_NAME));
            let database = database.map_err(ServiceError::from)?;
            let uses = SqliteRecordStore::new(database.clone());
            let keys = SqliteRecordStore::new(database);
            return Ok(Keys::new(Arc::new(keys), Arc::new(uses)));
        }
        let named = |variable| {
            let named = self.settings.need(variable);
            named.map_err(|error| Failure::input_from(&error))
        };
        let aws = Aws::connect().await;
        let keys = DynamoRecordStore::new(&aws, named(&variables::KEYS_TABLE)?);
        let uses = DynamoRecordStore::new(&aws, named(&variables::RATES_TABLE)?);
        keys.check().await.map_err(ServiceError::from)?;
        Ok(Keys::new(Arc::new(keys), Arc::new(uses)))
    }

    pub(crate) fn models<'a>(&self, store: &'a dyn FolderStore) -> Models<'a> {
        Models::new(store)
    }

    pub(crate) fn jobs<'a>(&'a self, store: &'a dyn FolderStore) -> Jobs<'a> {
        Jobs::new(store, &self.data_dir)
    }

    /// Finds the files of the model that the user calls `name`, fetching them if need be.
    pub(crate) async fn resolve(
        &self,
        store: &dyn FolderStore,
        name: &str,
    ) -> Result<ResolvedModel, Failure> {
        let hub = Hub::new(&self.settings, self.data_dir.join("hub"));
        Ok(self.models(store).resolve(name, &hub).await?)
    }

    pub(crate) fn trainer(&self) -> Result<Trainer, Failure> {
        Trainer::find(self.settings.trainer.as_deref())
    }
}

fn start_traces(settings: &Settings) -> Result<Option<Traces>, Failure> {
    let Some(endpoint) = &settings.otlp_endpoint else {
        return Ok(None);
    };
    let traces = Traces::start(TraceOptions {
        endpoint,
        headers: settings.otlp_headers.as_ref().map(Secret::expose),
        service: settings.service_name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        environment: settings.environment.name(),
    });
    traces.map(Some).map_err(|error| {
        Failure::failed_from(&error).next("correct OTEL_EXPORTER_OTLP_ENDPOINT, or unset it")
    })
}
