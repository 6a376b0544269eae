//! `permitd datasets`: the published data sets.

mod past;

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    CommandAnswer, Common, Exit, Failure,
    open::{Data, Definitions, origin, with_node},
    output::{Table, confirmed, counted, facts, grouped, moment},
};
use crate::{
    actors::import::ImportError,
    app::{self, DefinitionPlace, KnownDefinition, Node},
    dataset::{Definition, Index, RecordIdRule, suggest},
    domain::{
        event::{AsOf, Origin},
        view::ImportRow,
    },
    store::records::{DataSet, RecordStoreError},
};

/// List, show, withdraw, rename and remove data sets
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd datasets list
  permitd datasets show permits")]
pub(super) struct DataSetsArgs {
    #[command(flatten)]
    definitions: Definitions,
    #[command(subcommand)]
    command: DataSetsCommand,
}

#[derive(Debug, Subcommand)]
enum DataSetsCommand {
    #[command(flatten)]
    OfRecords(OfRecords),
    Language(LanguageArgs),
}

#[derive(Debug, Subcommand)]
enum OfRecords {
    List(ListDataSetsArgs),
    Show(ShowDataSetArgs),
    Withdraw(Withdraw),
    Restore(RestoreDataSet),
    Rename(Rename),
    Remove(Remove),
}

/// What can be written into a definition, in full.
const LANGUAGE: &str = include_str!("../../schemas/datasets/README.md");

/// Print what can be written into a definition
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd datasets language | less")]
struct LanguageArgs {}

/// List the data sets that have records, and where their definitions come from
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd datasets list --json")]
struct ListDataSetsArgs {}

/// Show a data set: its columns, key, indexes, and the versions that are kept
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd datasets show permits
  permitd datasets show permits --definition > permits.toml
  permitd datasets show permits --as-of 2026-03-01T12:00:00Z")]
struct ShowDataSetArgs {
    /// The data set
    name: String,
    /// Print its definition, to be changed and given to `permitd import --definition`
    #[arg(long)]
    definition: bool,
    /// What the log told of it and its imports at this moment, or at this position of the log (position:1200)
    #[arg(long, value_name = "TIME|POSITION", value_parser = past::point, conflicts_with = "definition")]
    as_of: Option<AsOf>,
}

/// Keep a data set, and serve it to nobody: who asks is told so
///
/// A running server stops serving it within records.refresh_interval_ms.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd datasets withdraw trees")]
struct Withdraw {
    /// The data set
    name: String,
}

/// Serve a data set again that was withdrawn
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd datasets restore trees")]
struct RestoreDataSet {
    /// The data set
    name: String,
}

/// Give a data set another name: its path changes, its records, their past and all keys stay
///
/// Its former name leads to the new one until another data set has it.
/// A running server serves it under the new name within records.refresh_interval_ms. The definition that is stored with the records
/// is renamed with them; a file that defines the old name is yours to change.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd datasets rename trees street_trees")]
struct Rename {
    /// The data set
    name: String,
    /// Its new name: lower-case letters, digits and _
    to: String,
}

/// Remove a data set for ever: its records and their past
///
/// What happened to it stays in the log. A running server stops serving it within records.refresh_interval_ms. A later import of that
/// name begins it anew, at a version above all that it had.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd datasets remove trees
  permitd datasets remove trees --yes      without asking, for scripts")]
struct Remove {
    /// The data set
    name: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl DataSetsArgs {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let command = match self.command {
            // This command needs no deployment.
            DataSetsCommand::Language(LanguageArgs {}) => {
                return Ok(CommandAnswer::file(json!({ "language": LANGUAGE }), LANGUAGE));
            }
            DataSetsCommand::OfRecords(command) => command,
        };
        let settings = common.settings(&[self.definitions.flag()])?;
        let known = app::known_definitions(settings.datasets())?;
        with_node(settings, Data::MustExist, async |node| match command {
            OfRecords::List(ListDataSetsArgs {}) => list(&node, &known).await,
            OfRecords::Show(ShowDataSetArgs { name, as_of: Some(as_of), .. }) => past::show(&node, &name, as_of).await,
            OfRecords::Show(ShowDataSetArgs { name, definition: true, .. }) => {
                let text = find(&node, &name).await?.definition.to_toml();
                Ok(CommandAnswer::file(json!({ "name": name, "definition": text }), text))
            }
            OfRecords::Show(ShowDataSetArgs { name, definition: false, .. }) => show(&node, &known, &name).await,
            OfRecords::Withdraw(Withdraw { name }) => withdraw(&node, &name, true).await,
            OfRecords::Restore(RestoreDataSet { name }) => withdraw(&node, &name, false).await,
            OfRecords::Rename(Rename { name, to }) => rename(&node, &name, &to).await,
            OfRecords::Remove(Remove { name, yes }) => remove(&node, &name, yes).await,
        })
    }
}

/// The data set of this name, if its records are those of the log.
async fn find(node: &Node, name: &str) -> Result<Arc<DataSet>, Failure> {
    let verdict = node.service.lineages.judge(name).await.map_err(ImportError::from)?;
    verdict.map_err(ImportError::Lost)?;
    node.service.records.data_set(name).ok_or_else(|| missing(node, name))
}

fn missing(node: &Node, name: &str) -> Failure {
    let present = node.service.records.data_sets();
    let names: Vec<&str> = present.iter().map(|data_set| data_set.definition.name.as_str()).collect();
    let hint = match suggest::nearest(name, names.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if names.is_empty() => "nothing was imported yet: `permitd import FILE --dataset NAME`".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    };
    Failure::not_found(format!("there is no data set {name:?} with records; {hint}"))
}

async fn withdraw(node: &Node, name: &str, withdrawn: bool) -> Result<CommandAnswer, Failure> {
    let version = match node.service.imports.withdraw(name, withdrawn, &node.envelope()?).await {
        Err(ImportError::Records(RecordStoreError::UnknownDataSet { .. })) => return Err(missing(node, name)),
        done => done?,
    };
    let what = if withdrawn { "is kept, and served to nobody" } else { "is served" };
    let document = json!({ "name": name, "withdrawn": withdrawn, "version": version });
    Ok(CommandAnswer::new(document, format!("{name} {what}, at version {version}")))
}

async fn rename(node: &Node, name: &str, to: &str) -> Result<CommandAnswer, Failure> {
    Definition::check_name(to).map_err(|reason| Failure::usage(format!("{to:?} {reason}")))?;
    if name == to {
        return Err(Failure::usage(format!("{name} has that name already; give another one")));
    }
    // After an interrupted renaming the old name has no records.
    let version = match node.service.imports.rename(name, to, new_origin(node)?).await {
        Err(ImportError::Records(RecordStoreError::UnknownDataSet { .. })) => return Err(missing(node, name)),
        renamed => renamed?,
    };
    let document = json!({ "name": to, "renamed_from": name, "path": format!("/{to}"), "version": version });
    Ok(CommandAnswer::new(document, format!("{name} is {to} now: GET /{to}, at version {version}")))
}

async fn remove(node: &Node, name: &str, yes: bool) -> Result<CommandAnswer, Failure> {
    if let Some(data_set) = node.service.records.data_set(name).filter(|_| !yes) {
        let what = format!("{} and their past", counted(data_set.records, "record"));
        let question = format!("Remove {name}, {what}, for ever?");
        if !confirmed(&question, &format!("removing {name} ({what}) cannot be undone"))? {
            return Err(Failure::new(Exit::Refused, format!("{name} was not removed")));
        }
    }
    let version = match node.service.imports.remove(name, &node.envelope()?).await {
        Err(ImportError::Records(RecordStoreError::UnknownDataSet { .. })) => return Err(missing(node, name)),
        removed => removed?,
    };
    let document = json!({ "name": name, "removed": true, "version": version });
    Ok(CommandAnswer::new(document, format!("{name} was removed, at version {version}; the log still tells of it")))
}

fn new_origin(node: &Node) -> Result<Origin, Failure> {
    let id = node.service.committer.new_id().map_err(|error| Failure::unavailable(error.to_string()))?;
    Ok(origin(id))
}

/// Where the definition that records were stored with is found, too.
fn place(definition: &Definition, known: &[KnownDefinition]) -> (DefinitionPlace, bool) {
    let same_name = known.iter().find(|known| known.definition.name == definition.name);
    match same_name {
        Some(known) if known.definition.fingerprint() == definition.fingerprint() => (known.place.clone(), false),
        Some(_) => (DefinitionPlace::Stored, true),
        None => (DefinitionPlace::Stored, false),
    }
}

/// The last import that completed.
async fn last_import(node: &Node, name: &str) -> Result<Option<ImportRow>, Failure> {
    let imports = node.service.committer.stores.views.imports(Some(name), usize::MAX).await?;
    Ok(imports.into_iter().find(|import| import.status == "completed"))
}

fn document(data_set: &DataSet, last: Option<&ImportRow>, known: &[KnownDefinition]) -> Value {
    let definition = &data_set.definition;
    let (place, differs) = place(definition, known);
    json!({
        "name": definition.name,
        "title": definition.title,
        "path": format!("/{}", definition.name),
        "version": data_set.version,
        "records": data_set.records,
        "withdrawn": data_set.standing.withdrawn,
        "former_names": data_set.standing.former_names,
        "last_import": last,
        "definition": {
            "from": place.to_string(), "fingerprint": definition.fingerprint(), "another_of_this_name_differs": differs,
        },
    })
}

async fn list(node: &Node, known: &[KnownDefinition]) -> Result<CommandAnswer, Failure> {
    let mut table = Table::new(&["NAME", "TITLE", "VERSION", "RECORDS", "LAST IMPORT", "DEFINITION"]);
    let mut documents = Vec::new();
    let lineages = &node.service.lineages;
    lineages.judge_all().await.map_err(ImportError::from)?;
    for data_set in lineages.not_lost() {
        let definition = &data_set.definition;
        let last = last_import(node, &definition.name).await?;
        table.row([
            definition.name.clone(),
            definition.title.clone(),
            data_set.version.to_string(),
            grouped(data_set.records),
            moment(last.as_ref().and_then(|last| last.ended_at)),
            place(definition, known).0.to_string(),
        ]);
        documents.push(document(&data_set, last.as_ref(), known));
    }
    let losses = lineages.losses();
    let document = match losses.is_empty() {
        true => json!({ "datasets": documents }),
        false => json!({ "datasets": documents, "not_served": lineages.lost() }),
    };
    let mut text = table.render();
    for loss in &losses {
        text.push_str(&format!("{loss}; it is not served: {}\n", loss.remedy()));
    }
    Ok(CommandAnswer::new(document, text))
}

async fn show(node: &Node, known: &[KnownDefinition], name: &str) -> Result<CommandAnswer, Failure> {
    let data_set = find(node, name).await?;
    let definition = &data_set.definition;
    let last = last_import(node, name).await?;
    let (place, differs) = place(definition, known);
    let differs = if differs { "; another one of this name says something else" } else { "" };
    let id = match definition.record_id_rule {
        RecordIdRule::Ordinal => "the row's place among those of its key",
        RecordIdRule::Source => "a value of the file",
    };
    let index = |index: &Index| match &index.sort {
        Some(sort) => format!("{} by {sort}", index.partition),
        None => index.partition.clone(),
    };
    let indexes: Vec<String> = definition.indexes.iter().map(index).collect();
    let last_told =
        last.as_ref().map_or_else(String::new, |last| format!("{}, {}", last.file_name, moment(last.ended_at)));
    let lines = [
        ("title", definition.title.clone()),
        ("path", format!("GET /{name}, /{name}/{{{}}}", definition.column_name(definition.key))),
        ("records", grouped(data_set.records)),
        ("version", data_set.version.to_string()),
        ("served", if data_set.standing.withdrawn { "no: it was withdrawn" } else { "yes" }.to_owned()),
        ("former names", data_set.standing.former_names.join(", ")),
        ("versions kept", format!("{} to {}", data_set.held_from, data_set.version)),
        ("key", definition.column_name(definition.key).to_owned()),
        ("record id", format!("{}: {id}", definition.column_name(definition.record_id))),
        ("indexes", indexes.join(", ")),
        ("last import", last_told),
        ("definition", format!("{place}{differs}")),
    ];
    let mut table = Table::new(&["COLUMN", "TYPE", "DESCRIPTION"]);
    for column in &definition.columns {
        table.row([column.name.clone(), column.kind.as_str().to_owned(), column.description.clone()]);
    }
    let mut document = document(&data_set, last.as_ref(), known);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("held_from".to_owned(), data_set.held_from.into());
        fields.insert("key".to_owned(), definition.column_name(definition.key).into());
        fields.insert("record_id".to_owned(), definition.column_name(definition.record_id).into());
        fields.insert("indexes".to_owned(), json!(definition.indexes));
        fields.insert("columns".to_owned(), json!(definition.columns));
    }
    Ok(CommandAnswer::new(document, format!("{}{}", facts(&lines), table.render())))
}
