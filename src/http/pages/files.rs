//! The files that pages are made of: one template and its messages for each page, and the shared parts.

use super::language::Language;

/// The files of one folder.
struct Folder {
    template: (&'static str, &'static str),
    english: &'static str,
    german: &'static str,
}

macro_rules! folders {
    ($($folder:literal),* $(,)?) => {
        [$(Folder {
            template: (concat!($folder, "/page.html"), include_str!(concat!($folder, "/page.html"))),
            english: include_str!(concat!($folder, "/en.ftl")),
            german: include_str!(concat!($folder, "/de.ftl")),
        }),*]
    };
}

/// A folder for each page.
#[rustfmt::skip]
static PAGES: &[Folder] = &folders![
    "about",
    "admin/data",
    "admin/data_set",
    "admin/events",
    "admin/health",
    "admin/import",
    "admin/imports",
    "admin/invite",
    "admin/mail",
    "admin/overview",
    "admin/people",
    "admin/person",
    "admin/plan",
    "admin/plans",
    "admin/sent_file",
    "admin/tokens",
    "again",
    "docs",
    "docs/definitions",
    "docs/reference",
    "docs/reference/operation",
    "explore",
    "explore/record",
    "admin/undone",
    "front",
    "home",
    "home/codes",
    "home/examples",
    "home/key",
    "home/security",
    "home/usage",
    "links",
    "problem",
    "sign_in",
    "sign_in/code",
    "sign_in/forgotten",
];

/// Parts that several pages use.
#[rustfmt::skip]
static PARTS: &[(&str, &str)] = &[
    ("parts/admin.html", include_str!("parts/admin.html")),
    ("parts/contents.html", include_str!("parts/contents.html")),
    ("parts/docs.html", include_str!("parts/docs.html")),
    ("parts/events.html", include_str!("parts/events.html")),
    ("parts/form.html", include_str!("parts/form.html")),
    ("parts/home.html", include_str!("parts/home.html")),
    ("parts/layout.html", include_str!("parts/layout.html")),
    ("parts/lost.html", include_str!("parts/lost.html")),
    ("parts/people.html", include_str!("parts/people.html")),
    ("parts/plan.html", include_str!("parts/plan.html")),
    ("parts/usage.html", include_str!("parts/usage.html")),
];

/// All templates: their names and texts.
pub(super) fn templates() -> impl Iterator<Item = (&'static str, &'static str)> {
    PARTS.iter().copied().chain(PAGES.iter().map(|page| page.template))
}

/// The files of messages of a language.
pub(super) fn messages(language: Language) -> impl Iterator<Item = &'static str> {
    let shared = match language {
        Language::English => include_str!("parts/en.ftl"),
        Language::German => include_str!("parts/de.ftl"),
    };
    let own = PAGES.iter().map(move |page| match language {
        Language::English => page.english,
        Language::German => page.german,
    });
    std::iter::once(shared).chain(own)
}
