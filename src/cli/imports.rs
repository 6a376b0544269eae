//! `permitd imports`: finished, running and held imports.

use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::{Data, Definitions, origin, with_node},
    output::{Table, counted, facts, grouped, moment},
};
use crate::{
    actors::import::{ImportError, ImportStatus},
    app::Node,
    domain::event::ImportCounts,
};

/// Imports that are listed where nothing else is said.
const LISTED: usize = 100;

/// List and show imports, and decide about those that are held
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd imports list
  permitd imports show 019ace3e-6c7a-7000-8000-000000000000
  permitd imports approve 019ace3e-6c7a-7000-8000-000000000000")]
pub(super) struct ImportsArgs {
    #[command(flatten)]
    definitions: Definitions,
    #[command(subcommand)]
    command: ImportsCommand,
}

#[derive(Debug, Subcommand)]
enum ImportsCommand {
    List(ListImports),
    Show(ShowImport),
    Approve(ApproveImport),
    Discard(DiscardImport),
    Cancel(CancelImport),
}

/// List imports, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd imports list --dataset permits --limit 10")]
struct ListImports {
    /// Only into this data set
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// So many at most
    #[arg(long, value_name = "COUNT", default_value_t = LISTED)]
    limit: usize,
}

/// Show an import: what it did or would do, and what it is held for
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd imports show 019ace3e-6c7a-7000-8000-000000000000 --json")]
struct ShowImport {
    /// The import's id, as `permitd imports list` shows it
    #[arg(value_parser = import_id)]
    id: Uuid,
}

/// Do an import that is held, on the machine that has its file
///
/// Where the data set or the definition has changed since, the file is compared anew, and held again if it would do more than it was held
/// for.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd imports approve 019ace3e-6c7a-7000-8000-000000000000")]
struct ApproveImport {
    /// The import's id, as `permitd imports list` shows it
    #[arg(value_parser = import_id)]
    id: Uuid,
}

/// Give an import up that is held: its file is removed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd imports discard 019ace3e-6c7a-7000-8000-000000000000")]
struct DiscardImport {
    /// The import's id, as `permitd imports list` shows it
    #[arg(value_parser = import_id)]
    id: Uuid,
}

/// End an import of a file that was sent to a server of this data directory
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd imports cancel 019ace3e-6c7a-7000-8000-000000000000")]
struct CancelImport {
    /// The import's id, as `permitd imports list` shows it
    #[arg(value_parser = import_id)]
    id: Uuid,
}

/// Reads an import's id.
fn import_id(text: &str) -> Result<Uuid, &'static str> {
    Uuid::parse_str(text).map_err(|_| "an import's id is expected, as `permitd imports list` shows it")
}

impl ImportsArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[self.definitions.flag()])?;
        with_node(settings, Data::MustExist, async |node| match self.command {
            ImportsCommand::List(of) => list(&node, &of).await,
            ImportsCommand::Show(ShowImport { id }) => Ok(shown(&status(&node, id).await?)),
            ImportsCommand::Approve(ApproveImport { id }) => approve(&node, id).await,
            ImportsCommand::Discard(DiscardImport { id }) => {
                node.service.imports.discard(id, &node.envelope()?).await?;
                Ok(shown(&status(&node, id).await?))
            }
            ImportsCommand::Cancel(CancelImport { id }) => {
                let own = node.service.committer.new_id().map_err(|error| Failure::unavailable(error.to_string()))?;
                node.service.imports.cancel(id, origin(own)).await?;
                let text = format!("{id} ends as soon as the server notices it; `permitd imports show {id}` tells");
                Ok(CommandAnswer::new(json!({ "id": id, "cancelling": true }), text))
            }
        })
    }
}

async fn status(node: &Node, id: Uuid) -> Result<ImportStatus, Failure> {
    let found = node.service.imports.status(id).await?;
    found.ok_or_else(|| Failure::not_found(format!("there is no import {id}; `permitd imports list` has them all")))
}

async fn list(node: &Node, of: &ListImports) -> Result<CommandAnswer, Failure> {
    let imports = node.service.committer.stores.views.imports(of.dataset.as_deref(), of.limit).await?;
    let mut table = Table::new(&["ID", "DATA SET", "FILE", "STATUS", "BEGAN", "VERSION"]);
    for import in &imports {
        table.row([
            import.id.to_string(),
            import.dataset.clone(),
            import.file_name.clone(),
            import.status.clone(),
            moment(Some(import.started_at)),
            import.dataset_version.map(|version| version.to_string()).unwrap_or_default(),
        ]);
    }
    Ok(CommandAnswer::new(json!({ "imports": imports }), table.render()))
}

async fn approve(node: &Node, id: Uuid) -> Result<CommandAnswer, Failure> {
    match node.service.imports.approve_and_wait(id, node.envelope()?).await {
        Ok(_) => Ok(shown(&status(node, id).await?)),
        Err(ImportError::Guarded(guarded)) => Err(Failure::new(
            Exit::Refused,
            format!("the data set has changed since, and the import is held again: {}", guarded.reason()),
        )),
        Err(error) => Err(error.into()),
    }
}

fn shown(status: &ImportStatus) -> CommandAnswer {
    let mut lines = vec![("data set", status.dataset.clone()), ("status", status.status.clone())];
    let mut add = |label, text: Option<String>| lines.extend(text.map(|text| (label, text)));
    add("file", status.file_name.clone());
    add("began", status.started_at.map(|at| moment(Some(at))));
    add("ended", status.ended_at.map(|at| moment(Some(at))));
    add("version", status.dataset_version.map(|version| version.to_string()));
    if let Some(ImportCounts { inserted, updated, unchanged, removed, rejected }) = status.counts {
        for (label, count) in [
            ("inserted", inserted),
            ("updated", updated),
            ("unchanged", unchanged),
            ("removed", removed),
            ("rejected", rejected),
        ] {
            add(label, Some(grouped(count)));
        }
    }
    add("why", status.reason.clone());
    if let Some(held) = &status.held {
        add("held until", Some(moment(Some(held.until))));
        add("file kept by", Some(held.node.clone()));
    }
    let mut text = facts(&lines);
    if let Some(report) = status.report.as_ref().filter(|report| !report.differences.is_empty()) {
        let mut table = Table::new(&["KEY", "RECORD", "COLUMN", "IS", "WOULD BE"]);
        for change in &report.differences {
            let side = |value: &Option<String>| value.clone().unwrap_or_default();
            let row = [change.key.clone(), change.record_id.clone(), change.column.clone()];
            let [key, record_id, column] = row;
            table.row([key, record_id, column, side(&change.old), side(&change.new)]);
        }
        text.push_str(&format!(
            "the first {}:\n{}",
            counted(report.differences.len() as u64, "change"),
            table.render()
        ));
    }
    CommandAnswer::new(json!(status), text)
}
