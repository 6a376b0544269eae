//! The schemas of a document as tables. A named object stands on the page once, and every mention links to it: so an object that holds
//! itself ends, too.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::pages::docs::prose::Home;

/// How deep nested schemas are followed.
const DEPTH_MAX: usize = 8;
/// The beginning of references to schemas.
const SCHEMAS: &str = "#/components/schemas/";

/// A part of the description of a type.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Piece {
    /// Words of JSON Schema, or the name of an object.
    text: String,
    /// Whether it is an object with a table on the page.
    is_object: bool,
}

/// The values that a schema allows.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Allowed {
    /// Their type.
    pieces: Vec<Piece>,
    /// The allowed words, if it lists some.
    words: Vec<String>,
    /// Their limits.
    bounds: Vec<String>,
    /// The default, if there is one.
    default: Option<String>,
}

/// A member of an object, or of an object within it.
#[derive(Debug, Serialize)]
pub(super) struct Member {
    /// Its name, after those of the objects around it: `a.b`, `a[].b` in a list, `a.*.b` under any name.
    name: String,
    is_required: bool,
    allowed: Allowed,
    /// HTML.
    meaning: String,
}

/// A named object.
#[derive(Debug, Serialize)]
pub(super) struct NamedObject {
    name: String,
    /// HTML.
    meaning: String,
    allowed: Allowed,
    members: Vec<Member>,
}

/// The schemas of a document, and the names of the objects that a page mentions.
pub(super) struct Schemas<'d> {
    document: &'d Value,
    home: Home<'d>,
    named: Vec<String>,
}

impl<'d> Schemas<'d> {
    pub(super) fn of(document: &'d Value, home: Home<'d>) -> Self {
        Self { document, home, named: Vec::new() }
    }

    /// The component that a schema refers to, and its name.
    fn referred(&self, schema: &Value) -> Option<(&'d str, &'d Value)> {
        let name = schema.get("$ref")?.as_str()?.strip_prefix(SCHEMAS)?;
        let schemas = self.document.pointer("/components/schemas")?.as_object()?;
        schemas.get_key_value(name).map(|(name, schema)| (name.as_str(), schema))
    }

    /// Whether a schema has members, at any depth.
    fn has_members(&self, schema: &Value, depth: usize) -> bool {
        let referred = self.referred(schema).map(|(_, target)| target);
        let is_object = schema.get("properties").and_then(Value::as_object).is_some_and(|own| !own.is_empty());
        is_object
            || depth > DEPTH_MAX
            || referred
                .into_iter()
                .chain(within(schema).map(|(_, part)| part))
                .any(|part| self.has_members(part, depth + 1))
    }

    /// The values that this schema allows.
    pub(super) fn allowed(&mut self, schema: &Value) -> Allowed {
        let mut allowed = Allowed::default();
        self.add(schema, 0, &mut allowed);
        allowed
    }

    fn add(&mut self, schema: &Value, depth: usize, to: &mut Allowed) {
        if depth > DEPTH_MAX {
            return to.say("any");
        }
        let default = schema.get("default").filter(|default| !default.is_null());
        to.default = to.default.take().or(default.map(written));
        if let Some((name, target)) = self.referred(schema) {
            if self.has_members(target, 0) {
                if !self.named.iter().any(|known| known == name) {
                    self.named.push(name.to_owned());
                }
                return to.pieces.push(Piece { text: name.to_owned(), is_object: true });
            }
            return self.add(target, depth + 1, to);
        }
        for (list, between) in [("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")] {
            for (place, choice) in list_of(schema, list).enumerate() {
                if place > 0 {
                    to.say(between);
                }
                self.add(choice, depth + 1, to);
            }
        }
        let format = schema.get("format").and_then(Value::as_str);
        for (place, kind) in types(schema).enumerate() {
            if place > 0 {
                to.say(" or ");
            }
            match (kind, schema.get("items"), schema.get("additionalProperties")) {
                ("array", Some(items), _) => {
                    to.say("array of ");
                    self.add(items, depth + 1, to);
                }
                ("object", _, Some(values @ Value::Object(_))) => {
                    to.say("object of ");
                    self.add(values, depth + 1, to);
                }
                ("null", ..) => to.say("null"),
                (kind, ..) => {
                    to.say(kind);
                    format.into_iter().for_each(|format| to.say(&format!(" ({format})")));
                }
            }
        }
        let words = list_of(schema, "enum").chain(schema.get("const")).filter(|word| !word.is_null());
        to.words.extend(words.map(written));
        to.bounds.extend(bounds(schema));
        if to.pieces.is_empty() && to.words.is_empty() {
            to.say("any");
        }
    }

    /// The description of a schema, and of the schema that it refers to where the page has no table of that; HTML.
    pub(super) fn meaning(&self, schema: &Value) -> String {
        let mut said: Vec<&str> = Vec::new();
        let mut looked_at = vec![schema];
        // A choice between a type and null is described by the type.
        looked_at.extend(list_of(schema, "anyOf"));
        for mut one in looked_at {
            for _ in 0..DEPTH_MAX {
                let own = one.get("description").and_then(Value::as_str);
                said.extend(own.filter(|own| !said.contains(own)));
                match self.referred(one) {
                    Some((_, target)) if !self.has_members(target, 0) => one = target,
                    _ => break,
                }
            }
        }
        self.home.html(&said.join("\n\n"))
    }

    /// The members of an object, direct and nested. Those of named objects are in these objects' tables.
    pub(super) fn members(&mut self, schema: &Value) -> Vec<Member> {
        let mut members = Vec::new();
        let mut top = schema;
        for _ in 0..DEPTH_MAX {
            match self.referred(top) {
                Some((_, target)) => top = target,
                None => break,
            }
        }
        self.add_members(top, "", 0, &mut members);
        members
    }

    fn add_members(&mut self, schema: &Value, above: &str, depth: usize, to: &mut Vec<Member>) {
        if depth > DEPTH_MAX {
            return;
        }
        let required: Vec<&str> = list_of(schema, "required").filter_map(Value::as_str).collect();
        for (name, own) in schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter) {
            let full = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
            to.push(Member {
                name: full.clone(),
                is_required: required.contains(&name.as_str()),
                allowed: self.allowed(own),
                meaning: self.meaning(own),
            });
            self.add_members(own, &full, depth + 1, to);
        }
        for (mark, part) in within(schema) {
            let below = if mark == ".*" && above.is_empty() { "*".to_owned() } else { format!("{above}{mark}") };
            self.add_members(part, &below, depth + 1, to);
        }
    }

    /// The named objects mentioned so far, and those that they mention.
    pub(super) fn objects(&mut self) -> Vec<NamedObject> {
        let mut objects = Vec::new();
        while let Some(name) = self.named.get(objects.len()).cloned() {
            let pointer = format!("/components/schemas/{}", name.replace('~', "~0").replace('/', "~1"));
            let schema = self.document.pointer(&pointer).unwrap_or(&Value::Null);
            let members = self.members(schema);
            // The table of an object with members says all.
            let allowed = if members.is_empty() { self.allowed(schema) } else { Allowed::default() };
            objects.push(NamedObject { name, meaning: self.meaning(schema), allowed, members });
        }
        objects
    }
}

impl Allowed {
    /// Appends to the last words.
    fn say(&mut self, words: &str) {
        match self.pieces.last_mut().filter(|last| !last.is_object) {
            Some(last) => last.text.push_str(words),
            None => self.pieces.push(Piece { text: words.to_owned(), is_object: false }),
        }
    }
}

/// The schemas inside a schema other than its members, each with its mark in the path.
fn within(schema: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    let choices = ["anyOf", "oneOf", "allOf"].into_iter().flat_map(|list| list_of(schema, list));
    let items = schema.get("items").map(|items| ("[]", items));
    let values = schema.get("additionalProperties").filter(|values| values.is_object()).map(|values| (".*", values));
    choices.map(|choice| ("", choice)).chain(items).chain(values)
}

/// The items of the list under that name.
pub(super) fn list_of<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The types of a schema.
fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let one = schema.get("type").and_then(Value::as_str);
    one.into_iter().chain(list_of(schema, "type").filter_map(Value::as_str))
}

/// A value as people read it: texts without quotes.
fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The limits that a schema sets for its values.
fn bounds(schema: &Value) -> Vec<String> {
    let number = |name: &str| schema.get(name).filter(|bound| bound.is_number());
    let between = |least: &str, most: &str, unit: &str| match (number(least), number(most)) {
        (Some(least), Some(most)) if least == most => Some(format!("{least}{unit}")),
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("≥ {least}{unit}")),
        (None, Some(most)) => Some(format!("≤ {most}{unit}")),
        (None, None) => None,
    };
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let is_set = schema.get("uniqueItems").is_some_and(|unique| *unique == true);
    [
        between("minimum", "maximum", ""),
        number("exclusiveMinimum").map(|least| format!("> {least}")),
        number("exclusiveMaximum").map(|most| format!("< {most}")),
        number("multipleOf").map(|step| format!("a multiple of {step}")),
        between("minLength", "maxLength", " characters"),
        between("minItems", "maxItems", " items"),
        is_set.then(|| "no two alike".to_owned()),
        between("minProperties", "maxProperties", " members").filter(|said| said != "≥ 0 members"),
        pattern.map(|pattern| format!("matches {pattern}")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOME: Home<'_> = Home { public_url: "https://x.example", prefix: "" };

    fn document(schemas: &Value) -> Value {
        json!({ "components": { "schemas": schemas } })
    }

    fn refer(name: &str) -> Value {
        json!({ "$ref": format!("{SCHEMAS}{name}") })
    }

    fn said(allowed: &Allowed) -> String {
        allowed.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    #[test]
    fn a_type_is_said_in_words() {
        let document = document(&json!({
            "Id": { "type": "string", "format": "uuid", "description": "Who." },
            "Person": { "type": "object", "properties": { "id": refer("Id") } },
        }));
        let mut schemas = Schemas::of(&document, HOME);
        for (schema, words) in [
            (json!({ "type": "string" }), "string"),
            (json!({ "type": ["integer", "null"], "format": "int64" }), "integer (int64) or null"),
            (json!({ "type": "array", "items": refer("Person") }), "array of Person"),
            (json!({ "anyOf": [refer("Id"), { "type": "null" }] }), "string (uuid) or null"),
            (json!({ "type": "object", "additionalProperties": { "type": "integer" } }), "object of integer"),
            (json!({ "description": "Whatever." }), "any"),
        ] {
            assert_eq!(said(&schemas.allowed(&schema)), words, "{schema}");
        }
        let allowed = schemas.allowed(&json!({ "type": "array", "minItems": 2, "maxItems": 2, "items":
            { "type": ["string", "null"], "enum": ["a", "b", null], "default": "b", "minLength": 1 } }));
        assert_eq!((allowed.words.join(" "), allowed.default.as_deref()), ("a b".to_owned(), Some("b")));
        assert_eq!(allowed.bounds, ["≥ 1 characters", "2 items"]);
        assert_eq!(
            schemas.meaning(&json!({ "$ref": refer("Id")["$ref"], "description": "Its owner." })),
            "<p>Its owner.</p>\n<p>Who.</p>\n"
        );
    }

    #[test]
    fn objects_that_hold_each_other_stand_on_a_page_once() {
        let document = document(&json!({
            "Tree": { "type": "object", "properties": { "name": { "type": "string" }, "below": { "type": "array", "items": refer("Tree") } } },
            "Forest": { "type": "object", "properties": { "trees": { "type": "object", "additionalProperties": refer("Tree") } } },
            "Alias": refer("Forest"),
            "Loop": refer("Loop"),
        }));
        let mut schemas = Schemas::of(&document, HOME);
        schemas.allowed(&refer("Alias"));
        schemas.allowed(&refer("Loop"));
        let objects = schemas.objects();
        let names: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["Alias", "Loop", "Tree"]);
        assert_eq!(objects[2].members.len(), 2);
    }

    #[test]
    fn members_of_objects_without_a_name_stand_below_their_own() {
        let document = document(&json!({ "Kept": { "type": "object", "properties": { "x": { "type": "string" } } } }));
        let inner = json!({ "type": "object", "required": ["b"], "properties": { "b": { "type": "integer" } } });
        let schema = json!({ "type": "object", "properties": {
            "a": { "type": "array", "items": inner }, "m": { "type": "object", "additionalProperties": inner },
            "n": { "anyOf": [inner, { "type": "null" }] }, "k": refer("Kept"),
        } });
        let members = Schemas::of(&document, HOME).members(&schema);
        let names: Vec<(&str, bool)> = members.iter().map(|one| (one.name.as_str(), one.is_required)).collect();
        assert_eq!(
            names,
            [("a", false), ("a[].b", true), ("m", false), ("m.*.b", true), ("n", false), ("n.b", true), ("k", false)]
        );
    }
}
