//! The pictures of the documentation: `make screenshots`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Server,
    look::{Look, Scheme},
    page::Browser,
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

/// Add a state here, and `make screenshots` makes its pictures.
const STATES: [Pictured; 3] = [
    Pictured {
        name: "home",
        reach: |browser, server| {
            browser.go(server.told("url"));
            browser.sees("San Francisco building permits");
        },
    },
    Pictured {
        name: "problems",
        reach: |browser, server| {
            browser.go(&format!("{}/problems", server.told("url")));
            browser.sees("How this server says no");
        },
    },
    Pictured {
        name: "admin-people",
        reach: |browser, server| {
            browser.go(server.told("sign_in_url"));
            browser.sees("Nobody has been invited yet.");
        },
    },
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

#[test]
#[ignore = "writes the pictures of the documentation: `make screenshots`"]
fn screenshots() {
    let server = Server::start();
    let Some(mut browser) = Browser::open(server.told("url")) else { return };
    // The page of administrators of today asks for all that it shows.
    browser.expect(super::guard::Kind::Requests, "Fetch GET");
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
