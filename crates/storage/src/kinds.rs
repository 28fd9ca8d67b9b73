//! The kinds of records there are.

use llmopt_domain::{ApiKey, KeyUse, TrainingJob, UploadedDataset};

use crate::Record;

impl Record for TrainingJob {
    const KIND: &'static str = "training job";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_ms(&self) -> u64 {
        self.created_ms
    }

    fn group(&self) -> &str {
        self.state.as_str()
    }
}

impl Record for UploadedDataset {
    const KIND: &'static str = "dataset";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_ms(&self) -> u64 {
        self.created_ms
    }

    fn group(&self) -> &str {
        self.origin()
    }
}

impl Record for ApiKey {
    const KIND: &'static str = "key";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_ms(&self) -> u64 {
        self.created_ms
    }

    fn group(&self) -> &str {
        match self.revoked_ms {
            None => "taken",
            Some(_) => "revoked",
        }
    }
}

impl Record for KeyUse {
    const KIND: &'static str = "use of a key";

    fn id(&self) -> &str {
        &self.id
    }

    fn created_ms(&self) -> u64 {
        self.created_ms
    }

    fn group(&self) -> &str {
        "used"
    }
}
