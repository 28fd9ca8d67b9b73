use clap::Args;
use llmopt_dataset::ReadOptions;
use llmopt_domain::ColumnMap;

/// How a dataset calls its columns.
#[derive(Args, Debug)]
pub(crate) struct ColumnFlags {
    /// Which columns stand for those that are read: `prompt=frage,response=antwort` where prompts are under `frage`
    #[arg(long, value_name = "NAME=COLUMN,...")]
    columns: Option<ColumnMap>,
}

impl ColumnFlags {
    /// Returns the map; an empty one where there is none.
    pub(crate) fn map(&self) -> ColumnMap {
        self.columns.clone().unwrap_or_default()
    }

    /// Returns how the dataset is read.
    pub(crate) fn options(&self) -> ReadOptions {
        self.map().into()
    }
}
