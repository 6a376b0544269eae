//! P8: an admitted point read through a node that keeps everything in DynamoDB, against a bare loop over the SDK that reads the
//! same records from the same emulator. The emulator is the bottleneck of both: what is measured is what the node adds.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use permitd::{
    aws::{Access, Endpoints},
    dataset::Definition,
    store::dynamodb::{Dynamo, schema},
};
use serde_json::Value;

use crate::{
    Outcome, Plan,
    fixture::{self, Fixture, Invited},
    http,
    load::{self, Load, Target},
    process::{self, EITHER_CORE, LOAD_CORE, SERVER_CORE, Server},
    reads::NO_CACHE,
    report::{Finding, rate},
};

/// Records in the emulator: its rate does not depend on how many there are.
const ROWS: u64 = 10_000;
/// How many requests are under way at the same time.
const CONNECTIONS: u32 = 16;
/// What the tables' names begin with.
pub(crate) const PREFIX: &str = "goals";
/// Seconds of load, at least, over which calls are counted.
const COUNTED_S: u32 = 20;
/// Over how many seconds without a request it is counted what a node asks by itself.
const IDLE_S: u32 = 10;

/// The counters of a node by name and labels.
type Counters = BTreeMap<String, f64>;

/// An emulator, which ends with this value.
pub(crate) struct Emulator {
    child: Child,
    pub(crate) url: String,
}

impl Emulator {
    pub(crate) fn start(plan: &Plan, kind: &str) -> Outcome<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../test-tools");
        let mut command = process::pinned(LOAD_CORE, tools.join("venv/bin/python"));
        let folder = plan.scratch.join(kind);
        std::fs::create_dir_all(&folder)?;
        command.arg(root.join("tests/support/emulators.py")).arg(folder).arg(kind);
        if kind == "dynoxide" {
            command.arg(tools.join("node_modules/@dynoxide/linux-x64/dynoxide"));
        }
        // It ends when its input is closed, that is with this process at the latest.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let mut said = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut said)?;
        }
        let address = said.split(' ').nth(1).ok_or("an emulator does not start: run `make test-tools`")?;
        Ok(Self { url: format!("http://{address}"), child })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Whoever has ended already need not be waited for.
        self.child.wait().ok();
    }
}

/// What a node over these emulators needs in its environment.
pub(crate) fn variables<'e>(dynamodb: &'e Emulator, others: &'e Emulator) -> Vec<(&'static str, &'e str)> {
    vec![
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url.as_str()),
        ("AWS_ENDPOINT_URL_SQS", &others.url),
        ("AWS_ENDPOINT_URL_SESV2", &others.url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("PERMITD_BACKEND", "aws"),
        ("PERMITD_AWS_PREFIX", PREFIX),
        ("PERMITD_MAIL_TRANSPORT", "file"),
    ]
}

pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Finding>> {
    let (dynamodb, others) = (Emulator::start(plan, "dynoxide")?, Emulator::start(plan, "ministack")?);
    let mut variables = variables(&dynamodb, &others);
    variables.push(NO_CACHE);
    let data = plan.scratch.join("data-aws");
    let command = |arguments: &[&str]| -> Command {
        let mut command = process::permitd();
        command.args(arguments).arg("--data").arg(&data).envs(variables.iter().copied());
        command
    };
    process::output(&mut command(&["aws", "setup"]))?;
    let sample = fixture::sample(plan, ROWS, "csv")?;
    let sample_path = sample.display().to_string();
    process::output(&mut command(&["import", &sample_path, "--dataset", "permits"]))?;
    let Invited { key, admin_token } = fixture::invite(&data, &variables)?;
    let paths = plan.scratch.join("paths-aws.txt");
    write_paths(&sample, &paths)?;
    let node = Server::permitd(&data, &variables)?;
    let fixture = Fixture { data: data.clone(), key, session: None, admin_token, hot_path: String::new(), paths };
    let mut findings = vec![against_bare(plan, &fixture, &node, &dynamodb.url)?];
    findings.extend(calls(plan, &fixture, &node)?);
    Ok(findings)
}

fn load<'a>(fixture: &'a Fixture) -> Load<'a> {
    Load {
        target: Target::AnyOf(&fixture.paths),
        key: Some(&fixture.key),
        connections: CONNECTIONS,
        succeeds: true,
        cores: EITHER_CORE,
    }
}

fn against_bare(plan: &Plan, fixture: &Fixture, node: &Server, endpoint: &str) -> Outcome<Finding> {
    let (mut through, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        through.push(load::run(plan, node, &load(fixture))?.per_s);
        let mut command = process::pinned(SERVER_CORE, std::env::current_exe()?);
        command.args(["bare-reads", endpoint]).arg(&fixture.paths).arg(plan.round_s.to_string());
        bare.push(String::from_utf8(process::output(&mut command)?)?.trim().parse::<f64>()?);
    }
    let (through, bare) = (load::median(through), load::median(bare));
    let what =
        format!("aws: admitted point read through a node against a bare loop over the SDK, {CONNECTIONS} at a time");
    let figures = format!("{} against {}", rate(through), rate(bare));
    Ok(Finding::at_least("P8", what, figures, through / bare, 0.8))
}

/// How many calls a read takes, from the node's own counters.
fn calls(plan: &Plan, fixture: &Fixture, node: &Server) -> Outcome<Vec<Finding>> {
    let ops = ops_address(&fixture.data)?;
    let queries = "permitd_aws_requests_total{service=\"DynamoDB\",operation=\"Query\"}";
    let updates = "permitd_aws_requests_total{service=\"DynamoDB\",operation=\"UpdateItem\"}";
    let (idle, started) = (counters(ops)?, Instant::now());
    std::thread::park_timeout(Duration::from_secs(IDLE_S.into()));
    // A node looks for new versions of data sets and for unpublished commits a few times a second, whether asked or not.
    let house = risen(&idle, &counters(ops)?, queries) / started.elapsed().as_secs_f64();
    // The grants of a key grow with its use: what is counted is a key in use.
    load::run(plan, node, &load(fixture))?;
    let (before, started) = (counters(ops)?, Instant::now());
    for _ in 0..COUNTED_S.div_ceil(plan.round_s) {
        load::run(plan, node, &load(fixture))?;
    }
    let (after, seconds) = (counters(ops)?, started.elapsed().as_secs_f64());
    let admitted = risen(&before, &after, "permitd_admission_admitted_total");
    let (queried, written) = (risen(&before, &after, queries), risen(&before, &after, updates));
    if admitted == 0.0 || queried == 0.0 || written == 0.0 {
        return Err("the counters of the node are not where they are looked for".into());
    }
    // To a thousandth: a read may be under way when the counters are read.
    let reads = ((queried - house * seconds) / admitted * 1_000.0).round() / 1_000.0;
    // One more than there are seconds: the first may come at once.
    let writes = (written - 1.0) / seconds;
    let figures = format!(
        "{admitted} reads, {queried} queries, {written} ledger writes in {seconds:.1} s; {house:.1} queries a second when idle"
    );
    Ok(vec![
        Finding::at_most("P8", "aws: DynamoDB requests for an admitted read", figures.clone(), reads, 1.0, ""),
        Finding::at_most("P8", "aws: ledger writes a key and second", figures, writes, 1.0, ""),
    ])
}

/// The address that a node says that it shows its counters at.
fn ops_address(data: &Path) -> Outcome<SocketAddr> {
    let ready: Value = serde_json::from_slice(&fs::read(data.join("serve.out"))?)?;
    let url = ready.get("ops_url").and_then(Value::as_str).ok_or("no address was printed")?;
    Ok(url.trim_start_matches("http://").parse()?)
}

/// By how much a counter has risen.
fn risen(before: &Counters, after: &Counters, name: &str) -> f64 {
    after.get(name).unwrap_or(&0.0) - before.get(name).unwrap_or(&0.0)
}

fn counters(ops: SocketAddr) -> Outcome<Counters> {
    let answer = http::get(ops, "/metrics", None).ok_or("no metrics")?;
    let text = String::from_utf8(answer.body)?;
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(text.lines().filter(|line| !line.starts_with('#')).filter_map(pair).collect())
}

fn write_paths(sample: &Path, paths: &Path) -> Outcome<()> {
    let mut lines = String::new();
    for line in BufReader::new(fs::File::open(sample)?).lines().skip(1) {
        let line = line?;
        let number = line.split(',').find(|field| field.trim_matches(['"', '#']).len() == 12).unwrap_or_default();
        let number = number.trim_matches(['"', '#']);
        if number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty() {
            lines.push_str("/permits/");
            lines.push_str(number);
            lines.push('\n');
        }
    }
    if lines.is_empty() {
        return Err("there are no record numbers in the sample".into());
    }
    Ok(fs::write(paths, lines)?)
}

/// Reads records for some seconds, as fast as the SDK does, and prints how many a second.
pub(crate) fn read_bare(endpoint: &str, paths: &Path, seconds: u32) -> Outcome<()> {
    let text = fs::read_to_string(paths)?;
    let keys: Vec<String> = text.lines().map(|path| format!("#{}", path.trim_start_matches("/permits/"))).collect();
    let definition = Definition::builtin()?.into_iter().find(|definition| definition.name == "permits");
    let spec = schema::records(&definition.ok_or("there is no definition of permits")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let read = runtime.block_on(async {
        let endpoints = Endpoints { dynamodb: Some(endpoint.to_owned()), ..Endpoints::default() };
        let dynamo = Dynamo::new(&Access::to_endpoints(endpoints).await, PREFIX);
        let table = dynamo.table(&spec.name);
        let until = Instant::now() + Duration::from_secs(seconds.into());
        let tasks = (0..CONNECTIONS as usize).map(|task| {
            let (dynamo, table, keys, partition) = (&dynamo, &table, &keys, &spec.partition.name);
            async move {
                let mut read = 0_u64;
                for key in keys.iter().cycle().skip(task * 997) {
                    if Instant::now() >= until {
                        break;
                    }
                    let query = dynamo.client().query().table_name(table).key_condition_expression("#k = :k");
                    let query = query.expression_attribute_names("#k", partition);
                    let value = aws_sdk_dynamodb::types::AttributeValue::S(key.clone());
                    let found = query.expression_attribute_values(":k", value).send().await?;
                    if found.items().is_empty() {
                        return Err(format!("{key} is not there").into());
                    }
                    read += 1;
                }
                Outcome::Ok(read)
            }
        });
        futures_util::future::try_join_all(tasks).await
    })?;
    println!("{}", read.iter().sum::<u64>() as f64 / f64::from(seconds));
    Ok(())
}
