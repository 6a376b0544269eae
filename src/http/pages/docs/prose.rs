//! Turns a Markdown description from the interface's document into HTML. Whoever defines a data set writes its columns' descriptions: they
//! become text, lists and links within this server, and nothing else.

use pulldown_cmark::{CowStr, Event, LinkType, Parser, Tag, TagEnd, html};

use super::text::LINKED;

/// The server whose page shows a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home<'a> {
    /// Its address.
    pub(super) public_url: &'a str,
    /// The prefix of its paths.
    pub(super) prefix: &'a str,
}

impl Home<'_> {
    /// The target of a link as a path of this server; none where it leads to another server.
    fn path(self, link: &str) -> Option<String> {
        let path = link.strip_prefix(self.public_url).filter(|path| path.starts_with('/')).unwrap_or(link);
        let is_path = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
        is_path.then(|| format!("{}{path}", self.prefix))
    }

    /// A text as HTML. A single paragraph stands without its element.
    pub(super) fn html(self, text: &str) -> String {
        let mut kept: Vec<Event<'_>> = Vec::new();
        // For each open link: whether it leads somewhere.
        let mut open = Vec::new();
        for event in Parser::new(text) {
            match event {
                Event::Start(Tag::Paragraph | Tag::Emphasis | Tag::Strong | Tag::List(_) | Tag::Item)
                | Event::End(TagEnd::Paragraph | TagEnd::Emphasis | TagEnd::Strong | TagEnd::List(_) | TagEnd::Item)
                | Event::Text(_)
                | Event::SoftBreak
                | Event::HardBreak => kept.push(event),
                // The page has its own headings: those of the text become paragraphs.
                Event::Start(Tag::Heading { .. } | Tag::CodeBlock(_) | Tag::HtmlBlock) => {
                    kept.push(Event::Start(Tag::Paragraph));
                }
                Event::End(TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::HtmlBlock) => {
                    kept.push(Event::End(TagEnd::Paragraph));
                }
                Event::Html(markup) | Event::InlineHtml(markup) => kept.push(Event::Text(markup)),
                Event::Start(Tag::Link { dest_url, .. }) => {
                    let path = self.path(&dest_url);
                    open.push(path.is_some());
                    kept.extend(path.map(link_to));
                }
                Event::End(TagEnd::Link) => {
                    let leads = open.pop() == Some(true);
                    kept.extend(leads.then_some(Event::End(TagEnd::Link)));
                }
                Event::Code(code) => {
                    let path = Some(&code).filter(|code| open.is_empty() && LINKED.contains(&&***code));
                    let link = path.and_then(|path| self.path(path));
                    let is_link = link.is_some();
                    kept.extend(link.map(link_to));
                    kept.push(Event::Code(code));
                    kept.extend(is_link.then_some(Event::End(TagEnd::Link)));
                }
                _ => {}
            }
        }
        let mut markup = String::new();
        html::push_html(&mut markup, kept.into_iter());
        let only = markup.trim_end().strip_prefix("<p>").and_then(|rest| rest.strip_suffix("</p>"));
        match only.filter(|only| !only.contains("<p>")) {
            Some(only) => only.to_owned(),
            None => markup,
        }
    }
}

fn link_to(path: String) -> Event<'static> {
    let nothing = CowStr::Borrowed("");
    Event::Start(Tag::Link {
        link_type: LinkType::Inline,
        dest_url: CowStr::from(path),
        title: nothing.clone(),
        id: nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Home<'_> = Home { public_url: "https://x.example/api", prefix: "/api" };

    #[test]
    fn links_lead_within_this_server_alone() {
        let link = |to: &str| HOME.html(&format!("[here]({to})"));
        assert_eq!(link("/problems/scope"), "<a href=\"/api/problems/scope\">here</a>");
        assert_eq!(link("https://x.example/api/problems"), "<a href=\"/api/problems\">here</a>");
        for elsewhere in
            ["https://y.example/", "//y.example", "javascript:alert(1)", "https://x.example/apiary", "/\\y"]
        {
            assert!(!link(elsewhere).contains("<a"), "{}", link(elsewhere));
        }
        assert_eq!(HOME.html("see `/docs`"), "see <a href=\"/api/docs\"><code>/docs</code></a>");
    }

    #[test]
    fn what_is_said_becomes_no_other_markup() {
        assert_eq!(HOME.html("a *b* `c < d`"), "a <em>b</em> <code>c &lt; d</code>");
        assert_eq!(HOME.html("a\n\nb"), "<p>a</p>\n<p>b</p>\n");
        assert_eq!(HOME.html("- a\n- b"), "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n");
        for hostile in [
            "<script>alert(1)</script>",
            "<p>a <img src=x onerror=alert(1)>",
            "# <b>x</b>",
            "![x](https://y.example/x.png)",
            "    <style>",
            "> <i>x</i>\n\n---\n\n```<b>\nx\n```",
            "<javascript:alert(1)>",
        ] {
            let made = HOME.html(hostile);
            let rest = ["<p>", "</p>", "<em>", "</em>"].iter().fold(made.clone(), |rest, own| rest.replace(own, ""));
            assert!(!rest.contains('<'), "{hostile}: {made}");
        }
    }
}
