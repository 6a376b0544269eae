use super::*;

fn load(file: Option<&Path>, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let overrides: Vec<(&str, String)> = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    Settings::load(LoadFrom { config_file: file.map(Path::to_owned), env, overrides: &overrides })
}

fn refusal(env: &[(&str, &str)]) -> String {
    load(None, env, &[]).unwrap_err().to_string()
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn the_defaults_are_right_and_their_comments_tell_the_truth() {
    let settings = load(None, &[], &[]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    let described = settings.describe();
    for setting in &described {
        let line = DEFAULTS.lines().find(|line| line.contains(&format!("Variable: {}.", setting.variable)));
        let line = line.unwrap_or_else(|| panic!("{} is not documented by its variable", setting.path));
        assert!(line.contains(&format!("Default: {}", setting.value)), "{}: {line}", setting.path);
        if let Some((_, min, max)) = check::RANGES.iter().find(|(path, _, _)| *path == setting.path) {
            assert!(line.contains(&format!("Range: {min}..{max}.")), "{}: {line}", setting.path);
        }
    }
    let is_number = |s: &&DescribedSetting| s.value.parse::<i64>().is_ok();
    assert_eq!(described.iter().filter(is_number).count(), check::RANGES.len(), "every number has a range");
    let variables: std::collections::BTreeSet<_> = described.iter().map(|s| &s.variable).collect();
    assert_eq!(variables.len(), described.len(), "two settings share a variable");
}

#[test]
fn a_later_layer_wins_and_is_named_as_the_origin() {
    let (_dir, path) = file("[mail.smtp]\nhost = \"from-file\"\nport = 25\n[http]\nworkers = 1\n");
    let env = [("PERMITD_MAIL_SMTP_PORT", "26"), ("PERMITD_HTTP_WORKERS", "2"), ("HOME", "/x")];
    let settings = load(Some(&path), &env, &[("http.workers", "3")]).unwrap();
    assert_eq!((settings.mail.smtp.host.as_str(), settings.mail.smtp.port), ("from-file", 26));
    assert_eq!(settings.http.workers(), 3);
    let origin = |path: &str| settings.describe().into_iter().find(|s| s.path == path).unwrap().origin;
    assert_eq!(origin("mail.smtp.host"), format!("file {}", path.display()));
    assert_eq!(origin("mail.smtp.port"), "variable PERMITD_MAIL_SMTP_PORT");
    assert_eq!(origin("http.workers"), "command line");
    assert_eq!(origin("queue.visibility_s"), "default");
}

#[test]
fn the_file_of_the_data_directory_is_found_unless_another_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    std::fs::write(dir.path().join(FILE_NAME), "[queue]\nreceives_max = 9\n").unwrap();
    let receives_max = |file: Option<&Path>, env: &[(&str, &str)]| load(file, env, &[]).unwrap().queue.receives_max;
    assert_eq!(receives_max(None, &[("PERMITD_DATA", data)]), 9);
    assert_eq!(receives_max(None, &[("PERMITD_DATA", data), ("PERMITD_QUEUE_RECEIVES_MAX", "3")]), 3);
    let (_other_dir, other) = file("[queue]\nreceives_max = 7\n");
    assert_eq!(receives_max(Some(&other), &[("PERMITD_DATA", data)]), 7);
    assert_eq!(receives_max(None, &[("PERMITD_DATA", data), ("PERMITD_CONFIG", other.to_str().unwrap())]), 7);

    std::fs::write(dir.path().join(FILE_NAME), "data = \"/elsewhere\"\n").unwrap();
    let refused = load(None, &[("PERMITD_DATA", data)], &[]).unwrap_err().to_string();
    assert!(refused.contains("--data or PERMITD_DATA"), "{refused}");
}

#[test]
fn a_wrong_setting_is_refused_with_its_name_place_value_and_what_would_be_right() {
    type Case = (&'static [(&'static str, &'static str)], &'static [&'static str]);
    let cases: &[Case] = &[
        (
            &[("PERMITD_MAIL_TRANSPROT", "smtp")],
            &["variable PERMITD_MAIL_TRANSPROT", "did you mean `PERMITD_MAIL_TRANSPORT`"],
        ),
        (&[("PERMITD_XYZZY", "1")], &["no setting `PERMITD_XYZZY`", "permitd config"]),
        (
            &[("PERMITD_MAIL_TRANSPORT", "pigeon")],
            &["mail.transport", "PERMITD_MAIL_TRANSPORT", "pigeon", "`file`, `smtp`, `ses`"],
        ),
        (&[("PERMITD_MAIL_DELIVERY", "pigeon")], &["mail.delivery", "pigeon", "`key` or `claim-link`"]),
        (&[("PERMITD_LOG_FORMAT", "xml")], &["log.format", "`human`, `json`"]),
        (&[("PERMITD_LOG_FILTER", "a=b=c")], &["log.filter", "permitd::access=off"]),
        (&[("PERMITD_LOG_FILTER", "wran")], &["log.filter", "wran", "warn"]),
        (&[("PERMITD_LOG_FILTER", "infoo,permitd::access=off")], &["log.filter", "infoo"]),
        (&[("PERMITD_LOG_FILTER", "")], &["log.filter"]),
        (&[("PERMITD_HTTP_WORKERS", "many")], &["http.workers = \"many\"", "whole number"]),
        (&[("PERMITD_HTTP_WORKERS", "-1")], &["http.workers = -1", "from 0 to 256"]),
        (&[("PERMITD_MAIL_SMTP_PORT", "70000")], &["mail.smtp.port = 70000", "from 1 to 65535"]),
        (&[("PERMITD_ADMISSION_GRANT_TTL_MS", "99")], &["admission.grant_ttl_ms", "from 100 to 10000"]),
        (&[("PERMITD_LISTEN", "localhost")], &["listen = \"localhost\"", "PERMITD_LISTEN", "an address and a port"]),
        (&[("PERMITD_LISTEN", "127.0.0.1:9090")], &["ops.listen", "`listen` is the same address"]),
        (&[("PERMITD_PUBLIC_URL", "https://x.org/")], &["public_url", "no slash at its end"]),
        (&[("PERMITD_HTTP_CORS_ALLOWED_ORIGINS", "*,https://x.org")], &["\"*\" stands alone"]),
        (&[("PERMITD_HTTP_CORS_ALLOWED_ORIGINS", "https://x.org/p")], &["`https://x.org/p` is not an origin"]),
        (&[("PERMITD_MAIL_FROM", "nobody")], &["mail.from = \"nobody\"", "address"]),
        (&[("PERMITD_MAIL_REPLY_TO", "nobody")], &["mail.reply_to = \"nobody\"", "address"]),
        (&[("PERMITD_MAIL_TRANSPORT", "smtp")], &["mail.smtp.host", "needs the server's name"]),
        (&[("PERMITD_DATA", "")], &["data", "must not be empty"]),
    ];
    for (env, parts) in cases {
        let refused = refusal(env);
        for part in *parts {
            assert!(refused.contains(part), "{env:?}: {refused}");
        }
    }
    assert!(load(None, &[("PERMITD_TEST_ANYTHING", "1")], &[]).is_ok());
}

#[test]
fn a_wrong_file_is_refused_by_line_or_name() {
    let (_dir, path) = file("[mail]\ntransprot = \"smtp\"\n");
    let refused = load(Some(&path), &[], &[]).unwrap_err().to_string();
    assert!(refused.contains("`mail.transprot`") && refused.contains("did you mean `mail.transport`"), "{refused}");
    let (_dir, path) = file("[http]\n\nworkers = = 2\n");
    let refused = load(Some(&path), &[], &[]).unwrap_err().to_string();
    assert!(refused.contains("some.toml, line 3"), "{refused}");
    let refused = load(Some(Path::new("/nonexistent/x.toml")), &[], &[]).unwrap_err().to_string();
    assert!(refused.contains("/nonexistent/x.toml") && refused.contains("--config"), "{refused}");
    let (_dir, path) = file("mail = 3\n");
    assert!(load(Some(&path), &[], &[]).unwrap_err().to_string().contains("no setting `mail`"));
}

#[test]
fn a_password_is_never_shown() {
    let secret = "correct-horse";
    let env = [
        ("PERMITD_MAIL_TRANSPORT", "smtp"),
        ("PERMITD_MAIL_SMTP_HOST", "mx.example.org"),
        ("PERMITD_MAIL_SMTP_USERNAME", "u"),
        ("PERMITD_MAIL_SMTP_PASSWORD", secret),
    ];
    let settings = load(None, &env, &[]).unwrap();
    assert_eq!(settings.mail.smtp.password.expose(), secret);
    let described = settings.describe();
    let password = described.iter().find(|s| s.path == "mail.smtp.password").unwrap();
    assert_eq!(password.value, "***");
    assert!(!format!("{settings:?}").contains(secret), "Debug of the settings shows it");
    assert!(!serde_json::to_string(&settings.mail.smtp.password).unwrap().contains(secret));

    let refused = refusal(&[("PERMITD_MAIL_SMTP_HOST", "x"), ("PERMITD_MAIL_TRANSPORT", "smtp"), env[3]]);
    assert!(refused.contains("mail.smtp.username is empty") && !refused.contains(secret), "{refused}");
    let (_dir, path) = file("[mail.smtp]\npassword = correct-horse\n");
    assert!(!load(Some(&path), &[], &[]).unwrap_err().to_string().contains(secret));
    let (_dir, path) = file("[mail.smtp]\npassword = 918273\n");
    assert!(!load(Some(&path), &[], &[]).unwrap_err().to_string().contains("918273"));
}

#[test]
fn a_password_does_not_cross_a_network_in_the_clear() {
    let env = |host: &'static str| {
        [
            ("PERMITD_MAIL_TRANSPORT", "smtp"),
            ("PERMITD_MAIL_SMTP_HOST", host),
            ("PERMITD_MAIL_SMTP_USERNAME", "u"),
            ("PERMITD_MAIL_SMTP_PASSWORD", "p"),
            ("PERMITD_MAIL_SMTP_TLS", "none"),
        ]
    };
    assert!(refusal(&env("mx.example.org")).contains("starttls or tls"));
    assert!(load(None, &env("127.0.0.1"), &[]).is_ok());
}

#[test]
fn the_public_url_follows_the_address_listened_on() {
    let settings = load(None, &[], &[]).unwrap();
    assert_eq!(settings.public_url("127.0.0.1:4711".parse().unwrap()), "http://127.0.0.1:4711");
    assert_eq!(settings.public_url("0.0.0.0:80".parse().unwrap()), "http://localhost:80");
    let settings = load(None, &[("PERMITD_PUBLIC_URL", "https://api.example.org")], &[]).unwrap();
    assert_eq!(settings.public_url("0.0.0.0:80".parse().unwrap()), "https://api.example.org");
}
