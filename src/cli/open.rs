//! Opens settings and a node from the command line.

use std::{path::PathBuf, sync::Arc};

use clap::Args;
use uuid::Uuid;

use super::{Common, Failure};
use crate::{
    actors::commit::Envelope,
    app::{self, Node, Purpose, StartError},
    clock::SystemClock,
    config::{Backend, LoadFrom, Settings},
    domain::{
        event::Origin,
        id::{CommandId, Who},
    },
    private,
    secrets::SystemEntropy,
    store::{Stores, sqlite},
    telemetry,
};

/// The setting of the data directory.
pub(super) const DATA_VARIABLE: &str = "PERMITD_DATA";

/// The folder of definitions.
#[derive(Debug, Args)]
pub(super) struct Definitions {
    /// A folder of definitions (*.toml), beside the built-in ones [variable: PERMITD_DATASETS] [default: none]
    #[arg(long, global = true, value_name = "DIR")]
    datasets: Option<PathBuf>,
}

impl Definitions {
    /// The setting that it is.
    pub(super) fn flag(&self) -> (&'static str, Option<String>) {
        ("datasets", self.datasets.as_ref().map(|folder| folder.display().to_string()))
    }
}

/// Whether a command may make the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// It may begin a new one.
    MayBeNew,
    /// It asks about what is there: a wrong directory must not come out as an empty one.
    MustExist,
}

impl Common {
    /// The settings in force. `flags` are those of the command itself.
    pub(super) fn settings(&self, flags: &[(&'static str, Option<String>)]) -> Result<Settings, Failure> {
        let data = self.data.as_ref().map(|data| data.display().to_string());
        let given = flags.iter().cloned().chain([("data", data), ("backend", self.backend.clone())]);
        let overrides: Vec<(&str, String)> = given.filter_map(|(path, value)| Some((path, value?))).collect();
        let env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Settings::load(LoadFrom { config_file: self.config.clone(), env, overrides: &overrides })?)
    }
}

/// Sets up log lines for a command that ends by itself, or whose own words should stand alone: only what is wrong, unless
/// `log.filter` was set.
pub(super) fn quiet_log(settings: &Settings) -> Result<(), Failure> {
    let mut log = settings.log.clone();
    let is_default =
        |described: crate::config::DescribedSetting| described.path == "log.filter" && described.origin == "default";
    if settings.describe().into_iter().any(is_default) {
        log.filter = "warn".to_owned();
    }
    Ok(telemetry::init(&log)?)
}

/// Opens a node for one command and runs it.
pub(super) fn with_node<T>(
    settings: Settings,
    data: Data,
    work: impl AsyncFnOnce(Node) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if data == Data::MustExist {
        must_exist(&settings)?;
    }
    quiet_log(&settings)?;
    app::block_on(async {
        let address = settings.listen;
        let entropy = Arc::new(SystemEntropy);
        let node = Node::open(settings, SystemClock::shared(), entropy, Purpose::Command, address, None).await?;
        let (beside_server, upkeep) = (node.beside_server, Arc::clone(&node.service.committer.stores.upkeep));
        let outcome = work(node).await;
        // The last process closes the databases, so that each file is complete by itself. A parallel command does so at its own end.
        if !beside_server && let Err(error) = upkeep.close().await {
            tracing::debug!(%error, "the database was not closed in order; nothing is lost");
        }
        outcome
    })
}

/// Opens only the stores of a data directory that is there.
pub(super) fn stores(common: &Common) -> Result<Stores, Failure> {
    let settings = common.settings(&[])?;
    must_exist(&settings)?;
    quiet_log(&settings)?;
    Ok(app::block_on(app::open_stores(&settings, None))?)
}

/// Whether there is data. In AWS, tables that are not there say so themselves.
pub(super) fn is_begun(settings: &Settings) -> bool {
    settings.backend == Backend::Aws || settings.data.join(sqlite::FILE_NAME).symlink_metadata().is_ok()
}

pub(super) fn must_exist(settings: &Settings) -> Result<(), Failure> {
    if settings.backend == Backend::Aws {
        return Ok(());
    }
    private::is_open(&settings.data).map_err(StartError::from)?;
    app::refuse_an_unfinished_copy(&settings.data)?;
    app::refuse_a_lost_database(&settings.data)?;
    if is_begun(settings) {
        return Ok(());
    }
    let data = settings.data.display();
    Err(Failure::not_found(format!(
        "{data} is no data directory of permitd; name it with --data or {DATA_VARIABLE}, or begin one with `permitd serve`, \
         `import` or `invite`"
    )))
}

/// The person at the command line, as the log names them: `cli:<account>`.
pub(super) fn who() -> Who {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    let account = named.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    let account: String = account.chars().take(64).collect();
    Who(format!("cli:{account}"))
}

/// Where what this command does comes from.
pub(super) fn origin(id: Uuid) -> Origin {
    Origin { who: who(), correlation_id: format!("cli-{id}"), causation_id: None }
}

impl Node {
    /// The envelope of a command that nobody repeats.
    pub(super) fn envelope(&self) -> Result<Envelope, Failure> {
        let id = self.service.committer.new_id().map_err(|error| Failure::unavailable(error.to_string()))?;
        Ok(Envelope::new(CommandId::unique(id), origin(id)))
    }

    /// Does what follows from the command, such as sending mails. Beside a server nothing: that is the server's.
    pub(super) async fn settle(&self) -> Result<(), Failure> {
        if !self.beside_server {
            // No server is running, so an unpublished commit was left behind, however young it is.
            self.service.relay.sweep_everything().await?;
            self.service.mailers.drain().await?;
        }
        Ok(())
    }
}
