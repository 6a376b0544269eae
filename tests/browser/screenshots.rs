//! The pictures of the documentation: `make screenshots`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    look::{Look, Scheme},
    page::Browser,
    server::Server,
    support,
};

/// Highest picture, CSS pixels.
const HEIGHT_MAX: f64 = 1_600.0;
/// Height of the window: a page that is shorter has a picture of this height. CSS pixels.
const HEIGHT_MIN: u32 = 480;
/// CSS pixels.
const WIDTHS: [u32; 2] = [360, 1280];
/// Most that all pictures may have together, bytes.
const BYTES_MAX: u64 = 3_000_000;
/// Leaves few colours in a picture, which makes it smaller.
const QUANTISER: &str = "pngquant";

/// A state of the pages that the documentation has pictures of.
struct Pictured {
    /// Names the pictures: `docs/screenshots/<name>-<width>-<scheme>.png`.
    name: &'static str,
    /// Leads there from wherever the browser is.
    reach: fn(&mut Browser, &Server),
}

/// A state that an address shows.
macro_rules! at {
    ($name:literal, $path:literal, $seen:literal) => {
        Pictured {
            name: $name,
            reach: |browser, server| {
                browser.go(&format!("{}{}", server.told("url"), $path));
                browser.sees($seen);
            },
        }
    };
}

/// Add a state here, and `make screenshots` makes its pictures. Those of the administration come after the one that signs in.
const STATES: &[Pictured] = &[
    at!("front", "/", "San Francisco building permits"),
    at!("sign-in", "/sign-in", "E-mail address"),
    at!("no-key", "/permits", "You need a key"),
    at!("problems", "/problems", "How this server says no"),
    at!("docs", "/docs", "Guide for programs"),
    Pictured {
        name: "admin",
        reach: |browser, server| {
            browser.go(server.told("sign_in_url"));
            browser.sees("Administration");
        },
    },
    at!("admin-people", "/admin/people", "Ana Ito"),
    Pictured {
        name: "admin-person",
        reach: |browser, _| {
            browser.follow("Ana Ito");
            browser.sees("ana@example.org");
        },
    },
    at!("admin-invite", "/admin/people/invite", "Invite"),
    at!("admin-plans", "/admin/plans", "default"),
    at!("admin-plan", "/admin/plans/default", "default"),
    at!("admin-tokens", "/admin/tokens", "token"),
    at!("admin-events", "/admin/events", "Ana Ito"),
    at!("admin-health", "/admin/health", "Where things are kept"),
];

impl Browser {
    /// Writes pictures of this state: narrow and wide, light and dark.
    fn picture_all(&mut self, folder: &Path, name: &str) {
        let before = self.look.clone();
        for width in WIDTHS {
            for scheme in Scheme::BOTH {
                self.look = Look { width, scheme, height: HEIGHT_MIN, scale: 1.0, ..before.clone() };
                self.put_on();
                self.evaluate("person.still()");
                self.picture_to(&folder.join(format!("{name}-{width}-{}.png", scheme.name())), HEIGHT_MAX);
            }
        }
        self.look = before;
        self.put_on();
    }
}

fn pictures_in(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "png")).collect()
}

#[tokio::test]
#[ignore = "writes the pictures of the documentation: `make screenshots`"]
async fn screenshots() {
    let server = Server::start();
    for (email, name) in
        [("ana@example.org", "Ana Ito"), ("ben@example.org", "Ben Okafor"), ("eva@example.org", "Eva Lindqvist")]
    {
        server.invite(&serde_json::json!({ "email": email, "name": name })).await;
    }
    server.mail("ana@example.org", "/links/").await;
    let Some(mut browser) = Browser::open(server.told("url")) else { return };
    browser.expect(super::guard::Kind::Failed, "401 GET");
    // Made aside: the old ones stay where a state is not reached.
    let made = support::data_dir();
    for Pictured { name, reach } in STATES {
        reach(&mut browser, &server);
        browser.picture_all(made.path(), name);
    }
    browser.close();
    let quantised = Command::new(QUANTISER)
        .args(["--ext=.png", "--force", "--skip-if-larger", "--strip", "--speed=1", "64", "--"])
        .args(pictures_in(made.path()))
        .status();
    // 98 and 99: some would have become larger, or worse; those stay as they are.
    let code = quantised.unwrap_or_else(|error| panic!("{QUANTISER} is needed: {error}")).code();
    assert!(matches!(code, Some(0 | 98 | 99)), "{QUANTISER} ended with {code:?}");

    let folder = support::repository().join("docs/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    for old in pictures_in(&folder) {
        std::fs::remove_file(old).unwrap();
    }
    let mut bytes = 0;
    for picture in pictures_in(made.path()) {
        bytes += std::fs::copy(&picture, folder.join(picture.file_name().unwrap())).unwrap();
    }
    println!("{} pictures, {} kB", pictures_in(&folder).len(), bytes / 1000);
    assert!(bytes <= BYTES_MAX, "the pictures have {bytes} bytes, more than {BYTES_MAX}");
}
