//! The curl line that calls an operation, ready to copy, with blanks for the reader to fill in.

use serde::Serialize;
use serde_json::Value;

use crate::http::pages::docs::{reference::schemas::list_of, subject::encoded};

/// A part of the line.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct LinePart {
    text: String,
    /// Whether the reader replaces it.
    is_blank: bool,
}

/// A blank for the reader to fill in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Blank {
    /// Its name in the line.
    pub(super) name: String,
    /// The kind of credential that it stands for: `key`, `session` or `token`; none for another blank.
    pub(super) proof: Option<&'static str>,
    /// The meaning of another blank; Markdown.
    pub(super) meaning: String,
}

/// A request, as the document describes it.
#[derive(Debug)]
pub(super) struct Call<'d> {
    /// The address of the server.
    pub(super) public_url: &'d str,
    /// In capitals.
    pub(super) method: &'d str,
    /// With parameter names in braces.
    pub(super) path: &'d str,
    /// Its parameters, with references resolved.
    pub(super) parameters: &'d [&'d Value],
    /// The ways to authenticate, by their names in the document.
    pub(super) ways: &'d [&'d str],
    /// The media type of the body, and an example of it.
    pub(super) body: Option<(&'d str, &'d Value)>,
}

/// The credentials that a line can bring, the best first: the way's name, the header, the blank, and the kind.
const PROOFS: [(&str, &str, &str, &str); 3] = [
    ("apiKey", "x-api-key: ", "$KEY", "key"),
    ("adminToken", "authorization: Bearer ", "$ADMIN_TOKEN", "token"),
    ("session", "authorization: Bearer ", "$SESSION", "session"),
];

#[derive(Default)]
struct CurlWriter {
    parts: Vec<LinePart>,
    blanks: Vec<Blank>,
}

impl CurlWriter {
    fn text(&mut self, text: &str) {
        match self.parts.last_mut().filter(|last| !last.is_blank) {
            Some(last) => last.text.push_str(text),
            None => self.parts.push(LinePart { text: text.to_owned(), is_blank: false }),
        }
    }

    fn blank(&mut self, name: &str, proof: Option<&'static str>, meaning: &str) {
        self.parts.push(LinePart { text: name.to_owned(), is_blank: true });
        self.blanks.push(Blank { name: name.to_owned(), proof, meaning: meaning.to_owned() });
    }
}

/// The line, and its blanks.
pub(super) fn line(call: &Call<'_>) -> (Vec<LinePart>, Vec<Blank>) {
    let mut writing = CurlWriter::default();
    writing.text("curl ");
    let is_implied = call.method == "GET" || (call.method == "POST" && call.body.is_some());
    if !is_implied {
        writing.text(&format!("-X {} ", call.method));
    }
    if let Some((_, header, name, proof)) = PROOFS.iter().find(|(way, ..)| call.ways.contains(way)) {
        writing.text(&format!("-H \"{header}"));
        writing.blank(name, Some(proof), "");
        writing.text("\" ");
    }
    address(call, &mut writing);
    body(call, &mut writing);
    (writing.parts, writing.blanks)
}

fn member<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The address, with the parameters of the path and the required ones of the query.
fn address(call: &Call<'_>, writing: &mut CurlWriter) {
    writing.text(&format!("\"{}", call.public_url));
    let mut rest = call.path;
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, within)| Some((before, within.split_once('}')?)))
    {
        writing.text(before);
        let described = call.parameters.iter().find(|one| member(one, "in") == "path" && member(one, "name") == name);
        // A record's key gets a name other than the API key's.
        let blank = if name == "key" { "$RECORD_KEY".to_owned() } else { format!("${}", name.to_uppercase()) };
        writing.blank(&blank, None, described.map_or("", |one| member(one, "description")));
        rest = after;
    }
    writing.text(rest);
    let needed = call.parameters.iter().filter(|one| member(one, "in") == "query");
    let needed = needed.filter(|one| one.get("required").is_some_and(|required| *required == true));
    for (place, parameter) in needed.enumerate() {
        let schema = parameter.get("schema").unwrap_or(&Value::Null);
        let schema = schema.get("items").unwrap_or(schema);
        let known = schema.pointer("/examples/0").or_else(|| list_of(schema, "enum").next());
        writing.text(&format!("{}{}=", if place == 0 { "?" } else { "&" }, member(parameter, "name")));
        match known.map(|known| known.as_str().map_or_else(|| known.to_string(), ToOwned::to_owned)) {
            Some(known) => writing.text(&encoded(&known)),
            None => {
                let name = format!("${}", member(parameter, "name").to_uppercase());
                writing.blank(&name, None, member(parameter, "description"));
            }
        }
    }
    writing.text("\"");
}

fn body(call: &Call<'_>, writing: &mut CurlWriter) {
    let Some((media_type, example)) = call.body else { return };
    if media_type.ends_with("json") {
        let text = serde_json::to_string_pretty(example).unwrap_or_default();
        writing.text(&format!(" \\\n  -H 'content-type: {media_type}' -d {}", quoted(&text)));
        return;
    }
    match example.as_str() {
        Some(text) if media_type.starts_with("text/") => {
            writing.text(&format!(" \\\n  -H 'content-type: {media_type}' --data-binary {}", quoted(text)));
        }
        _ => {
            writing.text(&format!(" \\\n  -H 'content-type: {media_type}' --data-binary \"@"));
            writing.blank("$FILE", None, "");
            writing.text("\"");
        }
    }
}

/// A text quoted for shells.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(call: &Call<'_>) -> (String, Vec<String>) {
        let (parts, blanks) = line(call);
        let own: Vec<&str> = parts.iter().filter(|part| part.is_blank).map(|part| part.text.as_str()).collect();
        let names: Vec<String> = blanks.into_iter().map(|blank| blank.name).collect();
        assert_eq!(own, names);
        (parts.iter().map(|part| part.text.as_str()).collect(), names)
    }

    #[test]
    fn a_line_has_what_is_needed_and_places_for_what_is_not_known() {
        let key = json!({ "name": "key", "in": "path", "required": true, "description": "The tag." });
        let columns = json!({ "name": "columns", "in": "query", "required": true, "schema": { "type": "array", "items": { "enum": ["a b"] } } });
        let other = json!({ "name": "limit", "in": "query" });
        let dataset = json!({ "name": "dataset", "in": "query", "required": true, "schema": { "type": "string" } });
        let call = Call {
            public_url: "https://x.example/api",
            method: "GET",
            path: "/trees/{key}/history",
            parameters: &[&key, &columns, &other, &dataset],
            ways: &["session", "apiKey"],
            body: None,
        };
        let (text, blanks) = written(&call);
        assert_eq!(
            text,
            "curl -H \"x-api-key: $KEY\" \"https://x.example/api/trees/$RECORD_KEY/history?columns=a%20b&dataset=$DATASET\""
        );
        assert_eq!(blanks, ["$KEY", "$RECORD_KEY", "$DATASET"]);
    }

    #[test]
    fn a_body_is_one_word_of_the_shell() {
        let example = json!({ "name": "o'clock $HOME" });
        let call = Call {
            public_url: "https://x.example",
            method: "POST",
            path: "/users",
            parameters: &[],
            ways: &["adminToken"],
            body: Some(("application/json", &example)),
        };
        let (text, _) = written(&call);
        assert!(
            text.starts_with("curl -H \"authorization: Bearer $ADMIN_TOKEN\" \"https://x.example/users\" \\\n"),
            "{text}"
        );
        assert!(text.ends_with("-d '{\n  \"name\": \"o'\\''clock $HOME\"\n}'"), "{text}");
        let file = Call { body: Some(("application/octet-stream", &example)), method: "PUT", ways: &[], ..call };
        let (text, blanks) = written(&file);
        assert!(text.starts_with("curl -X PUT \"https") && text.ends_with("--data-binary \"@$FILE\""), "{text}");
        assert_eq!(blanks, ["$FILE"]);
    }
}
