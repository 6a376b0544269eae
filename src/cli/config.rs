//! `permitd config`: the settings in force, or their defaults, and the templates of mails.

use std::{fmt::Write, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    CommandAnswer, Common, Exit, Failure,
    output::{Table, counted},
};
use crate::{
    config::DEFAULTS,
    mail::templates::{self, CheckedMail, TemplatesError},
};

/// Show the settings in force and where each came from
///
/// A later place wins: the defaults, the configuration file, the environment variable, the flag.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  permitd config
  permitd config mails                         the mails, what can be used in their templates, and what is wrong
  permitd config --default > permitd.toml      the commented defaults: the manual of every setting"
)]
pub(super) struct Config {
    /// Print the commented default configuration file instead
    #[arg(long)]
    default: bool,
    #[command(subcommand)]
    command: Option<ConfigCommand>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    Mails(Mails),
}

/// List the mails, what can be used in their templates, and where each part comes from
///
/// All are filled in with examples. A folder (the setting mail.templates) replaces them one by one: <mail>/subject.txt,
/// <mail>/body.txt, <mail>/body.html.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd config mails
  permitd config mails --write templates            the program's, to begin with
  permitd config mails --templates templates --show invitation

Exit codes:
  0  all templates can be used
  1  some cannot: standard error says which, and why
  3  there is no mail of the name that --show gives")]
struct Mails {
    /// The folder of templates [variable: PERMITD_MAIL_TEMPLATES] [default: none]
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Write the program's templates into this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["templates", "show"])]
    write: Option<PathBuf>,
    /// Show this mail, filled in with an example
    #[arg(long, value_name = "MAIL")]
    show: Option<String>,
}

impl Config {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        if let Some(ConfigCommand::Mails(mails)) = self.command {
            return mails.answer(common);
        }
        if self.default {
            return Ok(CommandAnswer::new(json!({ "toml": DEFAULTS }), DEFAULTS));
        }
        let settings = common.settings(&[])?.describe();
        let mut table = Table::new(&["SETTING", "VALUE", "FROM", "VARIABLE"]);
        for setting in &settings {
            table.row([&setting.path, &setting.value, &setting.origin, &setting.variable].map(Clone::clone));
        }
        Ok(CommandAnswer::new(json!({ "settings": settings }), table.render()))
    }
}

impl Mails {
    fn answer(self, common: &Common) -> Result<CommandAnswer, Failure> {
        if let Some(folder) = self.write {
            let written = templates::write_built_in(&folder).map_err(failed)?;
            let files: Vec<String> = written.iter().map(|file| file.display().to_string()).collect();
            let text = format!("{}\nuse them with mail.templates = \"{}\"\n", files.join("\n"), folder.display());
            return Ok(CommandAnswer::new(json!({ "written": files }), text));
        }
        let named = self.templates.map(|folder| folder.display().to_string());
        let settings = common.settings(&[("mail.templates", named)])?;
        let (mut mails, mistakes) = templates::check(settings.mail.templates()).map_err(failed)?;
        if let Some(name) = &self.show {
            let names: Vec<&str> = templates::Templates::names().collect();
            mails.retain(|checked| checked.mail == name);
            if mails.is_empty() {
                return Err(Failure::not_found(format!("there is no mail {name}; there are {}", names.join(", "))));
            }
        }
        let mut text = String::new();
        for checked in &mails {
            text.push_str(&if self.show.is_some() { filled_in(checked) } else { described(checked)? });
        }
        for mistake in &mistakes {
            eprintln!("error: {mistake}");
        }
        let wrong = u64::try_from(mistakes.len()).unwrap_or(u64::MAX);
        let exit = if wrong == 0 { Exit::Done } else { Exit::Differences };
        if wrong > 0 {
            text.push_str(&format!("{} cannot be used\n", counted(wrong, "template")));
        }
        Ok(CommandAnswer { exit, ..CommandAnswer::new(json!({ "mails": mails, "mistakes": mistakes }), text) })
    }
}

fn described(checked: &CheckedMail) -> Result<String, Failure> {
    let mut table = Table::new(&["  VARIABLE", "EXAMPLE", ""]);
    for variable in &checked.variables {
        let missing = if variable.optional { "may be missing" } else { "" };
        table.row([format!("  {}", variable.name), variable.example.clone(), missing.to_owned()]);
    }
    let mut text = format!("{}: {}\n", checked.mail, checked.about);
    for (part, place) in &checked.parts {
        writeln!(text, "  {part}: {place}").map_err(|error| Failure::unavailable(error.to_string()))?;
    }
    text.push_str(&table.render());
    text.push('\n');
    Ok(text)
}

fn filled_in(checked: &CheckedMail) -> String {
    checked.example.as_ref().map_or_else(String::new, |mail| {
        format!("{}\n\n{}\n\n{}\n", mail.subject, mail.text.trim_end(), mail.html.trim_end())
    })
}

fn failed(error: TemplatesError) -> Failure {
    match &error {
        TemplatesError::Write { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Failure::new(Exit::Refused, error.to_string())
        }
        TemplatesError::Write { .. } => Failure::unavailable(error.to_string()),
        TemplatesError::Folder { .. } | TemplatesError::Mistakes { .. } => Failure::usage(error.to_string()),
    }
}
