//! `permitd man`: the manual pages, generated from the same definitions as the help.

use std::{fs, io, io::Write as _, path::PathBuf};

use clap::{Args, Command};
use clap_mangen::Man as Page;
use serde_json::json;

use super::{CommandAnswer, Failure, output::counted};

/// Write the manual pages of all commands into a folder
///
/// One page for each command: permitd.1, permitd-serve.1, and so on. Pages that are there are replaced.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd man ~/.local/share/man/man1
  permitd man pages                              then read one: man pages/permitd-serve.1")]
pub(super) struct Man {
    /// The folder; made when it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(self, program: Command) -> Result<CommandAnswer, Failure> {
        let shown = self.folder.display();
        let failed = |error: io::Error| Failure::unavailable(format!("{shown} cannot be written: {error}"));
        let pages = pages(program).map_err(failed)?;
        fs::create_dir_all(&self.folder).map_err(failed)?;
        for (name, page) in &pages {
            fs::write(self.folder.join(name), page).map_err(failed)?;
        }
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        let count = u64::try_from(names.len()).unwrap_or(u64::MAX);
        let document = json!({ "folder": self.folder, "pages": names });
        Ok(CommandAnswer::new(document, format!("{}: {}", self.folder.display(), counted(count, "page"))))
    }
}

/// The file name and the text of every page.
fn pages(program: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    add(&program, &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let version = format!("permitd {}", env!("CARGO_PKG_VERSION"));
    let page = Page::new(command.clone()).manual("permitd").source(version);
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        page.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    text.write_all(sections(&notes).as_bytes())?;
    pages.push((page.get_filename(), text));
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).try_for_each(|sub| add(sub, pages))
}

/// What stands below a help, as sections of a page: `Examples:` and the lines below it keep their form, other lines are text.
fn sections(notes: &str) -> String {
    let mut page = String::new();
    for paragraph in notes.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
        match first.strip_suffix(':').filter(|_| rest.lines().all(|line| line.starts_with(' '))) {
            Some(heading) => {
                page.push_str(&format!(".SH {}\n.nf\n", heading.to_uppercase()));
                rest.lines().for_each(|line| page.push_str(&(escaped(line) + "\n")));
                page.push_str(".fi\n");
            }
            None => {
                page.push_str(".PP\n");
                paragraph.lines().for_each(|line| page.push_str(&(escaped(line) + "\n")));
            }
        }
    }
    page
}

/// A line that roff prints as it stands: backslashes, hyphens and quotes are characters, and no line is a request.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_a_page_and_names_it() {
        let pages = pages(Cli::command()).unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["permitd.1", "permitd-serve.1", "permitd-aws-setup.1", "permitd-health.1", "permitd-man.1"] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        for (name, page) in &pages {
            let page = String::from_utf8(page.clone()).unwrap();
            assert!(page.contains(".SH EXAMPLES\n.nf\n"), "{name}: {page}");
            assert!(page.contains("\\-\\-data"), "{name} has no common options");
            assert!(!name.contains("help"), "{name}");
        }
    }

    #[test]
    fn notes_keep_their_lines() {
        let notes = "Examples:\n  permitd a 'b' > \\c\n\nText over\n.two lines: `d`\n\nExit codes:\n  0  done";
        let expected = ".SH EXAMPLES\n.nf\n  permitd a \\(aqb\\(aq > \\ec\n.fi\n.PP\nText over\n\\&.two lines: \\(gad\\(ga\n\
                        .SH EXIT CODES\n.nf\n  0  done\n.fi\n";
        assert_eq!(sections(notes), expected);
    }
}
