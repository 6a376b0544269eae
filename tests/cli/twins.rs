//! Every command of the command line has its twin over HTTP, and the other way round: two lists that are compared. What has none
//! says why. A new operation or a new subcommand fails this until it is named here.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Home;

/// Operations of the API, as `schemas/openapi.json` and `schemas/openapi-admin.json` name them, and the subcommands that do the same.
const TWINS: &[(&str, &str)] = &[
    ("list_users", "users list"),
    ("show_user", "users show"),
    ("show_usage", "users usage"),
    ("change_user", "users set"),
    ("change_user", "users disable"),
    ("change_user", "users enable"),
    ("delete_user", "users delete"),
    ("resend_invitation", "users resend"),
    ("allow_mail", "users allow-mail"),
    ("invite_user", "invite"),
    ("invite_users", "invite"),
    ("resend_invitations", "invite"),
    ("list_sessions", "users sessions"),
    ("end_sessions", "users end-sessions"),
    ("mail_password_reset", "users reset-password"),
    ("remove_user_second_factor", "users second-factor remove"),
    ("export_user", "users export"),
    ("list_keys", "keys list"),
    ("show_key", "keys show"),
    ("issue_key", "keys issue"),
    ("rotate_key", "keys rotate"),
    ("change_key", "keys change"),
    ("revoke_key", "keys revoke"),
    ("report_leak", "keys report-leak"),
    ("list_plans", "plans list"),
    ("show_plan", "plans show"),
    ("list_plan_users", "users list"),
    ("define_plan", "plans set"),
    ("retire_plan", "plans retire"),
    ("list_events", "events list"),
    ("list_events", "events tail"),
    ("list_events", "events trace"),
    ("list_checkpoints", "events seals"),
    ("show_checkpoint", "events seals"),
    ("list_user_events", "events list"),
    ("list_datasets", "datasets list"),
    ("show_dataset", "datasets show"),
    ("withdraw_dataset", "datasets withdraw"),
    ("restore_dataset", "datasets restore"),
    ("rename_dataset", "datasets rename"),
    ("remove_dataset", "datasets remove"),
    ("send_import", "import"),
    ("list_imports", "imports list"),
    ("show_import", "imports show"),
    ("approve_import", "imports approve"),
    ("discard_import", "imports discard"),
    ("cancel_import", "imports cancel"),
    ("test_mail", "mail test"),
    ("list_dead_letters", "dead-letters list"),
    ("redrive_dead_letter", "dead-letters redrive"),
    ("redrive_dead_letters", "dead-letters redrive"),
    ("discard_dead_letters", "dead-letters discard"),
    ("list_admin_tokens", "admin-tokens list"),
    ("show_admin_token", "admin-tokens list"),
    ("create_admin_token", "admin-tokens create"),
    ("create_admin_token", "admin-tokens new"),
    ("revoke_admin_token", "admin-tokens revoke"),
    ("show_openapi", "openapi"),
    ("show_admin_openapi", "openapi"),
];

/// Whoever has the command line administers, and is nobody who signs in; what they do for a person is named above.
const OF_ONESELF: &str = "what somebody does for themselves";

/// Operations that no subcommand has, and why.
const ONLY_OVER_HTTP: &[(&str, &str)] = &[
    ("sign_in", OF_ONESELF),
    ("sign_out", OF_ONESELF),
    ("begin_sign_in_at_provider", OF_ONESELF),
    ("finish_sign_in_at_provider", OF_ONESELF),
    ("give_code_after_provider", OF_ONESELF),
    ("ask_for_password_reset", OF_ONESELF),
    ("show_link", OF_ONESELF),
    ("redeem_link", OF_ONESELF),
    ("change_me", OF_ONESELF),
    ("change_my_password", OF_ONESELF),
    ("export_me", OF_ONESELF),
    ("list_my_keys", OF_ONESELF),
    ("issue_my_key", OF_ONESELF),
    ("change_my_key", OF_ONESELF),
    ("rotate_my_key", OF_ONESELF),
    ("revoke_my_key", OF_ONESELF),
    ("list_my_sessions", OF_ONESELF),
    ("end_my_sessions", OF_ONESELF),
    ("end_my_session", OF_ONESELF),
    ("begin_second_factor", OF_ONESELF),
    ("confirm_second_factor", OF_ONESELF),
    ("remove_second_factor", OF_ONESELF),
    ("show_server", "a page"),
    ("show_docs", "a page"),
    ("show_reference", "a page"),
    ("show_admin_reference", "a page"),
    ("list_problems", "a page"),
    ("show_problem", "a page"),
    ("show_counters", "counted by a running server"),
    ("show_import_rejects", "a file of the machine that imports, which names it"),
];

/// Subcommands that no operation has, and why.
const ONLY_HERE: &[(&str, &str)] = &[
    ("demo", "a server of its own"),
    ("serve", "the server itself"),
    ("health", "asks the port for operators"),
    ("backup", "writes files of this machine"),
    ("restore", "replaces what a server works on"),
    ("secret", "the server secret leaves no machine"),
    ("aws", "prepares what servers need"),
    ("sample", "writes a file"),
    ("config", "settings are of a process"),
    ("completions", "for a shell"),
    ("man", "for this machine"),
    ("events export", "writes a file of this machine"),
    ("events import", "fills a deployment that no server serves"),
    ("events checkpoints", "files of this machine"),
    ("events replay", "needs no server, and mends what one reads"),
    ("events verify", "needs no server"),
    ("events seal", "signs with a key of this machine"),
    ("events prove", "needs no server, and believes none"),
    ("move", "closes what servers serve"),
    ("events quarantine", "needs no server: what cannot be read may keep one from starting"),
    ("events release", "needs no server: what cannot be read may keep one from starting"),
    ("events views", "needs no server"),
    ("datasets language", "a text of the program"),
];

/// The subcommands below this one, as its help lists them: those that have none of their own.
fn subcommands(home: &Home, path: &[String], found: &mut BTreeSet<String>) {
    let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
    let help = home.run(&arguments).out;
    let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let names: Vec<String> = listed
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(ToOwned::to_owned)
        .collect();
    if names.is_empty() {
        found.insert(path.join(" "));
    }
    for name in names {
        subcommands(home, &[path, &[name]].concat(), found);
    }
}

#[test]
fn every_command_has_its_twin_over_http_and_the_other_way_round() {
    let documents = [include_str!("../../schemas/openapi.json"), include_str!("../../schemas/openapi-admin.json")];
    let documents: Vec<Value> = documents.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let mut operations = BTreeSet::new();
    for methods in documents.iter().flat_map(|document| document["paths"].as_object().unwrap().values()) {
        // Data sets are read with a key, over HTTP only.
        let of_records = |one: &&Value| one["security"][0]["apiKey"].is_array();
        let others = methods.as_object().unwrap().values().filter(|one| !of_records(one));
        operations.extend(others.map(|one| one["operationId"].as_str().unwrap()));
    }
    let paired: BTreeSet<&str> = TWINS.iter().map(|(operation, _)| *operation).collect();
    let alone: BTreeSet<&str> = ONLY_OVER_HTTP.iter().map(|(operation, _)| *operation).collect();
    let named: BTreeSet<&str> = paired.union(&alone).copied().collect();
    assert_eq!(operations, named, "each operation is named, and each name is an operation");
    assert!(paired.is_disjoint(&alone));

    let home = Home::new();
    let mut commands = BTreeSet::new();
    subcommands(&home, &[], &mut commands);
    assert!(commands.contains("users list") && commands.contains("invite"), "{commands:?}");
    let is_alone = |command: &str| {
        ONLY_HERE.iter().any(|(alone, _)| command == *alone || command.starts_with(&format!("{alone} ")))
    };
    let paired: BTreeSet<&str> = TWINS.iter().map(|(_, command)| *command).collect();
    let without: Vec<&String> =
        commands.iter().filter(|command| !paired.contains(command.as_str()) && !is_alone(command)).collect();
    assert!(without.is_empty(), "without a twin, and without a reason: {without:?}");
    let unknown: Vec<&&str> = paired.iter().filter(|command| !commands.contains(**command)).collect();
    assert!(unknown.is_empty(), "there are no such commands: {unknown:?}");
    let idle: Vec<&&str> = ONLY_HERE
        .iter()
        .map(|(alone, _)| alone)
        .filter(|alone| !commands.iter().any(|command| command == **alone || command.starts_with(&format!("{alone} "))))
        .collect();
    assert!(idle.is_empty(), "there are no such commands: {idle:?}");
}
