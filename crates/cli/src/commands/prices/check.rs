use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::Args;
use llmopt_prices::{Day, Lookup, Model, PriceTable, Shutdown};
use serde::Serialize;
use serde_json::json;

use super::{
    TableArguments, instead,
    provider_list::{Announced, Listed, listed},
};
use crate::{context::Context, failure::Failure, output::Output};

/// Tells what of the prices a person has to look at: old or doubtful ones, models that end soon, models that a
/// provider lists and the table lacks. Exit code 2 if there is anything.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  llmopt prices check
  llmopt prices check --days 30 --json
  curl -sH \"authorization: Bearer $OPENAI_API_KEY\" https://api.openai.com/v1/models > models.json
  llmopt prices check --models models.json")]
pub(crate) struct CheckArguments {
    /// Prices are old whose source was read more days ago than this
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// A provider's answer to GET /v1/models, to hold the table against
    #[arg(long, value_name = "FILE")]
    models: Option<PathBuf>,
    #[command(flatten)]
    table: TableArguments,
}

/// Days before a model's end from which on it is told.
const SOON: i64 = 60;

/// Something that the table is to be changed for, or not to be relied on.
#[derive(Serialize)]
struct Note {
    kind: Kind,
    model: String,
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// The source was read long ago.
    Old,
    /// The table itself says that somebody has to look it up.
    Doubtful,
    /// The model ends within [`SOON`] days.
    EndsSoon,
    /// The model has ended: nobody has to do anything.
    Ended,
    /// The provider lists what the table has no price of.
    Missing,
    /// Provider and table differ on a model's end.
    EndDiffers,
}

pub(super) fn run(context: &mut Context, arguments: &CheckArguments) -> Result<(), Failure> {
    let table = arguments.table.open()?;
    let at = arguments.table.day();
    let mut notes: Vec<Note> = Vec::new();
    for model in table.models() {
        notes.extend(age(model, at, arguments.days));
        notes.extend(end(&table, model, at));
    }
    if let Some(path) = &arguments.models {
        notes.extend(
            listed(path)?
                .iter()
                .filter_map(|it| differs(&table, it, at)),
        );
    }
    let open = notes
        .iter()
        .filter(|note| note.kind.needs_a_person())
        .count();
    let output = &mut context.output;
    if output.is_json() {
        let version = table.version();
        output.json(&json!({
            "date": version.date, "digest": version.digest, "at": at, "open": open, "notes": notes,
        }))?;
    } else {
        show(output, &notes)?;
        output.line(format!(
            "table of {} on {at}: {open} to look at",
            table.version()
        ))?;
    }
    if open > 0 {
        return Err(Failure::reported_input());
    }
    Ok(())
}

impl Kind {
    fn needs_a_person(self) -> bool {
        self != Self::Ended
    }

    fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Doubtful => "doubtful",
            Self::EndsSoon => "ends soon",
            Self::Ended => "ended",
            Self::Missing => "missing",
            Self::EndDiffers => "end differs",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Missing | Self::EndDiffers => AnsiColor::Red.on_default().bold(),
            Self::Old | Self::Doubtful | Self::EndsSoon => AnsiColor::Yellow.on_default().bold(),
            Self::Ended => Style::new().dimmed(),
        }
    }
}

fn show(output: &mut Output, notes: &[Note]) -> Result<(), Failure> {
    for note in notes {
        let kind = output.paint(note.kind.style(), note.kind.name());
        output.line(format!("{kind}: `{}`: {}", note.model, note.message))?;
    }
    Ok(())
}

fn note(kind: Kind, model: &str, message: String) -> Note {
    Note {
        kind,
        model: model.to_owned(),
        message,
    }
}

/// Tells whether the price that holds is old or doubtful. Those of the past cannot change any more.
fn age(model: &Model, at: Day, days: u32) -> Vec<Note> {
    let holds = model.period(at).filter(|_| model.shutdown_by(at).is_none());
    let Some(period) = holds else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    let age = period.verified.days_until(at);
    if age > i64::from(days) {
        let read = format!("its source was read {age} days ago: {}", period.source);
        notes.push(note(Kind::Old, &model.id, read));
    }
    if let Some(doubt) = &period.doubt {
        notes.push(note(Kind::Doubtful, &model.id, doubt.clone()));
    }
    notes
}

fn end(table: &PriceTable, model: &Model, at: Day) -> Option<Note> {
    let shutdown = model.shutdown.as_ref()?;
    let left = at.days_until(shutdown.on);
    let instead = instead(table, &model.id, at.max(shutdown.on));
    let (kind, message) = match left {
        ..=0 => (Kind::Ended, format!("since {}{instead}", shutdown.on)),
        1..=SOON => (
            Kind::EndsSoon,
            format!("on {}, in {left} days{instead}", shutdown.on),
        ),
        _ => return None,
    };
    Some(note(kind, &model.id, message))
}

/// Holds an entry of the provider's list against the table.
fn differs(table: &PriceTable, listed: &Listed, at: Day) -> Option<Note> {
    let id = &listed.id;
    if table.find(id, at) == Lookup::Unknown {
        let message = "the provider lists it, and the table has no price of it".to_owned();
        return Some(note(Kind::Missing, id, message));
    }
    let known = table.model(id)?.shutdown.as_ref();
    let message = match (listed.shutdown, known) {
        (Announced::Unsaid, Some(shutdown)) if shutdown.on <= at => {
            format!(
                "the provider still lists it, and the table ends it on {}",
                shutdown.on
            )
        }
        (Announced::Unsaid, _) | (Announced::No, None) => return None,
        (Announced::On(day), Some(shutdown)) if shutdown.on == day => return None,
        (Announced::On(day), known) => {
            format!("on {day} by the provider, {} by the table", end_text(known))
        }
        (Announced::No, known) => format!("none by the provider, {} by the table", end_text(known)),
    };
    Some(note(Kind::EndDiffers, id, message))
}

fn end_text(shutdown: Option<&Shutdown>) -> String {
    shutdown.map_or_else(|| "none".to_owned(), |it| format!("on {}", it.on))
}
