//! Load by wrk.

use std::{fs, net::SocketAddr, path::Path, path::PathBuf, process::Stdio};

use crate::{
    Outcome, Plan, http,
    process::{self, Server},
};

/// What to ask for.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// One path, always.
    Path(&'a str),
    /// A path from a file of paths, at random.
    AnyOf(&'a Path),
    /// One path, asked for from another address each time, as a proxy says that the server trusts.
    FromAnywhere(&'a str),
}

/// Load to put on a server.
pub(crate) struct Load<'a> {
    /// What to ask for.
    pub(crate) target: Target<'a>,
    /// The key, or the token, to show.
    pub(crate) key: Option<&'a str>,
    /// How many connections ask at the same time.
    pub(crate) connections: u32,
    /// Whether the answers should be successes.
    pub(crate) succeeds: bool,
    /// The cores that it may come from, as taskset has them.
    pub(crate) cores: &'a str,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rate {
    /// Answers a second.
    pub(crate) per_s: f64,
    /// The time that half of them took at most, milliseconds.
    pub(crate) p50_ms: f64,
    /// The time that 99 of 100 took at most, milliseconds.
    pub(crate) p99_ms: f64,
    /// Processor time of the server for each, microseconds.
    pub(crate) cpu_us: f64,
    /// How much of its core the server used: where it is far below 1, the load generator was the bottleneck.
    pub(crate) busy: f64,
}

const RANDOM_PATHS: &str = "
local paths, count = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do count = count + 1; paths[count] = wrk.format('GET', line) end
  math.randomseed(tonumber(arguments[2]))
end
function request() return paths[math.random(count)] end
";

const RANDOM_CLIENTS: &str = "
function init(arguments) math.randomseed(tonumber(arguments[1])) end
function request()
  local part = function() return math.random(1, 254) end
  wrk.headers['x-forwarded-for'] = string.format('100.%d.%d.%d', part(), part(), part())
  return wrk.format('GET')
end
";
/// Longer than any answer is put off.
const ANSWER_WITHIN: &str = "30s";

/// A wrk that has been started.
pub(crate) struct Running<'a> {
    child: std::process::Child,
    load: &'a Load<'a>,
    server: &'a Server,
    cpu_before_s: f64,
}

/// Puts load on a server for a round.
pub(crate) fn run(plan: &Plan, server: &Server, load: &Load<'_>) -> Outcome<Rate> {
    start(plan, server, load)?.finish(plan)
}

/// Begins a round of load.
pub(crate) fn start<'a>(plan: &Plan, server: &'a Server, load: &'a Load<'a>) -> Outcome<Running<'a>> {
    let mut command = process::pinned(load.cores, "wrk");
    command.args([
        "-t1",
        "--latency",
        "--timeout",
        ANSWER_WITHIN,
        &format!("-c{}", load.connections),
        &format!("-d{}s", plan.round_s),
    ]);
    if let Some(key) = load.key {
        command.args(["-H", &http::credential(key)]);
    }
    let base = |address: SocketAddr| format!("http://{address}");
    match load.target {
        Target::Path(path) => command.arg(format!("{}{path}", base(server.address))),
        Target::AnyOf(paths) => {
            let script = write_script(plan, "random-paths.lua", RANDOM_PATHS)?;
            let seed = plan.next_seed().to_string();
            command.arg("-s").arg(script).arg(base(server.address)).arg("--").arg(paths).arg(seed)
        }
        Target::FromAnywhere(path) => {
            let script = write_script(plan, "random-clients.lua", RANDOM_CLIENTS)?;
            let (url, seed) = (format!("{}{path}", base(server.address)), plan.next_seed().to_string());
            command.arg("-s").arg(script).arg(url).arg("--").arg(seed)
        }
    };
    let cpu_before_s = server.cpu_s();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    Ok(Running { child, load, server, cpu_before_s })
}

fn write_script(plan: &Plan, name: &str, text: &str) -> Outcome<PathBuf> {
    let script = plan.scratch.join(name);
    fs::write(&script, text)?;
    Ok(script)
}

impl Running<'_> {
    /// Ends it before its time, whatever became of it.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for the end of the round.
    pub(crate) fn finish(self, plan: &Plan) -> Outcome<Rate> {
        let output = self.child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let cpu_s = self.server.cpu_s() - self.cpu_before_s;
        let number = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
        let unexpected = || format!("wrk said:\n{text}");
        let per_s: f64 = number("Requests/sec:").and_then(|text| text.parse().ok()).ok_or_else(unexpected)?;
        let failed = number("Non-2xx or 3xx responses:").is_some();
        if failed == self.load.succeeds || text.contains("Socket errors") {
            return Err(unexpected().into());
        }
        let p50_ms = number("50%").and_then(milliseconds).ok_or_else(unexpected)?;
        let p99_ms = number("99%").and_then(milliseconds).ok_or_else(unexpected)?;
        let answers = per_s * f64::from(plan.round_s);
        Ok(Rate { per_s, p50_ms, p99_ms, cpu_us: cpu_s * 1e6 / answers, busy: cpu_s / f64::from(plan.round_s) })
    }
}

/// Reads `12.3us`, `4.56ms` or `1.20s`.
fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = match text {
        micro if micro.ends_with("us") => (micro.trim_end_matches("us"), 0.001),
        milli if milli.ends_with("ms") => (milli.trim_end_matches("ms"), 1.0),
        other => (other.trim_end_matches('s'), 1000.0),
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// The middle of several values; of an even number the lower one of the two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get((values.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}

/// The medians of several rounds.
pub(crate) fn medians(rounds: &[Rate]) -> Rate {
    let of = |field: fn(&Rate) -> f64| median(rounds.iter().map(field));
    Rate {
        per_s: of(|rate| rate.per_s),
        p50_ms: of(|rate| rate.p50_ms),
        p99_ms: of(|rate| rate.p99_ms),
        cpu_us: of(|rate| rate.cpu_us),
        busy: of(|rate| rate.busy),
    }
}

/// Puts several loads on their servers in turn, round after round, so that what disturbs one disturbs the others as well.
pub(crate) fn alternate(plan: &Plan, loads: &[(&Server, &Load<'_>)]) -> Outcome<Vec<Rate>> {
    let mut rounds: Vec<Vec<Rate>> = vec![Vec::new(); loads.len()];
    for _ in 0..plan.rounds {
        for ((server, load), rates) in loads.iter().zip(&mut rounds) {
            rates.push(run(plan, server, load)?);
        }
    }
    Ok(rounds.iter().map(|rates| medians(rates)).collect())
}
