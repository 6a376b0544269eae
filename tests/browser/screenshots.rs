//! The pictures of the documentation: `make screenshots`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use futures_util::FutureExt;
use serde_json::json;

use super::{
    look::{Look, Scheme},
    page::Browser,
    server::{Server, Table},
    stories::entering::sign_in,
    support,
};

/// Highest picture, CSS pixels.
const HEIGHT_MAX: f64 = 1_600.0;
/// Height of the window: a page that is shorter has a picture of this height. CSS pixels.
const HEIGHT_MIN: u32 = 480;
/// CSS pixels.
const WIDTHS: [u32; 2] = [360, 1280];
/// Most that all pictures may have together, bytes.
const BYTES_MAX: u64 = 5_000_000;
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

/// A state that a link of the page before shows.
macro_rules! behind {
    ($name:literal, $link:literal, $seen:literal) => {
        Pictured {
            name: $name,
            reach: |browser, _| {
                browser.follow($link);
                browser.sees($seen);
            },
        }
    };
}

/// Add a state here, and `make screenshots` makes its pictures. First those that anybody sees, then those of somebody who has signed in,
/// then those of the administration.
const STATES: &[Pictured] = &[
    at!("front", "/", "San Francisco building permits"),
    at!("about", "/permits/about", "San Francisco building permits"),
    at!("no-key", "/permits", "You need a key"),
    at!("problems", "/problems", "How this server says no"),
    at!("docs", "/docs", "Guide for programs"),
    at!("docs-reference", "/docs/reference/permits_facets", "Count the values of columns"),
    Pictured {
        name: "link",
        reach: |browser, server| {
            let mailed = server.link("ben@example.org").now_or_never();
            browser.go(&mailed.unwrap());
            browser.sees("Welcome");
        },
    },
    at!("sign-in", "/sign-in", "E-mail address"),
    at!("forgotten", "/sign-in/forgotten", "E-mail address"),
    Pictured {
        name: "home",
        reach: |browser, server| {
            browser.go(&format!("{}/sign-in", server.told("url")));
            sign_in(browser, "ana@example.org");
            browser.sees("Hello, Ana Ito");
        },
    },
    Pictured {
        name: "home-key",
        reach: |browser, _| {
            browser.follow("New key");
            browser.fill("Name (optional)", "Laptop");
            browser.follow("Make the key");
            browser.sees("Your new key");
        },
    },
    at!("home-use", "/home/use", "how requests were answered"),
    at!("home-examples", "/home/examples", "curl"),
    at!("home-security", "/home/security", "Password"),
    behind!("home-second-factor", "Set up a second factor", "Turn it on"),
    at!("explore", "/permits/explore?status=issued&sort=-estimated_cost", "Download"),
    at!("explore-values", "/permits/explore?values-of=status", "issued"),
    at!("explore-chart", "/permits/explore?chart-of=estimated_cost", "Chart"),
    at!("explore-wrong", "/permits/explore?estimated_cost__gte=much", "much"),
    Pictured {
        name: "record",
        reach: |browser, server| {
            browser.go(&format!("{}/permits/explore?sort=application_number", server.told("url")));
            browser.loads(|browser| browser.click_on("tbody tr:first-child th a"));
            browser.sees("History");
        },
    },
    Pictured {
        name: "admin",
        reach: |browser, server| {
            browser.follow("Sign out");
            browser.go(server.told("sign_in_url"));
            browser.sees("Administration");
        },
    },
    at!("admin-people", "/admin/people", "Ana Ito"),
    behind!("admin-person", "Ana Ito", "ana@example.org"),
    at!("admin-invite", "/admin/people/invite", "Invite"),
    at!("admin-plans", "/admin/plans", "default"),
    at!("admin-plan", "/admin/plans/default", "default"),
    at!("admin-tokens", "/admin/tokens", "token"),
    at!("admin-imports", "/admin/imports", "Send a file"),
    behind!("admin-import-held", "half.csv", "would be removed"),
    Pictured {
        name: "admin-import-done",
        reach: |browser, server| {
            browser.go(&format!("{}/admin/imports", server.told("url")));
            browser.follow("trees.csv");
            browser.sees("The file was imported");
        },
    },
    Pictured {
        name: "admin-sent-file",
        reach: |browser, server| {
            browser.go(&format!("{}/admin/imports", server.told("url")));
            browser.choose("For which data set", "A new data set");
            browser.choose_file(
                "File",
                &server
                    .file("lamps.csv", "Lamp,Street,Watts,Since\nL1,Bay St,35,2019-04-02\nL2,Oak St,70,2021-11-30\n"),
            );
            browser.follow("Look at the file");
            browser.sees("The definition of the new data set");
        },
    },
    at!("admin-data", "/admin/data", "trees"),
    at!("admin-data-set", "/admin/data/trees", "Trees"),
    at!("admin-mail", "/admin/mail", "Mail"),
    at!("admin-undone", "/admin/undone", "Failed tasks"),
    at!("admin-events", "/admin/events", "Ana Ito"),
    at!("admin-health", "/admin/health", "Where things are kept"),
];

const TREES: &str = r#"
name = "trees"
title = "Trees"
record_id = "record_id"
[about]
description = "Trees in the streets of the city."
publisher = "Parks department"
frequency = "weekly"
public = true
[key]
column = "number"
[[column]]
name = "number"
headers = ["Number"]
[[column]]
name = "record_id"
type = "integer"
import = true
[[column]]
name = "species"
headers = ["Species"]
[[column]]
name = "height_m"
type = "integer"
headers = ["Height"]
"#;

fn trees(count: usize) -> String {
    let species = ["Oak", "Lime", "Maple", "Plane"];
    let rows = (1..=count).map(|nth| format!("T{nth},{},{}\n", species[nth % species.len()], 3 + nth * 7 % 23));
    format!("Number,Species,Height\n{}", rows.collect::<String>())
}

/// A server to which things have happened.
async fn arranged() -> Server {
    let server = Server::with(&[Table { definition: TREES, file: &trees(100) }], &[]);
    let mut sample = support::permitd();
    sample.current_dir(server.folder.path()).args(["sample", "--rows", "2000", "-o", "january.csv"]);
    assert!(sample.output().unwrap().status.success());
    server
        .import_as(
            "january.csv",
            "permits",
            &std::fs::read_to_string(server.folder.path().join("january.csv")).unwrap(),
        )
        .await;
    server.import_as("trees.csv", "trees", &(trees(110) + "T999,Oak,tall\n")).await;
    server.import_as("half.csv", "trees", &trees(50)).await;
    let ana = server.member(&json!({ "email": "ana@example.org", "name": "Ana Ito" })).await;
    for (email, name) in [("ben@example.org", "Ben Okafor"), ("eva@example.org", "Eva Lindqvist")] {
        server.invite(&json!({ "email": email, "name": name })).await;
    }
    server.link("ben@example.org").await;
    let key = server.key_of(&ana).await;
    for nth in 0..9 {
        // Some are wrong.
        server.status(if nth % 4 == 3 { "/permits?colour=red" } else { "/permits?limit=1" }, &key).await;
    }
    server
}

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
    let server = arranged().await;
    let Some(mut browser) = Browser::open(server.told("url")) else { return };
    browser.expect(super::guard::Kind::Failed, "401 GET");
    browser.expect(super::guard::Kind::Failed, "400 GET");
    // Made aside: the old ones stay where a state is not reached.
    let made = support::data_dir();
    for Pictured { name, reach } in STATES {
        reach(&mut browser, &server);
        browser.picture_all(made.path(), name);
    }
    browser.close();
    let quantised = Command::new(QUANTISER)
        .args(["--ext=.png", "--force", "--skip-if-larger", "--strip", "--speed=1", "48", "--"])
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
