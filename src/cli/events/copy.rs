//! `permitd events replay --as-of … --into DIR`: a copy of the deployment as it was.

use std::{path::Path, str::FromStr};

use serde_json::json;

use crate::{
    app::{self, CopyMark, CopyPoint, CopyStep},
    cli::{
        CommandAnswer, Common, Failure,
        open::{must_exist, quiet_log},
        output::{counted, facts},
        progress,
    },
    clock::SystemClock,
    domain::event::AsOf,
};

/// A moment, or a position in the log, as the command line gives it.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopiedMoment(CopyPoint);

impl FromStr for CopiedMoment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match AsOf::parse(text) {
            Ok(AsOf::Position(position)) => Ok(Self(CopyPoint::Position(position))),
            Ok(AsOf::Moment(at)) => Ok(Self(CopyPoint::Moment(at))),
            Ok(AsOf::Version(_)) | Err(_) => Err(
                "it is neither a moment, such as 2026-11-29T12:00:00Z, nor a position of the log, such as position:1200".to_owned(),
            ),
        }
    }
}

/// Makes the copy, under a bar.
pub(super) fn copy(common: &Common, CopiedMoment(point): CopiedMoment, into: &Path) -> Result<CommandAnswer, Failure> {
    let settings = common.settings(&[])?;
    must_exist(&settings)?;
    app::refuse_a_copy(&settings.data)?;
    quiet_log(&settings)?;
    let bar = progress::bar(0, "{bar:32} {human_pos}/{human_len} commits  {msg}");
    let copying = app::block_on(app::copy_as_of(&settings, &SystemClock::shared(), point, into, &mut |step| {
        match &step {
            CopyStep::Begun(total) => bar.set_length(*total),
            CopyStep::Log(commits) | CopyStep::Views(commits) => bar.set_position(*commits),
            CopyStep::People(_) | CopyStep::Records(_) => {}
        }
        bar.set_message(said(&step));
    }));
    progress::finish(&bar);
    let mark = copying?;
    Ok(CommandAnswer::new(json!(mark), told(&mark, into)))
}

fn said(step: &CopyStep) -> String {
    match step {
        CopyStep::Begun(_) => String::new(),
        CopyStep::Log(_) => "read".to_owned(),
        CopyStep::People(people) => format!("accounts of {}", counted(*people, "user")),
        CopyStep::Views(_) => "made into views".to_owned(),
        CopyStep::Records(name) => format!("the records of {name}"),
    }
}

fn told(mark: &CopyMark, into: &Path) -> String {
    let mut lines = vec![("of", mark.of.clone()), ("as of", mark.as_of.to_string())];
    for data_set in &mark.datasets {
        let records = counted(data_set.records, "record");
        lines.push(("data set", format!("{}: version {}, {records}", data_set.name, data_set.version)));
    }
    for left_out in &mark.left_out {
        lines.push(("left out", format!("{}: {}", left_out.name, left_out.reason)));
    }
    let shown = into.display();
    format!("a copy is in {shown}\n{}`permitd serve --read-only --data {shown}` shows it\n", facts(&lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_positions() {
        let point = |text: &str| text.parse::<CopiedMoment>().map(|CopiedMoment(point)| point);
        assert_eq!(point("position:12"), Ok(CopyPoint::Position(12)));
        assert_eq!(point("1970-01-01T00:00:00Z"), Ok(CopyPoint::Moment(jiff::Timestamp::UNIX_EPOCH)));
        assert!(point("position:x").unwrap_err().contains("position:1200"));
        assert!(point("12").unwrap_err().contains("position:1200"));
        assert!(point("yesterday").unwrap_err().contains("position"));
    }
}
