//! The system's limit of open files: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are kept free of public connections: the stores' own, the operation port's connections, mail.
const RESERVED: u64 = 256;

/// What is asked for where the system names no most: Linux allows no more unless `fs.nr_open` is raised.
const UNLIMITED: u64 = 1 << 20;

/// Raises the limit to what the system allows this process at most, and says so.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(UNLIMITED);
    if current.is_none_or(|current| current >= wanted) {
        tracing::info!(limit = shown(current), "open files: the limit is as high as the system allows");
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => tracing::info!(from = shown(current), to = wanted, "open files: the limit was raised"),
        Err(error) => {
            let limit = shown(current);
            tracing::warn!(%error, limit, "open files: the limit cannot be raised");
        }
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string())
}

/// How many connections each of so many workers may have: what is wanted, or what the limit leaves room for.
pub(super) fn connections_max(wanted: usize, workers: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let allowed = room(limit, workers).min(wanted);
    if allowed < wanted {
        let limit = shown(limit);
        tracing::warn!(
            wanted,
            allowed,
            limit,
            "http.connections_max is lowered: the system allows too few open files; raise its limit (ulimit -Hn, LimitNOFILE=)"
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
