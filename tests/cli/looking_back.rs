//! Looking back: the log line by line, what a request led to, and what was.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
};

use serde_json::Value;

use super::Home;

/// `permitd events tail --follow`, and its lines.
struct Tail {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn follow(home: &Home, arguments: &[&str]) -> Self {
        let mut command = home.command(&[&["events", "tail", "--follow"], arguments].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next event.
    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    /// Sends a signal, reads what is left, and waits for the end.
    fn signal(mut self, name: &str) -> (Option<i32>, Vec<Value>) {
        let sent = std::process::Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let rest = self.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn tailed(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let ran = home.run(&[&["events", "tail"], arguments].concat());
    assert_eq!(ran.exit, 0, "{arguments:?}: {}", ran.err);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_log_is_told_line_by_line() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org", "bob@example.org"]);
    let listed = home.json(&["events", "list"])["events"].as_array().unwrap().clone();
    assert_eq!(tailed(&home, &[]), listed, "the documents of the list, and the end at the end of the log");
    assert_eq!(tailed(&home, &["--type", "ApiKeyMailed", "--type", "UserInvited"]).len(), 4);
    let ana = tailed(&home, &["--user", "ana@example.org"]);
    let stream = ana[0]["stream"].as_str().unwrap();
    assert_eq!(tailed(&home, &["--stream", stream]), ana);
    assert!(ana.iter().all(|event| event["stream"] == stream) && ana.len() == 4);
    let request = ana[0]["correlation_id"].as_str().unwrap();
    let of_request = tailed(&home, &["--correlation", request]);
    assert!(!of_request.is_empty() && of_request.iter().all(|event| event["correlation_id"] == request));
    assert_eq!(home.json(&["events", "list", "--correlation", request])["events"], Value::from(of_request));
    let third = listed[2]["position"].to_string();
    let after: Vec<Value> =
        listed.iter().filter(|event| event["position"].as_u64() > listed[2]["position"].as_u64()).cloned().collect();
    assert_eq!(tailed(&home, &["--after", &third]), after);
    assert!(tailed(&home, &["--after", "end"]).is_empty());
    home.refused(2, &["events", "tail", "--type", "apikeymailed"]);
    home.refused(2, &["events", "tail", "--after", "never"]);
    home.refused(3, &["events", "tail", "--user", "nobody@example.org"]);
}

#[test]
fn a_follower_goes_on_where_it_was_after_a_restart() {
    let home = Home::new();
    home.json(&["plans", "set", "gold"]);
    let before = tailed(&home, &[]).len();
    let mut tail = Tail::follow(&home, &["--checkpoint", "audit"]);
    for _ in 0..before {
        assert_eq!(tail.next()["type"], "PlanDefined");
    }
    let err = home.refused(4, &["events", "tail", "--checkpoint", "audit"]);
    assert!(err.contains("another process"), "{err}");
    home.refused(4, &["events", "checkpoints", "remove", "audit"]);
    home.json(&["plans", "set", "gold", "--quota", "7"]);
    assert_eq!(tail.next()["data"]["quota_per_day"], 7);
    let (code, rest) = tail.signal("-INT");
    assert_eq!((code, rest), (Some(0), Vec::new()), "in order");

    home.json(&["plans", "set", "gold", "--quota", "8"]);
    let told = tailed(&home, &["--checkpoint", "audit", "--after", "0"]);
    assert_eq!((told.len(), &told[0]["data"]["quota_per_day"]), (1, &Value::from(8)));
    assert!(tailed(&home, &["--checkpoint", "audit"]).is_empty());
    let kept = home.json(&["events", "checkpoints", "list"]);
    let end = before + 2;
    assert_eq!(kept["checkpoints"][0], serde_json::json!({ "name": "audit", "position": end.to_string() }));

    let tail = Tail::follow(&home, &["--checkpoint", "audit"]);
    // Not SIGINT, which a process in the background may have been started to ignore.
    let (code, _) = tail.signal("-TERM");
    assert!(code == Some(0) || code.is_none(), "before it listens for signals, the system ends it");
    assert_eq!(home.json(&["events", "checkpoints", "remove", "audit"])["removed"], "audit");
    home.refused(3, &["events", "checkpoints", "remove", "audit"]);
    assert_eq!(tailed(&home, &["--checkpoint", "audit"]).len(), end, "it begins anew");

    let file = home.data().join("checkpoints/audit.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    for (wrong, told) in [
        ("{".to_owned(), "no checkpoint"),
        (text.replace("\"format\":1", "\"format\":2"), "newer"),
        (text.replace("sqlite", "aws"), "another backend"),
    ] {
        std::fs::write(&file, wrong).unwrap();
        let err = home.refused(7, &["events", "tail", "--checkpoint", "audit"]);
        assert!(err.contains(told), "{err}");
    }
    std::fs::write(&file, text.replace(&format!("\"position\":{end}"), "\"position\":99")).unwrap();
    let err = home.refused(4, &["events", "tail", "--checkpoint", "audit"]);
    assert!(err.contains("position 99") && err.contains(&format!("ends at {end}")), "{err}");
    // A log that was restored to an earlier state, and has grown again since, has another commit in the place of the last one.
    let hash = serde_json::from_str::<Value>(&text).unwrap()["last"]["hash"].as_str().unwrap().to_owned();
    std::fs::write(&file, text.replace(&hash, &"0".repeat(64))).unwrap();
    let err = home.refused(4, &["events", "tail", "--checkpoint", "audit"]);
    assert!(err.contains("another commit") && err.contains("restored"), "{err}");
    for name in ["", "../x", "a/b", "A"] {
        home.refused(2, &["events", "tail", "--checkpoint", name]);
    }
}

#[test]
fn a_follower_that_is_killed_at_random_loses_nothing() {
    let home = Home::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for round in 1..=8_u32 {
        home.json(&["plans", "set", "gold", "--quota", &round.to_string()]);
        home.json(&["plans", "set", "gold", "--burst", &round.to_string()]);
        let mut tail = Tail::follow(&home, &["--checkpoint", "audit"]);
        let event = tail.next();
        seen.insert(event["id"].as_str().unwrap().to_owned());
        // Some are killed before their checkpoint has moved, others after: what they had printed is read to its end.
        if round % 2 == 0 {
            let _ = home.run(&["events", "checkpoints", "list"]);
        }
        tail.child.kill().unwrap();
        seen.extend(ids(&tail
            .lines
            .by_ref()
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect::<Vec<_>>()));
    }
    seen.extend(ids(&tailed(&home, &["--checkpoint", "audit"])));
    let all: BTreeSet<String> = ids(&tailed(&home, &[])).into_iter().collect();
    assert_eq!(seen, all);
}

#[test]
fn a_closed_pipe_ends_a_follower_quietly() {
    let home = Home::new();
    home.json(&["plans", "set", "gold"]);
    let mut command = home.command(&["events", "tail", "--follow", "--checkpoint", "audit"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    drop(output);
    home.json(&["plans", "set", "gold", "--quota", "7"]);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0), "{}", String::from_utf8_lossy(&ended.stderr));
    // What could not be written is told to the next one.
    let told = tailed(&home, &["--checkpoint", "audit"]);
    assert_eq!(told.last().unwrap()["data"]["quota_per_day"], 7);
}

#[test]
fn a_trace_tells_what_a_request_led_to() {
    let home = Home::new();
    home.json(&["invite", "ana@example.org"]);
    let invited = &home.json(&["events", "list", "--type", "UserInvited"])["events"][0];
    let request = invited["correlation_id"].as_str().unwrap();
    let trace = home.json(&["events", "trace", request]);
    let commits = trace["commits"].as_array().unwrap();
    let below: Vec<(u64, Vec<&str>)> = commits
        .iter()
        .map(|commit| (commit["depth"].as_u64().unwrap(), types(commit["events"].as_array().unwrap())))
        .collect();
    assert_eq!(below[0], (0, vec!["UserInvited"]));
    assert!(below[1..].iter().all(|(depth, _)| *depth == 1), "{below:?}");
    let all: Vec<&str> = below.iter().flat_map(|(_, types)| types.clone()).collect();
    assert!(all.contains(&"ApiKeyIssued") && all.contains(&"ApiKeyMailed"), "{all:?}");
    assert_eq!(commits[1]["caused_by"], invited["id"]);
    assert_eq!(commits[0]["events"][0]["message"]["state"], "done");
    assert!(trace["looked_through"]["commits"].as_u64().unwrap() >= 3);
    let told = home.run(&["events", "trace", request]).out;
    for words in ["1 mail", "its message is done with", "a mail was handed to the mail system", "looked through"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("ana@"), "personal data stays sealed: {told}");
    let other = "019ace3e-6c7a-7000-8000-000000000000";
    let err = home.refused(3, &["events", "trace", other]);
    assert!(err.contains("looked through") && err.contains("--since"), "{err}");
    let later = home.refused(3, &["events", "trace", request, "--since", "2200-01-01T00:00:00Z"]);
    assert!(later.contains("0 commits"), "{later}");
}

#[test]
fn a_trace_tells_of_a_dead_letter() {
    let home = Home::new();
    home.json(&["plans", "set", "default"]);
    // An outbox that cannot be written: the mail fails, one receive is the most.
    std::fs::write(home.data().join("outbox"), "in the way").unwrap();
    let ran =
        home.command(&["invite", "ana@example.org", "--json"]).env("PERMITD_QUEUE_RECEIVES_MAX", "1").output().unwrap();
    assert!(ran.status.success());
    let request = home.json(&["events", "list", "--type", "UserInvited"])["events"][0]["correlation_id"].clone();
    let request = request.as_str().unwrap();
    let message = home.json(&["events", "trace", request])["commits"][0]["events"][0]["message"].clone();
    assert_eq!(message["state"], "dead_letter");
    let letter = message["dead_letter"].as_str().unwrap();
    let told = home.run(&["events", "trace", request]).out;
    assert!(told.contains(&format!("`permitd dead-letters redrive {letter}`")) && told.contains("outbox"), "{told}");
    std::fs::remove_file(home.data().join("outbox")).unwrap();
    home.json(&["dead-letters", "redrive", letter]);
    let message = home.json(&["events", "trace", request])["commits"][0]["events"][0]["message"].clone();
    assert_eq!(message["state"], "done");
}

#[test]
fn keys_plans_and_data_sets_are_shown_as_they_were() {
    let home = Home::new();
    home.json(&["plans", "set", "gold", "--quota", "5"]);
    home.json(&["invite", "ana@example.org", "--plan", "gold"]);
    let key = home.json(&["users", "show", "ana@example.org"])["keys"][0]["id"].as_str().unwrap().to_owned();
    home.sample(10, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    let then = home.json(&["events", "list"])["events"].as_array().unwrap().last().unwrap()["position"].to_string();
    let then = format!("position:{then}");
    home.json(&["plans", "set", "gold", "--quota", "9"]);
    home.json(&["keys", "change", &key, "--label", "laptop"]);
    home.json(&["keys", "revoke", &key]);
    home.sample(12, "b.csv");
    home.json(&["import", "b.csv", "--dataset", "permits"]);

    assert_eq!(home.json(&["plans", "show", "gold"])["plan"]["quota_per_day"], 9);
    assert_eq!(home.json(&["plans", "show", "gold", "--as-of", &then])["plan"]["quota_per_day"], 5);
    assert_eq!(home.json(&["plans", "show", "gold", "--as-of", "1"])["plan"]["quota_per_day"], 5);
    home.refused(3, &["plans", "show", "gold", "--as-of", "position:0"]);
    assert!(home.refused(3, &["plans", "show", "tin"]).contains("there are: "));
    home.refused(3, &["plans", "show", "tin", "--as-of", &then]);

    let now = home.json(&["keys", "show", &key]);
    assert_eq!((&now["label"], now["revoked_at"].is_string()), (&"laptop".into(), true));
    let past = home.json(&["keys", "show", &key, "--as-of", &then]);
    assert_eq!(
        (&past["label"], &past["revoked_at"], &past["email"]),
        (&Value::Null, &Value::Null, &"ana@example.org".into())
    );
    let listed = home.json(&["keys", "list", "--user", "ana@example.org", "--as-of", &then]);
    assert_eq!(listed["keys"], Value::from(vec![past]));
    let told = home.run(&["keys", "show", &key, "--as-of", &then]).out;
    assert!(told.contains("state        works"), "{told}");
    home.refused(3, &["keys", "show", &key, "--as-of", "position:1"]);
    home.refused(2, &["keys", "list", "--as-of", &then]);
    let user = home.json(&["users", "show", "ana@example.org", "--as-of", &then]);
    assert_eq!(user["keys"][0]["revoked_at"], Value::Null);

    let past = home.json(&["datasets", "show", "permits", "--as-of", &then])["dataset"].clone();
    assert_eq!((&past["dataset_version"], past["imports"].as_array().unwrap().len()), (&1.into(), 1));
    assert!(home.run(&["datasets", "show", "permits", "--as-of", &then]).out.contains("a.csv"));
    home.refused(3, &["datasets", "show", "permits", "--as-of", "position:1"]);
    home.refused(2, &["datasets", "show", "permits", "--as-of", "1"]);
    for command in [&["users", "show", "ana@example.org"][..], &["keys", "show", &key], &["plans", "show", "gold"]] {
        home.refused(2, &[command, &["--as-of", "yesterday"]].concat());
    }
}
