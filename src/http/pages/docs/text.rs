//! The guide from `docs/DATA.md`: its sections as HTML, with the examples made for another data set and the paths of this server as links.
//! The language of definitions, from `schemas/datasets/README.md`, becomes such a page, too.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use serde::Serialize;

use super::{
    example::{Finds, example},
    subject::Subject,
};
use crate::http::pages::templates::escaped;

const SOURCE: &str = include_str!("../../../../docs/DATA.md");
const LANGUAGE: &str = include_str!("../../../../schemas/datasets/README.md");
/// Marks the place of the table of columns.
const COLUMNS: &str = "<!-- columns -->";
/// The beginning of the data set's paths in the source.
const SOURCE_PATH: &str = "/permits";
/// Paths of this server that become links wherever a text names them.
pub(super) const LINKED: [&str; 9] = [
    "/docs",
    "/docs/definitions",
    "/docs/reference",
    "/docs/admin",
    "/openapi.json",
    "/openapi-admin.json",
    "/problems",
    "/home",
    "/admin/imports",
];

/// A section of the guide.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    /// Its anchor.
    id: String,
    /// Its heading; none before the first.
    title: String,
    /// Its content.
    blocks: Vec<Block>,
    /// The number of its tables.
    #[serde(skip)]
    tables: usize,
}

/// A part of a section.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Block {
    /// Text, as HTML.
    Html(String),
    /// Code to read, unchanged.
    Code(String),
    /// A request to copy and run.
    Example {
        name: String,
        text: String,
        /// What it finds.
        finds: Option<Finds>,
    },
    /// The table of columns.
    Columns,
}

/// The guide with examples of this data set, and with this prefix for the server's paths.
pub(super) fn guide(subject: &Subject, prefix: &str) -> Vec<Section> {
    sections(SOURCE, subject, prefix)
}

/// The language of definitions. It has no examples of a data set.
pub(super) fn language(subject: &Subject, prefix: &str) -> Vec<Section> {
    sections(LANGUAGE, subject, prefix)
}

fn sections(source: &'static str, subject: &Subject, prefix: &str) -> Vec<Section> {
    let mut writer =
        TextWriter { subject, prefix, sections: vec![Section::new("")], pending: Vec::new(), unlinked: Vec::new() };
    let mut events = Parser::new_ext(source, Options::ENABLE_TABLES);
    while let Some(event) = events.next() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let title = text_until(&mut events, |end| matches!(end, TagEnd::Heading(_)));
                writer.heading(level, &title);
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let text = text_until(&mut events, |end| *end == TagEnd::CodeBlock);
                writer.code(&kind, &text);
            }
            event => writer.event(event),
        }
    }
    writer.end_of_text();
    writer.sections.retain(|section| !section.blocks.is_empty());
    writer.sections
}

/// All text up to the end of an element.
fn text_until(events: &mut Parser<'_>, is_end: impl Fn(&TagEnd) -> bool) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            Event::End(end) if is_end(&end) => break,
            Event::Text(part) | Event::Code(part) => text.push_str(&part),
            _ => {}
        }
    }
    text
}

impl Section {
    fn new(title: &str) -> Self {
        let words = title.to_lowercase();
        let words = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        Self { id: words.collect::<Vec<_>>().join("-"), title: title.to_owned(), blocks: Vec::new(), tables: 0 }
    }
}

struct TextWriter<'a> {
    subject: &'a Subject,
    prefix: &'a str,
    sections: Vec<Section>,
    /// Text that is not written yet.
    pending: Vec<Event<'a>>,
    /// For each open link: whether it is left out, since it leads nowhere from here.
    unlinked: Vec<bool>,
}

impl<'a> TextWriter<'a> {
    fn push(&mut self, block: Block) {
        self.end_of_text();
        if let Some(section) = self.sections.last_mut() {
            section.blocks.push(block);
        }
    }

    fn end_of_text(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut text = String::new();
        html::push_html(&mut text, self.pending.drain(..));
        if let Some(section) = self.sections.last_mut() {
            section.blocks.push(Block::Html(text));
        }
    }

    /// Begins a section at a heading of level 2. The first heading is the page's own.
    fn heading(&mut self, level: HeadingLevel, title: &str) {
        if level == HeadingLevel::H2 {
            self.end_of_text();
            self.sections.push(Section::new(title));
        }
    }

    /// Replaces a named block, which is an example, by the same example of this data set.
    fn code(&mut self, kind: &CodeBlockKind<'_>, text: &str) {
        let name = match kind {
            CodeBlockKind::Fenced(info) => info.split_whitespace().nth(1),
            CodeBlockKind::Indented => None,
        };
        match name {
            None => self.push(Block::Code(text.trim_end().to_owned())),
            Some(name) => {
                if let Some(found) = example(name, self.subject) {
                    self.push(Block::Example { name: name.to_owned(), text: found.text, finds: found.finds });
                }
            }
        }
    }

    fn event(&mut self, event: Event<'a>) {
        match event {
            Event::Html(text) if text.trim() == COLUMNS => self.push(Block::Columns),
            // The source has no other HTML.
            Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            Event::Code(text) => self.inline_code(&text),
            Event::Start(Tag::Link { ref dest_url, .. }) => {
                // The server has no files of the repository.
                let leads_nowhere = !dest_url.starts_with("https://");
                self.unlinked.push(leads_nowhere);
                if !leads_nowhere {
                    self.pending.push(event);
                }
            }
            Event::End(TagEnd::Link) => {
                if self.unlinked.pop() == Some(false) {
                    self.pending.push(event);
                }
            }
            Event::Start(Tag::Table(_)) => {
                // Numbers tell the tables of a section apart.
                let title = self.sections.last_mut().map(|section| {
                    section.tables += 1;
                    match section.tables {
                        1 => section.title.clone(),
                        nth => format!("{} ({nth})", section.title),
                    }
                });
                let title = title.unwrap_or_default();
                let region =
                    format!("<div class=\"scroll\" role=\"region\" aria-label=\"{}\" tabindex=\"0\">", escaped(&title));
                self.pending.push(Event::Html(region.into()));
                self.pending.push(event);
            }
            Event::End(TagEnd::Table) => {
                self.pending.push(event);
                self.pending.push(Event::Html("</div>\n".into()));
            }
            event => self.pending.push(event),
        }
    }

    /// Code within a text. Paths of the source's data set become those of this one.
    fn inline_code(&mut self, text: &str) {
        if LINKED.contains(&text) {
            let link = Tag::Link {
                link_type: pulldown_cmark::LinkType::Inline,
                dest_url: CowStr::from(format!("{}{text}", self.prefix)),
                title: CowStr::from(""),
                id: CowStr::from(""),
            };
            self.pending.extend([
                Event::Start(link),
                Event::Code(CowStr::from(text.to_owned())),
                Event::End(TagEnd::Link),
            ]);
            return;
        }
        let rest = text.strip_prefix(SOURCE_PATH).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let shown = rest.map_or_else(
            || text.to_owned(),
            |rest| {
                let named = |place: usize| format!("{{{}}}", self.subject.column_name(place));
                let rest = rest.replace("{key}", &named(self.subject.key));
                format!("/{}{}", self.subject.name, rest.replace("{record_id}", &named(self.subject.record_id)))
            },
        );
        self.pending.push(Event::Code(CowStr::from(shown)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_example_of_the_source_has_one_of_other_columns() {
        let subject = Subject::made_up("https://x.example/api");
        let named: Vec<&str> = SOURCE
            .lines()
            .filter_map(|line| line.strip_prefix("```"))
            .filter_map(|info| info.split_whitespace().nth(1))
            .collect();
        assert!(named.len() > 10, "{named:?}");
        for name in &named {
            assert!(example(name, &subject).is_some(), "there is no example {name}");
        }
        assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len(), "each stands there once");
    }

    #[test]
    fn the_language_of_definitions_has_a_section_for_each_table() {
        let sections = language(&Subject::made_up("https://x.example/api"), "/api");
        let ids: Vec<&str> = sections.iter().map(|section| section.id.as_str()).collect();
        let expected = ["", "the-data-set", "about", "the-file", "key", "column", "join", "guard", "index"];
        assert_eq!(ids, expected);
        let text = serde_json::to_string(&sections).unwrap();
        assert!(text.contains("[[column]]\\nname = \\\"tree\\\""), "the example is there: {text}");
        assert!(text.contains("<a href=\\\"/api/admin/imports\\\">"), "{text}");
        assert!(text.contains("aria-label=\\\"[[column]] (2)\\\""), "landmarks have names of their own: {text}");
        assert!(text.contains("<code>fill_down</code>") && !text.contains("../"), "{text}");
    }

    #[test]
    fn nothing_of_the_source_speaks_of_another_data_set() {
        let sections = guide(&Subject::made_up("https://x.example/api"), "/api");
        let text = serde_json::to_string(&sections).unwrap();
        for of_permits in ["permits", "estimated", "issued", "127.0.0.1", "../", "application_number"] {
            assert!(!text.contains(of_permits), "{of_permits}: {text}");
        }
        assert!(text.contains("/books/{isbn}/{copy}/history"), "{text}");
        assert!(text.contains("<a href=\\\"/api/docs/reference\\\"><code>/docs/reference</code></a>"), "{text}");
        let columns =
            sections.iter().flat_map(|section| &section.blocks).filter(|block| matches!(block, Block::Columns));
        assert_eq!(columns.count(), 1);
        let ids: BTreeSet<&str> = sections.iter().map(|section| section.id.as_str()).collect();
        assert_eq!(ids.len(), sections.len(), "anchors are unique");
    }
}
