use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::{ModelSummary, ServiceError};

/// What every published folder has, and nobody writes to again.
const WITNESS: &str = "training_metadata.json";

/// Remembers what published folders say of themselves: a loss curve is long, and a server looks for a
/// model with every request.
#[derive(Clone, Default)]
pub(crate) struct ModelMemory {
    known: Arc<Mutex<HashMap<PathBuf, Known>>>,
}

struct Known {
    /// When the folder was written: another may be published in its place.
    written: SystemTime,
    summary: ModelSummary,
}

impl ModelMemory {
    /// Returns what the folder `path` of a version says, read anew only where it is another folder.
    pub(crate) fn summary(
        &self,
        version: u32,
        path: PathBuf,
    ) -> Result<ModelSummary, ServiceError> {
        let witness = path.join(WITNESS);
        let written = fs::metadata(&witness).and_then(|it| it.modified());
        let Ok(written) = written else {
            // Reading says what is wrong.
            return ModelSummary::read(version, path);
        };
        if let Some(known) = self.lock().get(&path)
            && known.written == written
        {
            return Ok(known.summary.clone());
        }
        let summary = ModelSummary::read(version, path.clone())?;
        let known = Known {
            written,
            summary: summary.clone(),
        };
        self.lock().insert(path, known);
        Ok(summary)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Known>> {
        // An entry is whole or not there.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
