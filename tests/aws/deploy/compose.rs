//! `compose.yaml`, `Dockerfile` and `scripts/run-aws`: what can be said of them without a container engine.

use std::{collections::BTreeMap, process::Command};

use permitd::{
    config::{Backend, LoadFrom, Settings},
    mail::settings::MailTransport,
};
use serde_json::{Value, json};

use super::deployed::read_yaml;
use crate::support;

const ENVIRONMENT_FILE: &str = "deploy/emulator.env";

fn compose() -> Value {
    read_yaml("compose.yaml")
}

fn services(compose: &Value) -> impl Iterator<Item = (&str, &Value)> {
    compose["services"].as_object().unwrap().iter().map(|(name, service)| (name.as_str(), service))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(support::repository().join(path)).unwrap()
}

/// The variables of the file that servers share.
fn shared_environment() -> BTreeMap<String, String> {
    let text = read(ENVIRONMENT_FILE);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect()
}

/// All variables that a service's process gets.
fn environment(service: &Value) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if !service["env_file"].is_null() {
        assert_eq!(service["env_file"], ENVIRONMENT_FILE);
        all.extend(shared_environment());
    }
    let own = service["environment"].as_object().cloned().unwrap_or_default();
    let quoted = |name: &str, value: Value| match value {
        Value::String(text) => text,
        other => panic!("{name}: {other} needs quotes"),
    };
    all.extend(own.into_iter().map(|(name, value)| (name.clone(), quoted(&name, value))));
    all
}

fn settings(environment: BTreeMap<String, String>) -> Settings {
    Settings::load(LoadFrom { config_file: None, env: environment.into_iter(), overrides: &[] }).unwrap()
}

/// The image of `${VARIABLE:-name:tag}`.
fn default_image(service: &Value) -> (String, String) {
    let image = service["image"].as_str().unwrap();
    let inside = image.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let (variable, image) = inside.and_then(|inside| inside.split_once(":-")).unwrap_or_else(|| panic!("{image}"));
    (variable.to_owned(), image.to_owned())
}

#[test]
fn every_image_is_pinned_and_can_be_replaced() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let (variable, image) = default_image(service);
        assert!(variable.ends_with("_IMAGE"), "{name}: {variable}");
        let tag = image.rsplit('/').next().unwrap().split_once(':').map(|(_, tag)| tag);
        assert!(tag.is_some_and(|tag| tag.starts_with(|c: char| c.is_ascii_digit())), "{name}: {image} has no version");
    }
    let version = format!("permitd:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(default_image(&compose["services"]["node1"]).1, version);
    for line in read("Dockerfile").lines().filter(|line| line.starts_with("FROM ")) {
        assert!(line.starts_with("FROM ${"), "{line}");
    }
    let arguments: Vec<String> =
        read("Dockerfile").lines().filter_map(|line| line.strip_prefix("ARG ").map(ToOwned::to_owned)).collect();
    assert_eq!(arguments.len(), 2);
    assert!(arguments.iter().all(|argument| argument.contains(':') && argument.contains(|c: char| c.is_ascii_digit())));
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(arguments[0].starts_with(&format!("RUST_IMAGE=rust:{rust}.")), "{} is not Rust {rust}", arguments[0]);
}

#[test]
fn servers_start_after_what_they_need_and_tests_after_the_servers() {
    let compose = compose();
    let all = &compose["services"];
    let condition = |service: &str, on: &str| all[service]["depends_on"][on]["condition"].as_str().unwrap_or("none");
    assert_eq!(condition("setup", "aws"), "service_healthy");
    for node in ["node1", "node2"] {
        assert_eq!(condition(node, "setup"), "service_completed_successfully");
        assert_eq!(condition(node, "ses"), "service_healthy");
        assert_eq!(condition("test", node), "service_healthy");
        // Its health check is the image's.
        assert!(all[node]["healthcheck"].is_null());
    }
    for emulator in ["aws", "ses"] {
        assert!(all[emulator]["healthcheck"]["test"].as_array().is_some_and(|test| test[0] == "CMD"));
    }
    assert_eq!(all["setup"]["command"], serde_json::json!(["aws", "setup"]));
    assert_eq!(all["test"]["profiles"], serde_json::json!(["test"]));
    for (name, service) in services(&compose) {
        for needed in service["depends_on"].as_object().into_iter().flatten().map(|(name, _)| name) {
            assert!(!all[needed].is_null(), "{name} waits for {needed}, which is no service");
        }
        assert!(name == "test" || service["profiles"].is_null(), "{name}");
    }
    let endpoints: Vec<&str> = ["DYNAMODB", "SQS", "SES"]
        .map(|name| all["test"]["environment"][format!("PERMITD_TEST_{name}")].as_str().unwrap())
        .into();
    assert_eq!(endpoints, ["http://aws:4566", "http://aws:4566", "http://ses:8005"]);
}

/// Several services with a `build` of one image would each build it.
#[test]
fn an_image_is_built_for_one_service_and_pulled_for_none() {
    let compose = compose();
    let ours = services(&compose).filter(|(_, service)| default_image(service).0 == "PERMITD_IMAGE");
    let (built, used): (Vec<_>, Vec<_>) = ours.partition(|(_, service)| !service["build"].is_null());
    assert_eq!(built.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["setup"], "all others wait for it");
    assert_eq!(built[0].1["build"]["target"], "permitd");
    assert_eq!(used.len(), 2);
    assert!(built.iter().chain(&used).all(|(_, service)| service["pull_policy"] == "never"));
    // What the first line names is an image of a registry, which a machine may not reach.
    assert!(!read("Dockerfile").contains("syntax="));
}

/// A stop takes up to `http.shutdown_timeout_s`; an engine that kills earlier leaves requests unanswered.
#[test]
fn a_stop_is_given_the_time_it_takes() {
    let compose = compose();
    for node in ["setup", "node1", "node2"] {
        let service = &compose["services"][node];
        let grace = service["stop_grace_period"].as_str().and_then(|grace| grace.strip_suffix('s')).unwrap();
        let takes = settings(environment(service)).http.shutdown_timeout_s;
        assert!(grace.parse::<u64>().unwrap() >= takes + 5, "{node}: {grace} s for {takes} s");
    }
    assert_eq!(compose["services"]["ses"]["init"], true, "Node.js as process 1 ignores SIGTERM");
    let operations = read("docs/OPERATIONS.md");
    for told in ["--stop-timeout 30", "terminationGracePeriodSeconds: 30", "TimeoutStopSec=30", "stop_grace_period"] {
        assert!(operations.contains(told), "{told}");
    }
}

#[test]
fn ports_are_of_this_machine_alone_and_differ() {
    let compose = compose();
    let ports = services(&compose).flat_map(|(_, service)| service["ports"].as_array().into_iter().flatten());
    let mut ports: Vec<&str> = ports.map(|port| port.as_str().unwrap()).collect();
    assert!(ports.iter().all(|port| port.starts_with("127.0.0.1:")), "{ports:?}");
    ports.sort_unstable();
    let published: Vec<&str> = ports.iter().map(|port| port.split(':').nth(1).unwrap()).collect();
    assert_eq!(published, ["4566", "8005", "8081", "8082"]);
}

#[test]
fn the_settings_of_the_servers_are_settings_and_nothing_is_secret() {
    let compose = compose();
    for node in ["node1", "node2"] {
        let environment = environment(&compose["services"][node]);
        let settings = settings(environment.clone());
        assert_eq!((settings.backend, settings.mail_transport()), (Backend::Aws, MailTransport::Ses));
        assert_eq!(environment["AWS_ENDPOINT_URL"], "http://aws:4566");
        assert_eq!(environment["AWS_ENDPOINT_URL_SESV2"], "http://ses:8005");
    }
    let setup = settings(environment(&compose["services"]["setup"]));
    assert_eq!(setup.mail_transport(), MailTransport::File, "the emulator has no identities to be made");

    for (name, value) in services(&compose).flat_map(|(_, service)| environment(service)) {
        let is_confidential = ["SECRET", "PASSWORD", "TOKEN", "ACCESS_KEY"].iter().any(|word| name.contains(word));
        assert!(!is_confidential || value == "test", "{name} looks like a secret");
    }
    assert!(!read("Dockerfile").contains("AWS_"), "an image has no credentials");
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_says_how_it_is() {
    let dockerfile = read("Dockerfile");
    let (_, last) = dockerfile.rsplit_once("\nFROM ").unwrap();
    assert!(last.contains(" AS permitd"), "the last stage is what is built unless another is named");
    // Both are accounts of the image, and no skeleton of a home becomes a part of each volume.
    for words in ["groupadd --system --gid 10001", "--uid 10001 --gid 10001", "--no-create-home", "--mode=0700"] {
        assert!(last.contains(words), "no {words}");
    }
    for line in ["USER 10001:10001", "HEALTHCHECK ", "ENTRYPOINT [\"/usr/local/bin/permitd\"]", "COPY --from=build "] {
        assert!(last.lines().any(|found| found.starts_with(line)), "no {line}");
    }
    let compose = compose();
    for (name, service) in services(&compose) {
        let target = service["build"]["target"].as_str();
        assert!(target.is_none_or(|target| dockerfile.contains(&format!(" AS {target}\n"))), "{name}");
    }
    for node in ["setup", "node1", "node2"] {
        let service = &compose["services"][node];
        assert!(service["read_only"] == true && service["cap_drop"][0] == "ALL");
        // Podman refuses owners of a tmpfs: it is everybody's, and the data directory in it is made by the program.
        let tmpfs: Vec<&str> = service["tmpfs"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
        assert_eq!(tmpfs, ["/tmp"], "{node}");
        let data = environment(service).get("PERMITD_DATA").cloned();
        if node == "setup" {
            assert_eq!(data.as_deref(), Some("/tmp/permitd"));
            continue;
        }
        // What a server keeps is its copy of the records, which outlasts it, in the image's data directory.
        assert_eq!((data, &service["volumes"][0]), (None, &json!(format!("{node}:/var/lib/permitd"))));
        assert!(compose["volumes"].as_object().unwrap().contains_key(node), "{node}");
    }
    // What the image is built from is not left out.
    let ignored = read(".dockerignore");
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let packages: Vec<&str> =
        manifest["workspace"]["members"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    let fixed = ["Cargo.toml", "Cargo.lock", "src", "schemas", "benches", "tests", "scripts", "Makefile"];
    for needed in fixed.into_iter().chain(packages) {
        assert!(ignored.lines().any(|line| line == format!("!{needed}")), "{needed}");
    }
    for line in ignored.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(support::repository().join(line).exists(), "{line} is not there");
    }
}

/// `make test` in the image of the tests finds what it would install elsewhere, and the commands that tests run.
#[test]
fn the_image_of_the_tests_has_what_they_run() {
    let dockerfile = read("Dockerfile");
    let (_, stage) = dockerfile.split_once(" AS test\n").unwrap();
    let (stage, _) = stage.split_once("\nFROM ").unwrap();
    for package in ["chromium", "curl", "jq", "make", "nodejs", "npm", "procps", "python3-venv", "sqlite3"] {
        assert!(stage.split_whitespace().any(|word| word == package), "{package}");
    }
    assert!(stage.contains("CMD [\"make\", \"test\"]"), "{stage}");
    assert!(stage.contains("make target/test-tools/ready"), "the tools are a layer of the image: {stage}");
}

/// The check is a command of the program, run here as the image would run it.
#[test]
fn the_health_check_of_the_image_asks_where_the_server_listens() {
    let dockerfile = read("Dockerfile");
    let (_, check) = dockerfile.split_once("\nHEALTHCHECK ").unwrap();
    let words: Vec<String> =
        serde_json::from_str(check.lines().next().unwrap().split_once(" CMD ").unwrap().1).unwrap();
    assert_eq!(words[0], "/usr/local/bin/permitd");
    let seconds = |option: &str| {
        let (_, value) = check.split_once(option).unwrap();
        value.split_once('s').unwrap().0.parse::<u64>().unwrap()
    };
    assert!(seconds("--timeout=") * 1000 > 2_000, "the engine waits for longer than `permitd health` does");
    for (answer, is_healthy) in [("HTTP/1.0 200 OK", true), ("HTTP/1.1 503 Service Unavailable", false)] {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            use std::io::{BufRead, BufReader, Write};
            let (mut connection, _) = server.accept().unwrap();
            connection.set_read_timeout(Some(std::time::Duration::from_secs(180))).unwrap();
            let mut asked = String::new();
            let mut lines = BufReader::new(connection.try_clone().unwrap());
            lines.read_line(&mut asked).unwrap();
            assert!(asked.starts_with("GET /health/ready HTTP/1."), "{asked}");
            while lines.read_line(&mut asked).unwrap() > 2 {}
            write!(connection, "{answer}\r\n\r\n").unwrap();
        });
        let listens = address.to_string().replace("127.0.0.1", "0.0.0.0");
        let healthy =
            support::permitd().args(&words[1..]).env("PERMITD_OPS_LISTEN", listens).status().unwrap().success();
        // Nobody waits for a check that never asked.
        drop(std::net::TcpStream::connect(address));
        answering.join().unwrap();
        assert_eq!(healthy, is_healthy, "{answer}");
    }
    let kept = support::Nobody::new();
    let nobody = kept.address().to_string();
    let output = support::permitd().args(&words[1..]).env("PERMITD_OPS_LISTEN", nobody).output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn without_containers_the_same_settings_are_used() {
    let script = read("scripts/run-aws");
    assert!(script.contains(&format!("source \"$root/{ENVIRONMENT_FILE}\"")));
    let mut environment = shared_environment();
    assert_eq!(settings(environment.clone()).backend, Backend::Aws);
    // What the script adds is of the machine it runs on.
    let added = script.split("source \"").nth(1).unwrap().split("set +a").next().unwrap();
    for line in added.lines().skip(1).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=').unwrap();
        let replaced = environment.insert(name.to_owned(), value.replace("$port1", "8081"));
        assert!(["AWS_ENDPOINT_URL", "PERMITD_PUBLIC_URL"].contains(&name) && replaced.is_none(), "{line}");
    }
    settings(environment);
    for script in ["run-aws", "smoke-compose", "smoke-demo", "dist", "test-dist"] {
        let path = support::repository().join("scripts").join(script);
        assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success(), "{script}");
    }
    let planned = Command::new("make").args(["-n", "run-aws"]).current_dir(support::repository()).output().unwrap();
    assert!(String::from_utf8_lossy(&planned.stdout).contains("scripts/run-aws"), "{planned:?}");
}

/// What is handed out is optimised over all crates; what is built to try a change is not made to wait for that.
#[test]
fn images_and_measurements_are_of_the_profile_for_handing_out() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let profiles = &manifest["profile"];
    assert_eq!(profiles["dist"]["inherits"].as_str(), Some("release"));
    assert!(profiles["dist"]["lto"].as_str().is_some_and(|lto| ["thin", "fat"].contains(&lto)));
    assert_eq!(profiles["release"]["lto"].as_str(), Some("off"));
    // All that a request waits for is at full strength there; what no request waits for is named.
    assert_eq!(profiles["dist"]["opt-level"].as_integer(), Some(3));
    // A number, or "s" for small.
    let level = |profile: &str, package: &str| Some(&profiles[profile]["package"].get(package)?["opt-level"]);
    let nobody_waits_for = [
        "aws-sdk-sesv2",
        "aws-sdk-sns",
        "aws-sdk-sso",
        "aws-sdk-sts",
        "clap_",
        "email-encoding",
        "indicatif",
        "lettre",
        "nom",
        "quoted_printable",
        "rust_xlsx",
        "schemars",
        "time",
        "toml",
        "typed-path",
        "winnow",
        "zopfli",
    ];
    for package in profiles["release"]["package"].as_table().unwrap().keys() {
        let built = level("dist", package).or(level("release", package)).unwrap();
        let is_waited_for = !nobody_waits_for.iter().any(|name| package.starts_with(name));
        assert_eq!(built.as_integer(), Some(if is_waited_for { 3 } else { 1 }), "{package}");
    }
    assert!(read("Dockerfile").contains("--profile dist"));
    for target in ["bench", "bench-aws", "dist"] {
        let planned = Command::new("make").args(["-n", target]).current_dir(support::repository()).output().unwrap();
        assert!(planned.status.success(), "{target}: {planned:?}");
        let planned = String::from_utf8_lossy(&planned.stdout).into_owned();
        assert!(planned.contains("--profile dist") || planned.contains("scripts/dist"), "{target}: {planned}");
    }
    assert!(
        read("scripts/dist").contains("--profile \"$profile\"")
            && read("scripts/dist").contains("profile=${PROFILE:-dist}")
    );
}

/// With Docker's own reading of the file, where there is one.
#[test]
fn docker_compose_accepts_the_file() {
    let docker =
        |arguments: &[&str]| Command::new("docker").args(arguments).current_dir(support::repository()).output();
    if !docker(&["compose", "version"]).is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no docker compose on this machine");
        return;
    }
    let output = docker(&["compose", "--profile", "test", "config", "--quiet"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
