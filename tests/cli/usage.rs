//! Help, settings, completions, samples and exit codes.

use super::{Home, number};

/// Every command, as the help of the one above it lists them; the first is the program itself.
fn commands(home: &Home) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut at = 0;
    while let Some(command) = found.get(at).cloned() {
        let help = home.run(&command.split_whitespace().chain(["--help"]).collect::<Vec<_>>()).out;
        let listed = help.split_once("\nCommands:\n").map_or("", |(_, listed)| listed);
        let names = listed.lines().take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        found.extend(names.map(|name| format!("{command} {name}").trim().to_owned()));
        at += 1;
    }
    found
}

#[test]
fn every_command_explains_itself() {
    let home = Home::new();
    let commands = commands(&home);
    for known in ["users second-factor", "imports approve", "config mails", "datasets language"] {
        assert!(commands.iter().any(|command| command == known), "{known}: {commands:?}");
    }
    for command in &commands {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = home.run(&words);
        assert_eq!(help.exit, 0, "{command}");
        assert!(help.out.contains("Examples:\n  permitd "), "{command}: {}", help.out);
        for option in ["--data", "--config", "--json"] {
            assert!(help.out.contains(option), "{command}: {}", help.out);
        }
        assert!(!help.out.contains('\u{1b}'), "no colours where there is no terminal");
    }
    assert!(!home.data().exists(), "asking for help makes nothing");
}

/// The codes that mean something of their own for a command, beyond that it failed.
const EXIT_CODES: &[(&str, &[u8])] = &[
    ("", &[0, 1, 2, 3, 4, 5, 6, 7, 130]),
    ("aws check", &[0, 1]),
    ("aws setup", &[0, 1]),
    ("config mails", &[0, 1, 3]),
    ("events import", &[4, 6, 7]),
    ("events prove", &[0, 1, 3]),
    ("events seal", &[0, 7]),
    ("events verify", &[0, 1]),
    ("health", &[0, 5]),
    ("import", &[0, 3, 4, 6]),
    ("invite", &[0, 2, 4, 5]),
    ("mail test", &[0, 4, 5]),
    ("move", &[4, 7]),
    ("serve", &[0, 5, 130]),
];

#[test]
fn help_tells_the_exit_codes_that_a_command_has_of_its_own() {
    let home = Home::new();
    for command in commands(&home) {
        let help = home.run(&command.split_whitespace().chain(["--help"]).collect::<Vec<_>>()).out;
        let told = help.split_once("\nExit codes").map_or("", |(_, told)| told);
        let told: Vec<u8> =
            told.lines().filter_map(|line| line.strip_prefix("  ")?.split("  ").next()?.parse().ok()).collect();
        let known = EXIT_CODES.iter().find(|(known, _)| *known == command).map_or(&[][..], |(_, codes)| codes);
        assert_eq!(told, known, "{command}");
    }
    let whole = home.run(&["--help"]).out;
    assert!(whole.contains("`config mails` templates") && whole.contains("of `invite` also when"), "{whole}");
}

/// It ends before the actors have begun that it started, now and then: each run of the program is looked through for that.
#[test]
fn a_refused_command_leaves_no_panic() {
    let home = Home::new();
    home.sample(5, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    for _ in 0..5 {
        home.refused(3, &["users", "disable", "nobody@example.org"]);
        home.refused(3, &["plans", "retire", "none"]);
        home.refused(3, &["keys", "revoke", "AAAAAAAAAAAAAAAA"]);
    }
}

#[test]
fn wrong_usage_and_wrong_settings_are_refused_by_name() {
    let home = Home::new();
    home.refused(2, &["frobnicate"]);
    assert!(home.refused(2, &["users", "lst"]).contains("list"), "did you mean");
    home.refused(2, &["import"]);
    home.refused(2, &["import", "x.csv"]);
    home.refused(2, &["invite", "ana"]);
    home.refused(2, &["invite", "ana@example.org", "bob@example.org", "--name", "Ana"]);
    home.refused(2, &["sample", "-o", "x.txt"]);
    home.refused(2, &["sample", "--rows", "0", "-o", "x.csv"]);
    let ran = home.command(&["config"]).env("PERMITD_HTTP_WORKERS", "many").output().unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(err.contains("PERMITD_HTTP_WORKERS") && err.contains("http.workers") && err.contains("many"), "{err}");
    let ran = home.command(&["serve"]).env("PERMITD_LISTN", "127.0.0.1:0").output().unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    assert!(err.contains("PERMITD_LISTN") && err.contains("did you mean `PERMITD_LISTEN`"), "{err}");
    std::fs::write(home.path("own.toml"), "[http]\nworkers = 300\n").unwrap();
    assert!(home.refused(2, &["config", "--config", "own.toml"]).contains("own.toml"));
    assert!(!home.data().exists(), "what was refused made nothing");
}

#[test]
fn what_asks_about_data_needs_data() {
    let home = Home::new();
    for command in ["users list", "keys list", "plans list", "events list", "events verify", "dead-letters list"] {
        let words: Vec<&str> = command.split(' ').collect();
        assert!(home.refused(3, &words).contains("--data"), "{command}");
    }
    assert!(!home.data().exists());
}

#[test]
fn settings_are_shown_with_their_origin() {
    let home = Home::new();
    std::fs::write(home.path("own.toml"), "[http]\nworkers = 3\n[mail.smtp]\npassword = \"hunter2\"\n").unwrap();
    let ran = home.run(&["config", "--config", "own.toml", "--data", "elsewhere"]);
    let line = |path: &str| {
        let line = ran.out.lines().find(|line| line.starts_with(path)).unwrap();
        line.split('\t').map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("http.workers")[1..3], ["3".to_owned(), "file own.toml".to_owned()]);
    assert_eq!(line("data\t")[1..3], ["\"elsewhere\"".to_owned(), "command line".to_owned()]);
    assert_eq!(line("relay.sweep_interval_ms")[2], "default");
    assert!(!ran.out.contains("hunter2"));
    let document = home.json(&["config"]);
    assert!(document["settings"].as_array().unwrap().iter().any(|setting| setting["variable"] == "PERMITD_LISTEN"));
    let defaults = home.run(&["config", "--default"]).out;
    std::fs::write(home.path("default.toml"), &defaults).unwrap();
    assert!(defaults.contains("# The address the API listens on"));
    assert_eq!(home.run(&["config", "--config", "default.toml"]).exit, 0, "the printed file can be read");
}

#[test]
fn completions_for_every_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]);
        assert!(script.exit == 0 && script.out.contains("dead-letters"), "{shell}");
    }
    home.refused(2, &["completions", "cobol"]);
}

#[test]
fn what_was_typed_wrong_is_shown_without_what_hides() {
    let home = Home::new();
    for arguments in [["plans", "set", "p", "--rate", "\u{202e}abc"], ["plans", "set", "p", "--burst", "1\u{1b}[31m"]] {
        let said = home.refused(2, &arguments);
        assert!(said.contains("invalid value") && !said.contains(['\u{202e}', '\u{1b}']), "{said:?}");
    }
}

#[test]
fn a_definition_that_is_not_there_is_not_found() {
    let home = Home::new();
    home.sample(1, "a.csv");
    assert!(home.refused(3, &["import", "a.csv", "--definition", "nowhere.toml"]).contains("nowhere.toml"));
    assert!(home.refused(6, &["import", "a.csv", "--definition", "."]).contains("cannot read the definition"));
}

#[test]
fn a_sample_is_repeatable_and_written_whole() {
    let home = Home::new();
    for name in ["a.xlsx", "b.xlsx", "a.csv"] {
        let document = home.json(&["sample", "--rows", "30", "--seed", "9", "-o", name]);
        assert_eq!(number(&document, "rows"), 30);
        assert_eq!(number(&document, "bytes"), std::fs::metadata(home.path(name)).unwrap().len());
    }
    assert_eq!(std::fs::read(home.path("a.xlsx")).unwrap(), std::fs::read(home.path("b.xlsx")).unwrap());
    assert!(std::fs::read_to_string(home.path("a.csv")).unwrap().contains("201612013997"));
    home.refused(5, &["sample", "-o", "no/such/folder.csv"]);
    assert_eq!(std::fs::read_dir(home.folder.path()).unwrap().count(), 3, "nothing half-written is left");
}

#[test]
fn a_taken_address_is_named() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let err = home.refused(5, &["serve", "--listen", &address, "--ops-listen", "127.0.0.1:0"]);
    assert!(err.contains(&address) && err.contains("listen"), "{err}");
    let err = home.refused(5, &["demo", "--listen", &address, "--ops-listen", "127.0.0.1:0"]);
    assert!(err.contains("permitd demo --listen 127.0.0.1:0"), "{err}");
}

/// Every setting and flag that has a type gets a wrong value: what is said names it and no type of the language.
#[test]
fn wrong_values_are_told_in_our_words() {
    const THEIRS: [&str; 15] = [
        "u8",
        "u16",
        "u32",
        "u64",
        "i64",
        "f64",
        "usize",
        "socket",
        "variant",
        "invalid type",
        "invalid digit",
        "invalid float",
        "invalid length",
        "literal",
        "os error",
    ];
    let home = Home::new();
    let ours = |said: &str| {
        let word = THEIRS
            .iter()
            .find(|word| said.split(|c: char| !c.is_alphanumeric() && c != ' ').any(|part| part.contains(*word)));
        assert!(word.is_none() && said.contains("error: "), "{word:?}: {said}");
    };
    for setting in home.json(&["config"])["settings"].as_array().unwrap() {
        let path = setting["path"].as_str().unwrap();
        let mut refused = 0;
        for value in ["wrong value", "-1", "1.5", "", "[", "\u{1}", "99999999999999999999"] {
            let ran = home.command(&["config"]).env(setting["variable"].as_str().unwrap(), value).output().unwrap();
            if !ran.status.success() {
                refused += 1;
                let said = String::from_utf8(ran.stderr).unwrap();
                ours(&said);
                assert!(said.contains(path), "{said}");
            }
        }
        // A number takes none of them, but for a zero where it may be left out.
        let is_number = setting["value"].as_str().unwrap().parse::<i64>().is_ok();
        assert!(!is_number || refused == 7, "{path}: {refused}");
    }
    for (arguments, says) in [
        (&["plans", "set", "p", "--rate", "fast"][..], "a number from 0.001"),
        (&["plans", "set", "p", "--burst", "1.5"], "a whole number from 1"),
        (&["plans", "set", "p", "--quota", "x"], "a whole number from 1"),
        (&["users", "list", "--limit", "0"], "a whole number from 1 to 10,000"),
        (&["users", "list", "--limit", "x"], "a whole number from 1 to 10,000"),
        (&["users", "list", "--status", "x"], "active"),
        (&["keys", "list", "--limit", "x"], "a whole number"),
        (&["events", "list", "--limit", "x"], "a whole number"),
        (&["events", "list", "--after", "x"], "a whole number"),
        (&["dead-letters", "list", "--limit", "x"], "a whole number"),
        (&["health", "--timeout-ms", "x"], "a whole number"),
        (&["sample", "--rows", "x", "-o", "a.csv"], "a whole number"),
        (&["sample", "--seed", "x", "-o", "a.csv"], "a whole number"),
        (&["serve", "--listen", "localhost"], "an address and a port are expected"),
        (&["serve", "--ops-listen", "9090"], "an address and a port are expected"),
        (&["serve", "--backend", "postgres"], "`sqlite` or `aws` is expected"),
        (&["imports", "show", "5"], "`permitd imports list`"),
        (&["imports", "approve", "x"], "an import's id is expected"),
        (&["invite", "ana@example.org", "--role", "king"], "a role is reader, manager or admin"),
        (&["users", "set", "ana@example.org", "--role", "king"], "a role is reader, manager or admin"),
        (
            &["admin-tokens", "create", "a", "--scopes", "x"],
            "a scope is one of people, data, plans, events, server, or all",
        ),
        (&["admin-tokens", "create", "a", "--scopes", "data", "--expires-in", "x"], "90d"),
    ] {
        let said = home.refused(2, arguments);
        ours(&said);
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    std::fs::write(home.path("own.toml"), "[http]\nworkers = = 3\n").unwrap();
    let said = home.refused(2, &["config", "--config", "own.toml"]);
    ours(&said);
    assert!(said.contains("own.toml, line 2"), "{said}");
    for wrong in ["workers = \"many\"", "workers = 1.5", "workers = true", "workers = [1]"] {
        std::fs::write(home.path("own.toml"), format!("[http]\n{wrong}\n")).unwrap();
        let said = home.refused(2, &["config", "--config", "own.toml"]);
        ours(&said);
        assert!(said.contains("http.workers") && said.contains("whole number"), "{said}");
    }
    assert!(!home.data().exists(), "what was refused made nothing");
}
