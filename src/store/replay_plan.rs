//! What a rebuild is to rebuild, how far it is, and where an interrupted one goes on.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::{id::StreamId, view::Rows};

/// How long an interrupted rebuild can be gone on with.
pub(super) const RESUMED_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// How long after its last word a rebuild counts as running.
const HEARD_OF_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// A view, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayView {
    /// People.
    Users,
    /// Keys.
    Keys,
    /// Sessions.
    Sessions,
    /// Plans.
    Plans,
    /// Imports.
    Imports,
    /// Administrators' tokens.
    Tokens,
}

impl ReplayView {
    /// All views.
    pub const ALL: [Self; 6] = [Self::Users, Self::Keys, Self::Sessions, Self::Plans, Self::Imports, Self::Tokens];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Keys => "keys",
            Self::Sessions => "sessions",
            Self::Plans => "plans",
            Self::Imports => "imports",
            Self::Tokens => "tokens",
        }
    }

    /// The view of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.name() == name)
    }

    /// What the names of the streams begin with that its rows follow from.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Users | Self::Keys | Self::Sessions => "user#",
            Self::Plans => "plan#",
            Self::Imports => "dataset#",
            Self::Tokens => "tokens#",
        }
    }

    /// Whether rows of it follow from a stream.
    pub fn follows_from(self, stream: &StreamId) -> bool {
        match stream {
            StreamId::User(_) => matches!(self, Self::Users | Self::Keys | Self::Sessions),
            StreamId::Plan(_) => self == Self::Plans,
            StreamId::DataSet(_) => self == Self::Imports,
            StreamId::AdminTokens => self == Self::Tokens,
        }
    }
}

/// What a rebuild is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayPlan {
    /// The view; all without one.
    pub view: Option<ReplayView>,
    /// Whether it begins at the beginning, although an interrupted one could be gone on with.
    pub anew: bool,
    /// The most read units that it takes from DynamoDB in a second.
    pub read_units_per_s: Option<u32>,
}

/// How far a replay is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Commits read.
    pub commits: u64,
    /// Events in these commits.
    pub events: u64,
    /// Streams that were read completely.
    pub streams: u64,
}

/// The place up to which a rebuild has written its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedTo {
    /// The last stream, in the order in which they are read.
    pub stream: StreamId,
    /// What was read up to its end.
    pub progress: Progress,
}

/// Rows that are written together.
#[derive(Debug, Default)]
pub struct ReplayBatch {
    /// The rows.
    pub rows: Vec<Rows>,
    /// The place that is reached with them; none while streams are read again that have grown since.
    pub reached: Option<ReplayedTo>,
}

/// How a rebuild begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayBeginning {
    /// At the beginning: none was interrupted.
    New,
    /// At the beginning, although one was interrupted, for this reason.
    Anew(String),
    /// Where an interrupted one was.
    Resumed(Progress),
}

/// A rebuild that is running, or was interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayStatus {
    /// The view; none for all.
    pub view: Option<ReplayView>,
    /// How far it is.
    pub progress: Progress,
    /// Commits in all, as far as known when it began.
    pub commits_total: u64,
    /// When it last wrote rows.
    pub heard_of_at: Timestamp,
}

impl ReplayStatus {
    /// Whether it is running, as far as can be told: it wrote rows in the last minute.
    pub fn is_running(&self, now: Timestamp) -> bool {
        now.duration_since(self.heard_of_at) < HEARD_OF_WITHIN
    }
}

/// An interrupted rebuild, as it was recorded.
#[derive(Debug, Clone)]
pub(super) struct Interrupted {
    pub(super) view: Option<ReplayView>,
    pub(super) program: String,
    pub(super) quarantined: String,
    pub(super) heard_of_at: Timestamp,
}

impl Interrupted {
    /// Why it cannot be gone on with; none if it can, as far as this tells.
    pub(super) fn obstacle(&self, plan: &ReplayPlan, quarantined: &str, now: Timestamp) -> Option<String> {
        let age = now.duration_since(self.heard_of_at);
        let why = if plan.anew {
            "--anew was given"
        } else if self.view != plan.view {
            "it was of other views"
        } else if self.program != program() {
            "another permitd began it"
        } else if self.quarantined != quarantined {
            "other streams are in quarantine now"
        } else if age < SignedDuration::ZERO || age > RESUMED_WITHIN {
            "it is more than a day old"
        } else {
            return None;
        };
        Some(why.to_owned())
    }
}

/// This very program: two that were built differently may fold differently, whatever their versions are.
pub(super) fn program() -> String {
    let file = std::env::current_exe().and_then(std::fs::metadata);
    let built = file.ok().and_then(|file| {
        let modified = file.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(format!("{}-{}", file.len(), modified.as_nanos()))
    });
    format!("{} {}", env!("CARGO_PKG_VERSION"), built.unwrap_or_default())
}

/// The streams in quarantine, as one text.
pub(super) fn named(quarantined: &std::collections::BTreeSet<StreamId>) -> String {
    quarantined.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interrupted() -> Interrupted {
        let heard_of_at = Timestamp::UNIX_EPOCH;
        Interrupted { view: None, program: program(), quarantined: String::new(), heard_of_at }
    }

    #[test]
    fn only_the_same_rebuild_is_gone_on_with() {
        let later = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let plan = ReplayPlan::default();
        assert_eq!(interrupted().obstacle(&plan, "", later(23)), None);
        for (plan, quarantined, hours, why) in [
            (ReplayPlan { anew: true, ..plan }, "", 1, "--anew"),
            (ReplayPlan { view: Some(ReplayView::Keys), ..plan }, "", 1, "other views"),
            (plan, "plan#x", 1, "quarantine"),
            (plan, "", 25, "a day old"),
            (plan, "", -1, "a day old"),
        ] {
            let told = interrupted().obstacle(&plan, quarantined, later(hours)).expect(why);
            assert!(told.contains(why), "{told}");
        }
        let of_another = Interrupted { program: "0.0.0".to_owned(), ..interrupted() };
        assert!(of_another.obstacle(&plan, "", later(1)).unwrap().contains("another permitd"));
    }

    #[test]
    fn names_of_views() {
        for view in ReplayView::ALL {
            assert_eq!(ReplayView::named(view.name()), Some(view));
        }
        assert_eq!(ReplayView::named("records"), None);
    }
}
