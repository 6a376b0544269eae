//! No file of `src/` imports, straight or over others, a file that imports it.
//!
//! An import is a path in the code, in a `use` or in a body: it leads from the file that it stands in to the file that defines the
//! name, also where others hand the name on (`pub use`). Handing a name on is no import. What a macro makes counts as defined where the
//! macro is called. Comments, texts and tests are left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{files, is_test, program};

/// What a file says, as far as imports go.
#[derive(Default)]
struct Source {
    path: PathBuf,
    /// The modules within it, with a file of their own or without.
    modules: BTreeSet<String>,
    /// What it defines.
    defines: BTreeSet<String>,
    /// The names that its `use` lines bring, with their paths.
    brings: BTreeMap<String, Vec<String>>,
    /// The names that it brings for others and does not use.
    hands_on: BTreeSet<String>,
    /// The modules of which it brings all.
    all_of: Vec<Vec<String>>,
    /// The paths in it that are not in a `use`.
    paths: BTreeSet<Vec<String>>,
}

/// The words and signs of a program, without texts, characters and comments. `::` is one sign.
fn tokens(program: &str) -> Vec<String> {
    let chars: Vec<char> = program.chars().collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let at = |nth: usize| chars.get(nth).copied().unwrap_or('\0');
    let (mut found, mut here) = (Vec::new(), 0);
    while here < chars.len() {
        let c = at(here);
        if is_word(c) {
            let end = (here..).find(|nth| !is_word(at(*nth))).unwrap();
            let word: String = chars[here..end].iter().collect();
            let hashes = (end..).take_while(|nth| at(*nth) == '#').count();
            if matches!(word.as_str(), "r" | "br" | "cr") && at(end + hashes) == '"' {
                let close: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let rest: String = chars[end + hashes + 1..].iter().collect();
                let text = rest.split(&close).next().unwrap_or_default().chars().count();
                here = end + hashes + 1 + text + close.len();
            } else {
                found.push(word);
                here = end;
            }
        } else if c == '"' {
            here += 1;
            while here < chars.len() && at(here) != '"' {
                here += if at(here) == '\\' { 2 } else { 1 };
            }
            here += 1;
        } else if c == '\'' {
            // A character, or a lifetime, which has no second stroke.
            here += if at(here + 1) == '\\' {
                (here + 3..).find(|nth| at(*nth) == '\'' || *nth >= chars.len()).unwrap() - here + 1
            } else if at(here + 2) == '\'' {
                3
            } else {
                1
            };
        } else if c == '/' && at(here + 1) == '/' {
            here = (here..).find(|nth| at(*nth) == '\n' || *nth >= chars.len()).unwrap();
        } else if c == '/' && at(here + 1) == '*' {
            here = (here..).find(|nth| at(*nth) == '*' && at(nth + 1) == '/' || *nth >= chars.len()).unwrap() + 2;
        } else if c == ':' && at(here + 1) == ':' {
            found.push("::".to_owned());
            here += 2;
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            here += 1;
        }
    }
    found
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Takes a tree of a `use` apart: each path with the name that it brings, `*` for all.
fn tree(
    tokens: &mut std::iter::Peekable<std::slice::Iter<'_, String>>,
    before: &[String],
    found: &mut Vec<(Vec<String>, String)>,
) {
    let mut path = before.to_vec();
    while let Some(token) = tokens.next() {
        match token.as_str() {
            "::" => continue,
            "{" => {
                while tokens.peek().is_some_and(|token| *token != "}") {
                    tree(tokens, &path, found);
                    tokens.next_if(|token| *token == ",");
                }
                tokens.next();
                return;
            }
            "*" => {
                found.push((path, "*".to_owned()));
                return;
            }
            // The module itself, in braces behind its name.
            "self" if path.len() > before.len() || !before.is_empty() => {}
            _ => path.push(token.clone()),
        }
        match tokens.peek().map(|token| token.as_str()) {
            Some("::") => {}
            Some("as") => {
                tokens.next();
                let name = tokens.next().cloned().unwrap_or_default();
                found.push((path, name));
                return;
            }
            _ => {
                let name = path.last().cloned().unwrap_or_default();
                found.push((path, name));
                return;
            }
        }
    }
}

fn source(path: PathBuf, text: &str) -> Source {
    let tokens = tokens(text);
    let mut source = Source { path, ..Source::default() };
    let (mut handed, mut words) = (BTreeSet::new(), BTreeSet::new());
    let at = |nth: usize| tokens.get(nth).map_or("", String::as_str);
    let mut here = 0;
    while here < tokens.len() {
        let before = if here == 0 { "" } else { at(here - 1) };
        match at(here) {
            "use" if before != "." => {
                let end = (here..tokens.len()).find(|nth| at(*nth) == ";").unwrap_or(tokens.len());
                // `+ use<'a>` in a type is none.
                if at(here + 1) != "<" {
                    let is_handed = before == "pub" || before == ")";
                    let mut found = Vec::new();
                    tree(&mut tokens[here + 1..end].iter().peekable(), &[], &mut found);
                    for (path, name) in found {
                        if name == "*" {
                            source.all_of.push(path);
                        } else {
                            if is_handed {
                                handed.insert(name.clone());
                            }
                            source.brings.insert(name, path);
                        }
                    }
                    here = end;
                }
            }
            "mod" if is_name(at(here + 1)) && matches!(at(here + 2), ";" | "{") => {
                source.modules.insert(at(here + 1).to_owned());
                here += 1;
            }
            "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" if is_name(at(here + 1)) => {
                source.defines.insert(at(here + 1).to_owned());
                here += 1;
            }
            "macro_rules" => {
                source.defines.insert(at(here + 2).to_owned());
                here += 2;
            }
            word if is_name(word) => {
                words.insert(word.to_owned());
                if before != "::" && before != "." {
                    let mut path = vec![word.to_owned()];
                    while at(here + 1) == "::" && is_name(at(here + 2)) {
                        path.push(at(here + 2).to_owned());
                        here += 2;
                    }
                    if path.len() > 1 {
                        source.paths.insert(path);
                    }
                }
            }
            _ => {}
        }
        here += 1;
    }
    // `use inner::{self, …}`: the module has its name already.
    let modules = &source.modules;
    source.brings.retain(|name, path| !(modules.contains(name) && matches!(path.as_slice(), [only] if only == name)));
    source.hands_on = handed.into_iter().filter(|name| !words.contains(name)).collect();
    source
}

/// The module that a file is.
fn module(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        path.with_extension("").iter().skip(1).map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") || matches!(parts.as_slice(), [one] if one == "lib") {
        parts.pop();
    }
    parts
}

struct Sources(BTreeMap<Vec<String>, Source>);

enum Named {
    Module(Vec<String>),
    /// What this module's file defines.
    In(Vec<String>),
}

impl Sources {
    /// Those of the crate.
    fn read() -> Self {
        let all = files("src", "rs").into_iter().filter(|path| !is_test(path));
        // `model.rs` is the root of a package that holds two folders of these, and `main.rs` calls the library.
        let all = all.filter(|path| !matches!(path.to_str(), Some("src/model.rs" | "src/main.rs")));
        let mut sources = Self::of(all.map(|path| (program(&path), path)));
        let root: &mut Source = sources.0.get_mut(&Vec::new()).unwrap();
        for part in ["dataset", "domain"] {
            root.brings.remove(part);
            root.modules.insert(part.to_owned());
        }
        sources
    }

    fn of(programs: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        Self(programs.into_iter().map(|(text, path)| (module(&path), source(path, &text))).collect())
    }

    /// What a path leads to that stands in a module; nothing where it leads out of the crate.
    fn lead(&self, module: &[String], path: &[String], depth: usize) -> Option<Named> {
        assert!(depth < 20, "{path:?} in {module:?} leads round");
        let mut module = module.to_vec();
        let mut rest = path;
        let first = rest.first()?;
        match first.as_str() {
            "crate" => (module, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
            }
            _ => {
                let own = &self.0[&module];
                let is_own = own.modules.contains(first)
                    || own.brings.get(first).is_some_and(|path| path.first() != Some(first));
                if !is_own {
                    return None;
                }
            }
        }
        self.look(&module, rest, depth)
    }

    /// What a name in a module, or a path from it, is.
    fn look(&self, module: &[String], path: &[String], depth: usize) -> Option<Named> {
        let Some(source) = self.0.get(module) else {
            // A module without a file of its own.
            return Some(Named::In(module[..module.len() - 1].to_vec()));
        };
        let Some((first, rest)) = path.split_first() else { return Some(Named::Module(module.to_vec())) };
        let is_item = source.defines.contains(first) || source.brings.contains_key(first);
        if source.modules.contains(first) && !(rest.is_empty() && is_item) {
            let inner: Vec<String> = module.iter().chain([first]).cloned().collect();
            return self.look(&inner, rest, depth + 1);
        }
        if let Some(brought) = source.brings.get(first) {
            let whole: Vec<String> = brought.iter().chain(rest).cloned().collect();
            return self.lead(module, &whole, depth + 1);
        }
        if !source.defines.contains(first) {
            for all in &source.all_of {
                if let Some(Named::Module(other)) = self.lead(module, all, depth + 1)
                    && self
                        .0
                        .get(&other)
                        .is_some_and(|other| other.defines.contains(first) || other.brings.contains_key(first))
                {
                    return self.look(&other, path, depth + 1);
                }
            }
        }
        Some(Named::In(module.to_vec()))
    }

    /// Who imports whom, and the names.
    fn imports(&self) -> Imports<'_> {
        let mut imports = Imports::new();
        for (module, source) in &self.0 {
            let brought =
                source.brings.iter().filter(|(name, _)| !source.hands_on.contains(*name)).map(|(_, path)| path);
            for path in brought.chain(&source.all_of).chain(&source.paths) {
                // A module that is brought is an import where something of it is named.
                let Some(Named::In(other)) = self.lead(module, path, 0) else { continue };
                let other = self.0[&other].path.as_path();
                if other != source.path {
                    let names = imports.entry(&source.path).or_default().entry(other).or_default();
                    names.insert(path.last().cloned().unwrap_or_default());
                }
            }
        }
        imports
    }
}

type Imports<'a> = BTreeMap<&'a Path, BTreeMap<&'a Path, BTreeSet<String>>>;

/// All that a file reaches.
fn reached<'a>(imports: &Imports<'a>, from: &'a Path) -> BTreeSet<&'a Path> {
    let (mut found, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(next) = left.pop() {
        for other in imports.get(next).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(*other) {
                left.push(other);
            }
        }
    }
    found
}

/// The circles: files that reach each other, with what ties them.
fn circles(imports: &Imports<'_>) -> Vec<String> {
    let reached: BTreeMap<_, _> = imports.keys().map(|from| (*from, reached(imports, from))).collect();
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for (file, others) in reached.iter().filter(|(file, others)| others.contains(*file)) {
        let circle: BTreeSet<_> =
            others.iter().filter(|other| reached.get(*other).is_some_and(|back| back.contains(file))).collect();
        if !seen.insert(circle.clone()) {
            continue;
        }
        let mut told = format!("{} files:", circle.len());
        for (from, tos) in imports.iter().filter(|(from, _)| circle.contains(from)) {
            for (to, names) in tos.iter().filter(|(to, _)| circle.contains(to)) {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                told += &format!("\n  {} -> {}: {}", from.display(), to.display(), names.join(", "));
            }
        }
        found.push(told);
    }
    found
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = Sources::read();
    let imports = sources.imports();
    let circles = circles(&imports);
    assert!(circles.is_empty(), "{} circles\n{}", circles.len(), circles.join("\n"));
}

/// What the checker makes of a crate of these files: the circles.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let sources = Sources::of(files.iter().map(|(path, text)| ((*text).to_owned(), PathBuf::from(path))));
    circles(&sources.imports())
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let root = ("src/lib.rs", "pub mod a;\npub mod b;");
    let b = ("src/b.rs", "pub struct B;\nimpl B { fn f() { crate::a::f() } }");
    let circle = "2 files:\n  src/a.rs -> src/b.rs: B\n  src/b.rs -> src/a.rs: f";
    let (a, renamed) = ("use super::b::{self, B};\npub fn f() { B }", "use crate::b::B as Bee;\npub fn f() { Bee }");
    for a in [a, renamed, "use crate::b;\npub fn f() { b::B }", "pub fn f() { super::b::B; }"] {
        assert_eq!(circles_of(&[root, ("src/a.rs", a), b]), [circle], "{a}");
    }
    let text = "pub fn f() { /* crate::b::B */ let _ = (\"crate::b::B\", r#\"\"crate::b::B\"#, '\"'); }";
    assert!(circles_of(&[root, ("src/a.rs", text), b]).is_empty(), "in a text and a comment it is no import");
}

#[test]
fn a_child_that_takes_from_its_parent_is_a_circle_only_where_the_parent_takes_from_it() {
    let root = ("src/lib.rs", "mod a;");
    let child = ("src/a/child.rs", "use super::Shared;\npub struct Own(Shared);");
    let takes = "mod child;\npub use self::child::Own;\npub struct Shared;\nfn f() -> Own {}";
    assert_eq!(circles_of(&[root, ("src/a.rs", takes), child]).len(), 1);
    let hands_on = "mod child;\npub use self::child::Own;\npub struct Shared;";
    assert!(circles_of(&[root, ("src/a.rs", hands_on), child]).is_empty());
    // What was moved is found where it is now, also by its old name.
    let moved = "mod child;\nmod shared;\npub use self::{child::Own, shared::Shared};\nfn f() -> Own {}";
    let files = [root, ("src/a.rs", moved), child, ("src/a/shared.rs", "pub struct Shared;")];
    assert!(circles_of(&files).is_empty());
}
