//! `permitd backup` and `permitd restore`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{
    CommandAnswer, Common, Failure,
    open::{must_exist, quiet_log},
    output::{facts, grouped, moment},
    progress,
};
use crate::app::{self, Manifest};

/// What is said of a copy without the secret.
const WITHOUT_SECRET: &str = "without the server secret: keep secret.json apart, since no key works without it. The keys of people's \
                              data are not in it either: names and addresses cannot be read from it, nor brought back";

/// Copy everything into a folder, also while a server runs
///
/// The log with its views, quotas and queue; the records of all data sets with their past; the server secret; the definitions in the
/// folder of the setting datasets; and the configuration file. All of one moment, each file with its SHA-256. Not in it: mails in
/// the outbox, and files of rejected rows. The folder is there when it is complete: a backup that was killed is none.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd backup /backup/2026-11-28
  permitd backup /backup/copy --without-secret      for who must not make keys, or see names and addresses")]
pub(super) struct Backup {
    /// The folder: one that does not exist yet, or an empty one
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// Leave out the server secret, and the keys that people's names and addresses are sealed with
    #[arg(long)]
    without_secret: bool,
}

/// Put a backup into a data directory that is empty or does not exist
///
/// Looks through the backup first, and restores nothing of one that is damaged. Keys work and quotas go on as they were at the
/// moment of the backup. A restoring that was killed is done anew by the same command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd restore /backup/2026-11-28
  permitd restore /backup/2026-11-28 --data /var/lib/permitd")]
pub(super) struct Restore {
    /// The folder of the backup
    #[arg(value_name = "DIR")]
    from: PathBuf,
}

impl Backup {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[])?;
        must_exist(&settings)?;
        // A backup is of what goes on; a copy is made again from it.
        app::refuse_a_copy(&settings.data)?;
        quiet_log(&settings)?;
        let manifest =
            under_bar(|report| app::block_on(app::backup(&settings, &self.to, !self.without_secret, report)))?;
        let to = self.to.display();
        let mut lines = told(&manifest);
        lines.push(("secret", if manifest.with_secret { "with it" } else { WITHOUT_SECRET }.to_owned()));
        if settings.configuration().is_some() && manifest.configuration.is_none() {
            lines.push(("configuration", "left out: it holds a password".to_owned()));
        }
        let document = json!({ "backup": self.to, "bytes": manifest.bytes(), "manifest": manifest });
        Ok(CommandAnswer::new(document, format!("{to}: {} bytes\n{}", grouped(manifest.bytes()), facts(&lines))))
    }
}

impl Restore {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[])?;
        quiet_log(&settings)?;
        let manifest = under_bar(|report| app::restore(&settings, &self.from, report))?;
        let data = settings.data.display();
        let mut notes = Vec::new();
        if !manifest.with_secret {
            notes.push(format!(
                "the server secret is not in this backup: put secret.json into {data} (mode 600) before you start a server. Where it is \
                 lost, `permitd secret replace` goes on with another one: every key ends"
            ));
        } else if !settings.secret_file.as_os_str().is_empty() {
            let (named, here) = (settings.secret_file.display(), settings.data.join("secret.json"));
            notes.push(format!("the setting secret_file names {named}: put {} there", here.display()));
        }
        if let Some(was) = manifest.configuration.as_ref().filter(|_| !manifest.was_in_data_directory()) {
            let here = self.from.join("permitd.toml");
            notes.push(format!("the configuration file was {}: it is {}", was.path.display(), here.display()));
        }
        if let Some(definitions) = manifest.definitions_in(&settings.data) {
            notes.push(format!("the definitions are in {0}: `permitd serve --datasets {0}`", definitions.display()));
        }
        notes.push("`permitd events verify` compares all of it with the log".to_owned());
        let noted: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
        let document =
            json!({ "data": settings.data, "bytes": manifest.bytes(), "manifest": manifest, "notes": notes });
        let text = format!("{data}: restored, {} bytes\n{}{noted}", grouped(manifest.bytes()), facts(&told(&manifest)));
        Ok(CommandAnswer::new(document, text))
    }
}

fn told(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let sets = manifest.datasets.iter();
    let sets: Vec<String> =
        sets.map(|set| format!("{} at version {} ({} records)", set.name, set.version, grouped(set.records))).collect();
    let sets = if sets.is_empty() { "none".to_owned() } else { sets.join(", ") };
    vec![
        ("taken", moment(Some(manifest.taken_at))),
        ("data sets", sets),
        ("files", grouped(manifest.files.len() as u64)),
    ]
}

fn under_bar(
    work: impl FnOnce(app::ByteReport<'_>) -> Result<Manifest, app::BackupError>,
) -> Result<Manifest, Failure> {
    let bar = progress::bar(0, "{bar:32} {binary_bytes}/{binary_total_bytes}");
    let done = work(&mut |bytes, total| {
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.inc(bytes);
    });
    progress::finish(&bar);
    Ok(done?)
}
