//! The system's limit of open files: each connection uses one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files reserved for other use than public connections: the stores, the operation port's connections, mail.
const RESERVED: u64 = 256;

/// The limit to ask for where the system names no maximum: Linux allows no more unless `fs.nr_open` is raised.
const UNLIMITED: u64 = 1 << 20;

/// Raises the limit to the most that the system allows this process. `connections_max` logs the resulting limit.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(UNLIMITED);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        let limit = shown(current);
        tracing::warn!(%error, limit, "open files: the limit cannot be raised");
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string())
}

/// How many connections each worker may have: `wanted`, or what the limit leaves room for. Logs the limit and what it suffices for in one
/// line: a warning only when the settings promise more.
pub(super) fn connections_max(wanted: usize, workers: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let allowed = room(limit, workers).min(wanted);
    let (limit, connections) = (shown(limit), allowed.saturating_mul(workers));
    if allowed == wanted {
        tracing::info!(
            limit,
            connections,
            "open files: the limit is enough for all connections of http.connections_max"
        );
    } else {
        let promised = wanted.saturating_mul(workers);
        tracing::warn!(
            limit,
            connections,
            promised,
            "open files: the limit is enough for fewer connections than http.connections_max promises, and no more are \
             taken: raise the limit (LimitNOFILE= of the unit, --ulimit nofile= of the container, ulimit -Hn), or lower the setting"
        );
    }
    allowed
}

fn room(limit: Option<u64>, workers: usize) -> usize {
    let Some(limit) = limit else { return usize::MAX };
    let free = limit - RESERVED.min(limit / 2);
    usize::try_from(free).unwrap_or(usize::MAX).checked_div(workers).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_free_of_connections() {
        assert_eq!(room(Some(1024), 2), 384);
        assert_eq!(room(Some(1_048_576), 4), 262_080);
        assert_eq!(room(Some(64), 2), 16);
        assert_eq!(room(None, 2), usize::MAX);
        assert!(super::super::ports::OPS_CONNECTIONS_MAX < usize::try_from(RESERVED).unwrap() / 2);
    }
}
