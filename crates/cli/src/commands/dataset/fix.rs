use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use llmopt_dataset::{Change, Repair, RepairSummary, repair};

use crate::{commands::columns::ColumnFlags, context::Context, failure::Failure};

/// Mends what can be mended without asking, into a new file; the dataset stays as it is.
#[derive(Args, Debug)]
#[command(after_help = "\
Repairs:
  broken_row          leaves out rows that cannot be read, or of which something is missing
  mojibake            writes characters as they were meant that are the bytes of others
  control_character   takes out control characters other than tabs and ends of lines
  mixed_normal_forms  writes accented letters as one character each (NFC)
  trailing_space      takes white space off the end of texts
  duplicate_row       leaves out rows that say the same as one before them

Examples:
  llmopt dataset fix orders.csv --out orders.jsonl --repair broken_row,duplicate_row
  llmopt dataset fix orders.jsonl --out mended.jsonl --all --changes changes.jsonl
  llmopt dataset fix fragen.csv --out mended.jsonl --all --columns prompt=frage,response=antwort")]
pub(crate) struct FixArguments {
    /// The dataset
    file: PathBuf,
    /// The new file, in JSONL
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What to mend
    #[arg(long, value_delimiter = ',', required_unless_present = "all")]
    repair: Vec<Repair>,
    /// Does every repair
    #[arg(long, conflicts_with = "repair")]
    all: bool,
    /// Where every change is written, one on each line as JSON
    #[arg(long, value_name = "FILE")]
    changes: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnFlags,
}

/// Changes that are shown where they are not written to a file.
const SHOWN: usize = 20;

pub(super) fn run(context: &mut Context, arguments: &FixArguments) -> Result<(), Failure> {
    let repairs = match arguments.all {
        true => Repair::ALL.to_vec(),
        false => arguments.repair.clone(),
    };
    let mut out = NewFile::create(&arguments.out)?;
    let log = arguments.changes.as_deref().map(NewFile::create);
    let mut log = log.transpose()?;
    let mut shown = Vec::new();
    let (file, options) = (&arguments.file, arguments.columns.options());
    let summary = repair(file, &options, &repairs, &mut out.writer, &mut |change| {
        if shown.len() < SHOWN {
            shown.push(change.clone());
        }
        match &mut log {
            None => Ok(()),
            Some(log) => {
                serde_json::to_writer(&mut log.writer, change)?;
                log.writer.write_all(b"\n")
            }
        }
    });
    let summary = summary.map_err(|error| Failure::input_from(&error))?;
    if let Some(log) = log {
        log.keep()?;
    }
    out.keep()?;
    if context.output.is_json() {
        return context.output.json(&summary);
    }
    show(context, arguments, &summary, &shown)
}

fn show(
    context: &mut Context,
    arguments: &FixArguments,
    summary: &RepairSummary,
    shown: &[Change],
) -> Result<(), Failure> {
    let output = &mut context.output;
    if arguments.changes.is_none() && !shown.is_empty() {
        let rows = shown.iter().map(|change| {
            vec![
                change.row.to_string(),
                change.field.clone().unwrap_or_default(),
                change.repair.to_string(),
                excerpt(&change.before),
                change
                    .after
                    .as_deref()
                    .map_or("left out".to_owned(), excerpt),
            ]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        output.table(&["row", "field", "repair", "before", "after"], rows)?;
    }
    let changes: u64 = summary.totals.values().sum();
    if arguments.changes.is_none() && changes > SHOWN as u64 {
        output.line("these are the first; `--changes FILE` writes all of them")?;
    }
    for (name, column) in summary.renamed_columns.iter() {
        output.line(format!("the column `{column}` is `{name}` now"))?;
    }
    output.line(format!(
        "{changes} changes; {} of {} rows are left in `{}`",
        summary.rows_after,
        summary.rows_before,
        arguments.out.display()
    ))
}

/// Returns the beginning of a text on one line, with what cannot be seen spelt out.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    let start: String = text.chars().take(LONGEST).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{:?}{more}", start)
}

/// A file that is there once it is whole.
struct NewFile {
    writer: BufWriter<File>,
    written: PathBuf,
    path: PathBuf,
}

impl NewFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        if path.exists() {
            return Err(Failure::input(format!(
                "`{}` exists: name another file",
                path.display()
            )));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let written = PathBuf::from(name);
        let file = File::create(&written).map_err(|error| write_failed(path, &error))?;
        Ok(Self {
            writer: BufWriter::new(file),
            written,
            path: path.to_owned(),
        })
    }

    fn keep(mut self) -> Result<(), Failure> {
        let kept = self.writer.flush();
        let kept = kept.and_then(|()| self.writer.get_ref().sync_all());
        let kept = kept.and_then(|()| std::fs::rename(&self.written, &self.path));
        kept.map_err(|error| write_failed(&self.path, &error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Gone already where it was kept.
        let _ = std::fs::remove_file(&self.written);
    }
}

fn write_failed(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("failed to write `{}`: {error}", path.display()))
}
