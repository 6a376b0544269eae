//! `permitd events verify`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{
    pace::{told, under_bar, with_rate},
    quarantine::{gone_over, named},
};
use crate::{
    app::{self, StartError},
    cli::{
        CommandAnswer, Exit, Failure,
        output::{counted, facts, grouped},
    },
    domain::{lineage::Loss, view::ImportRow},
    replay::{self, Difference, Verified},
    store::{Stores, records::RecordStore},
};

/// Differences that are printed; the others are counted.
const DIFFERENCES_MAX: usize = 1_000;

/// Rebuild every view from the log and compare: prints each difference
///
/// Records that are gone, older than the log or of another one are differences, too, with what to do about them. Changes
/// nothing. `permitd events replay` repairs what it finds in the views. Over AWS whoever was killed may have left rows that are not
/// written yet: they are counted apart, as no differences, since the next start, or a running server, writes them.
///
/// With --with it compares with another side instead, by row and field. With another permitd program: what an upgrade would change. It gets
/// the log, the views of both are made of it, and nothing of this deployment is opened by it. With another data directory: the stored views
/// of both, such as those of a copy.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd events verify
  permitd events verify --json
  permitd events verify --with ./permitd-next         what the other program would make of the log
  permitd events verify --with permitd-copy           the views of a copy beside those of now

Exit codes:
  0  there are no differences; rows may wait to be written
  1  there are some")]
pub(super) struct Verify {
    /// Compare with the views of another permitd program, or of another data directory
    #[arg(long, value_name = "BINARY|DIR")]
    with: Option<PathBuf>,
}

impl Verify {
    /// What to compare with, if anything.
    pub(super) fn compared(&self) -> Option<PathBuf> {
        self.with.clone()
    }

    pub(super) fn answer(self, stores: &Stores, records: &dyn RecordStore) -> Result<CommandAnswer, Failure> {
        let mut space = stores.replay.replay_space()?;
        let (total, quarantined) = (space.commits_total()?, space.quarantined()?);
        let mut kept: Vec<Difference> = Vec::new();
        let mut keep = |difference| {
            if kept.len() < DIFFERENCES_MAX {
                kept.push(difference);
            }
        };
        let (Verified { differences, waiting, progress, imports }, took) =
            under_bar(total, |report| replay::verify(&mut *space, &mut keep, report))?;
        let losses = losses(&imports, records)?;
        let mut text: String = kept.iter().map(described).collect();
        for (difference, loss) in &losses {
            text.push_str(&format!("{}{loss}: {}\n", described(difference), loss.remedy()));
        }
        let lost = u64::try_from(losses.len()).unwrap_or(u64::MAX);
        let in_views = differences;
        let differences = differences.saturating_add(lost);
        kept.extend(losses.into_iter().map(|(difference, _)| difference));
        let kept_count = u64::try_from(kept.len()).unwrap_or(u64::MAX);
        let unprinted = differences.saturating_sub(kept_count);
        if unprinted > 0 {
            text.push_str(&format!("… and {} more\n", grouped(unprinted)));
        }
        text.push_str(&gone_over(&quarantined));
        text.push_str(&match waiting {
            0 => String::new(),
            1 => "1 row is not written yet: the next start, or a running server, writes it\n".to_owned(),
            _ => {
                format!(
                    "{} rows are not written yet: the next start, or a running server, writes them\n",
                    grouped(waiting)
                )
            }
        });
        text.push_str(&match differences {
            0 => format!("no differences: {}\n", told(progress, took)),
            _ => {
                let advice = if in_views > 0 { "; `permitd events replay` rebuilds the views" } else { "" };
                format!("{}: {}{advice}\n", counted(differences, "difference"), told(progress, took))
            }
        });
        let quarantined = named(&quarantined);
        let further =
            json!({ "differences": differences, "waiting": waiting, "found": kept, "quarantined": quarantined });
        let document = with_rate(progress, took, further);
        let exit = if differences == 0 { Exit::Done } else { Exit::Differences };
        Ok(CommandAnswer { exit, ..CommandAnswer::new(document, text) })
    }
}

/// What of the records does not fit the log.
fn losses(imports: &[ImportRow], records: &dyn RecordStore) -> Result<Vec<(Difference, Loss)>, Failure> {
    if replay::verify_records(imports, &records.data_sets()).is_empty() {
        return Ok(Vec::new());
    }
    // The log may have an import that has ended meanwhile.
    app::block_on(records.refresh()).map_err(StartError::from)?;
    Ok(replay::verify_records(imports, &records.data_sets()))
}

fn described(Difference { row, expected, found }: &Difference) -> String {
    let shown = |side: &Option<String>| side.clone().unwrap_or_else(|| "no row".to_owned());
    format!("{row}\n{}", facts(&[("the log says", shown(expected)), ("the view has", shown(found))]))
}
