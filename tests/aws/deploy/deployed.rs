//! YAML files of the repository, read and deployed by the helper beside this file.

use std::process::Command;

use serde_json::Value;

use crate::support;

fn run(arguments: &[&str]) -> Value {
    let python = support::tools::folder().join("venv/bin/python");
    let mut command = Command::new(python);
    command.current_dir(support::repository()).arg("tests/aws/deploy/cloudformation.py").args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A YAML file of the repository as JSON.
pub(crate) fn read_yaml(path: &str) -> Value {
    run(&["json", path])
}

/// Makes a stack of a template, and gives its outputs.
pub(crate) fn deploy(endpoint: &str, stack: &str, path: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let arguments = ["deploy", endpoint, stack, path].into_iter().chain(parameters.iter().map(String::as_str));
    run(&arguments.collect::<Vec<_>>())
}
