//! The parts that name the other parts: relationships, and the list of sheets.

use std::io::{Read, Seek};

use quick_xml::events::Event;

use super::{
    archive::{Archive, PartKind},
    part::missing,
    part::{attributes, is_true, unescaped},
};
use crate::dataset::reader::{ReadError, SheetName, limits::to_u64};

/// Longer names of sheets, relationships and parts are ignored: the format allows 31 letters for a sheet's name.
const NAME_BYTES_MAX: usize = 1_024;

pub(super) struct Workbook {
    /// Visible sheets first, each in the workbook's order.
    pub(super) sheets: Vec<SheetPlace>,
    pub(super) styles: Option<String>,
    pub(super) strings: Option<String>,
    pub(super) epoch_1904: bool,
}

/// A worksheet and its part.
pub(super) struct SheetPlace {
    pub(super) name: SheetName,
    pub(super) path: String,
}

pub(super) fn read<R: Read + Seek>(archive: &mut Archive<R>) -> Result<Workbook, ReadError> {
    let mut path = "xl/workbook.xml".to_owned();
    for relation in relations(archive, "_rels/.rels", "")? {
        if relation.kind == Target::Workbook {
            path = relation.path;
        }
    }
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
    let beside = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let (listed, epoch_1904) = list(archive, &path)?;
    let relations = relations(archive, &format!("{beside}_rels/{file}.rels"), folder)?;
    let one = |kind: Target| relations.iter().find(|relation| relation.kind == kind).map(|found| found.path.clone());
    let mut sheets = Vec::new();
    let sheets_max = archive.limits().sheets_max;
    for hidden in [false, true] {
        for sheet in listed.iter().filter(|sheet| sheet.name.hidden == hidden) {
            let related = |relation: &&Relation| relation.id == sheet.id && relation.kind == Target::Sheet;
            let Some(relation) = relations.iter().find(related) else { continue };
            if sheets.len() < sheets_max {
                sheets.push(SheetPlace { name: sheet.name.clone(), path: relation.path.clone() });
            }
        }
    }
    if sheets.is_empty() {
        return Err(ReadError::NotASpreadsheet { found: "is a workbook without a worksheet".into() });
    }
    Ok(Workbook { sheets, styles: one(Target::Styles), strings: one(Target::Strings), epoch_1904 })
}

struct ListedSheet {
    name: SheetName,
    id: String,
}

/// The sheets that the workbook lists, and the epoch of its days.
fn list<R: Read + Seek>(archive: &mut Archive<R>, path: &str) -> Result<(Vec<ListedSheet>, bool), ReadError> {
    let parts_max = archive.limits().parts_max;
    let mut part = archive.part_of(path, PartKind::Other)?.ok_or_else(|| missing(path))?;
    let (mut listed, mut epoch_1904) = (Vec::new(), false);
    loop {
        match part.next()? {
            Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                "sheet" => {
                    let (mut name, mut id, mut hidden) = (String::new(), String::new(), false);
                    for (key, value) in attributes(&tag).filter(|(_, value)| value.len() <= NAME_BYTES_MAX) {
                        match key {
                            "name" => name = unescaped(value),
                            "id" => id = unescaped(value),
                            "state" => hidden = matches!(value, "hidden" | "veryHidden"),
                            _ => {}
                        }
                    }
                    listed.push(ListedSheet { name: SheetName { name, hidden }, id });
                    if listed.len() > parts_max {
                        return Err(ReadError::TooMany { what: "sheets", max: to_u64(parts_max) });
                    }
                }
                "workbookPr" => {
                    epoch_1904 = attributes(&tag).any(|(key, value)| key == "date1904" && is_true(value));
                }
                _ => {}
            },
            Event::Eof => return Ok((listed, epoch_1904)),
            _ => {}
        }
    }
}

/// The target of a relationship.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Workbook,
    Sheet,
    Styles,
    Strings,
}

struct Relation {
    id: String,
    kind: Target,
    path: String,
}

/// The relevant relationships of a part. A part may have no list of them.
fn relations<R: Read + Seek>(archive: &mut Archive<R>, path: &str, folder: &str) -> Result<Vec<Relation>, ReadError> {
    let parts_max = archive.limits().parts_max;
    let Some(mut part) = archive.part_of(path, PartKind::Other)? else { return Ok(Vec::new()) };
    let mut relations = Vec::new();
    loop {
        match part.next()? {
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == "Relationship" => {
                let (mut id, mut kind, mut target) = (String::new(), None, String::new());
                for (key, value) in attributes(&tag).filter(|(_, value)| value.len() <= NAME_BYTES_MAX) {
                    match key {
                        "Id" => id = unescaped(value),
                        "Type" => kind = target_of(value),
                        "Target" => target = unescaped(value),
                        _ => {}
                    }
                }
                if let Some(kind) = kind {
                    relations.push(Relation { id, kind, path: resolved(folder, &target) });
                }
                if relations.len() > parts_max {
                    return Err(ReadError::TooMany { what: "relationships", max: to_u64(parts_max) });
                }
            }
            Event::Eof => return Ok(relations),
            _ => {}
        }
    }
}

/// The kind of a relationship, from the last word of its type: the words before it are two equivalent namespaces.
fn target_of(kind: &str) -> Option<Target> {
    match kind.rsplit('/').next()? {
        "officeDocument" => Some(Target::Workbook),
        "worksheet" => Some(Target::Sheet),
        "styles" => Some(Target::Styles),
        "sharedStrings" => Some(Target::Strings),
        _ => None,
    }
}

/// The name of a part, from a path relative to a folder, or an absolute one with a leading slash.
fn resolved(folder: &str, target: &str) -> String {
    let target = target.replace('\\', "/");
    let mut steps: Vec<&str> = if target.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            name => steps.push(name),
        }
    }
    steps.retain(|step| !step.is_empty());
    steps.join("/")
}

#[cfg(test)]
mod tests {
    use super::resolved;

    #[test]
    fn parts_by_relative_and_absolute_paths() {
        for (folder, target, path) in [
            ("xl", "worksheets/sheet1.xml", "xl/worksheets/sheet1.xml"),
            ("xl", "/xl/worksheets/sheet1.xml", "xl/worksheets/sheet1.xml"),
            ("xl", "../data/one.xml", "data/one.xml"),
            ("", "xl/workbook.xml", "xl/workbook.xml"),
            ("xl", "worksheets\\sheet1.xml", "xl/worksheets/sheet1.xml"),
            ("xl", "../../../etc/passwd", "etc/passwd"),
        ] {
            assert_eq!(resolved(folder, target), path);
        }
    }
}
