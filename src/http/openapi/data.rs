//! The paths, parameters and records of the data sets, from their definitions.

use actix_web::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    answer::{AnswerDoc, HeaderDoc},
    caller::Caller,
    operation::{Operation, Paths},
    parameter::{self, in_path, in_query, shared},
    schema::{closed, described, flag, integer, list, moment, nullable, one_of, reference, text, whole},
};
use crate::{
    dataset::{
        Column, ColumnType, Definition, RecordIdRule,
        query::{AS_OF, Format, QueryLimits},
    },
    http::{
        DataRoute,
        ProblemCode::{InvalidParameters, NotFound, VersionGone},
        routes::data::data_sets::NUMBERS_AS_TEXTS,
    },
};

/// The schema of a file that is no text.
fn file(description: &str) -> Value {
    described(json!({ "type": "string", "contentMediaType": "application/octet-stream" }), description)
}

/// One data set in the document.
pub(super) struct DataSetInDocument<'a> {
    definition: &'a Definition,
}

impl<'a> DataSetInDocument<'a> {
    /// The data set of this definition.
    pub(super) fn new(definition: &'a Definition) -> Self {
        Self { definition }
    }

    fn name(&self) -> &str {
        &self.definition.name
    }

    /// The name of an operation or component. No `what` may end in `_` and another `what`: otherwise names would clash between two data
    /// sets of which one has the other's name plus a word.
    fn named(&self, what: &str) -> String {
        format!("{}_{what}", self.definition.name)
    }

    fn column(&self, place: usize) -> Option<&Column> {
        self.definition.columns.get(place)
    }

    /// The heading of its operations.
    pub(super) fn tag(&self) -> Value {
        json!({ "name": self.name(), "description": self.definition.title })
    }

    /// Its parameters among the components.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (String, Value)> {
        parameter::conditions(self.definition)
            .into_iter()
            .chain(parameter::places(self.definition))
            .chain(parameter::of_page(self.definition))
    }

    /// Its operations.
    pub(super) fn add_to(&self, paths: &mut Paths) {
        let mut add = |path: &str, operation: Operation| {
            paths.add(&Method::GET, path, operation.takes([shared("if-none-match")]));
        };
        for route in DataRoute::OF_API {
            let path = route.pattern().replacen("{dataset}", self.name(), 1);
            let operation = match route {
                DataRoute::DataSet => self.list(),
                DataRoute::Key => self.by_key(),
                DataRoute::Record => self.record(),
                DataRoute::Facets => self.facets(),
                DataRoute::Groups => self.groups(),
                DataRoute::Stats => self.stats(),
                DataRoute::Changes => self.changes(),
                DataRoute::Proof => self.proof(),
                DataRoute::History => {
                    // One route serves both histories.
                    let of_record = DataRoute::Record.pattern().replacen("{dataset}", self.name(), 1);
                    add(&format!("{of_record}/history"), self.history_of_record());
                    self.history()
                }
                DataRoute::Page | DataRoute::About => continue,
            };
            add(&path, operation);
        }
    }

    /// An operation that answers 304 to a client that has its answer already.
    fn new_operation(&self, what: &str, summary: &str, answer: AnswerDoc) -> Operation {
        let known =
            AnswerDoc::new(StatusCode::NOT_MODIFIED, "It is up to date. It counts against the rate, not the quota.");
        let of_texts = json!({ "type": "object", "description": "The same where `numbers=text` asks for it." });
        Operation::new(Caller::Reader, self.named(what), self.name(), summary)
            .answers(kept(answer.content(NUMBERS_AS_TEXTS, of_texts)))
            .answers(kept(known))
            .fails(&[InvalidParameters])
    }

    /// References to the conditions, to `filter`, and to `q` where there is one.
    fn conditions(&self) -> Vec<Value> {
        let all = parameter::conditions(self.definition).into_iter().chain(parameter::places(self.definition));
        let named = all.map(|(name, _)| name);
        let search = parameter::of_page(self.definition).into_iter().map(|(name, _)| name);
        let search = search.filter(|name| name.ends_with(".q"));
        std::iter::once(format!("{}.filter", self.name()))
            .chain(search)
            .chain(named)
            .map(|name| shared(&name))
            .collect()
    }

    fn list(&self) -> Operation {
        let own = [self.select(), shared(&format!("{}.sort", self.name()))];
        let common =
            ["limit", "cursor", "count", "explain", "format", "csv_safe", "bom", "delimiter", "numbers", AS_OF]
                .map(shared);
        let page =
            AnswerDoc::json(StatusCode::OK, "A page, or everything that matches.", reference(&self.named("records")))
                .content("application/x-ndjson", described(text(), "A record a line, each as JSON."))
                .content(
                    "text/csv",
                    described(text(), "A table (RFC 4180) under the names of its columns. A null is an empty cell."),
                )
                .content(
                    Format::Geojson.media_type(),
                    described(
                        json!({ "type": "object" }),
                        "A feature collection (RFC 7946): a record a feature, whose geometry is its point.",
                    ),
                )
                .content(Format::Parquet.media_type(), file("A Parquet file: columns with their types."))
                .content(Format::Arrow.media_type(), file("Record batches of Arrow, as a stream (IPC)."))
                .content(Format::Xlsx.media_type(), file("A workbook of one sheet."))
                .may_have(HeaderDoc::Citation)
                .may_have(HeaderDoc::Disposition)
                .may_have(HeaderDoc::DataSetVersion);
        self.new_operation("list", "Find records", page)
            .says(format!(
                "{}. Conditions are joined by AND; there may be {}. A page is followed by the next through `page.next`, or the header field Link. \
                 With another `format` than `json`, or as Accept has it, the answer is everything that matches; that counts as several \
                 requests.",
                self.definition.title,
                QueryLimits::default().terms_max
            ))
            .takes(own)
            .takes(common)
            .takes(self.conditions())
            .fails(&[VersionGone])
    }

    fn facets(&self) -> Operation {
        let found = AnswerDoc::json(StatusCode::OK, "The values.", reference(&self.named("facets")))
            .may_have(HeaderDoc::Citation);
        self.new_operation("facets", "Count the values of columns", found)
            .says("How often each value of these columns occurs among the records that meet the conditions.")
            .takes([parameter::columns(self.definition, |_| true), shared("values"), shared("numbers"), shared(AS_OF)])
            .takes(self.conditions())
            .fails(&[VersionGone])
    }

    fn groups(&self) -> Operation {
        let found = AnswerDoc::json(StatusCode::OK, "The groups.", reference(&self.named("groups")))
            .content("text/csv", described(text(), "A table (RFC 4180) under the names of keys and measures."))
            .may_have(HeaderDoc::Citation)
            .may_have(HeaderDoc::Disposition);
        self.new_operation("groups", "Group records", found)
            .says(
                "The records that meet the conditions, in groups by columns, parts of dates and ranges of numbers, with what is measured of \
                 each group. Sums are exact. A group of records without a value has the key null.",
            )
            .takes(parameter::of_groups(self.definition))
            .takes(["groups", "group_format", "csv_safe", "bom", "delimiter", "numbers", AS_OF].map(shared))
            .takes(self.conditions())
            .fails(&[VersionGone])
    }

    fn stats(&self) -> Operation {
        let found = AnswerDoc::json(StatusCode::OK, "The figures.", reference(&self.named("stats")))
            .may_have(HeaderDoc::Citation);
        self.new_operation("stats", "Sum columns up", found)
            .says("Count, least, greatest, sum and mean of these columns, over the records that meet the conditions.")
            .takes([parameter::columns(self.definition, is_summed_up), shared("numbers"), shared(AS_OF)])
            .takes(self.conditions())
            .fails(&[VersionGone])
    }

    fn changes(&self) -> Operation {
        let mut since = in_query(
            "since",
            "A version of the data set, whose changes are known: what came after it. Or `page.next` of the page before.",
            json!({ "type": "string", "minLength": 1, "examples": ["1"] }),
        );
        if let Value::Object(fields) = &mut since {
            fields.insert("required".to_owned(), true.into());
        }
        let found = AnswerDoc::json(StatusCode::OK, "A page of changes.", reference(&self.named("changes")));
        self.new_operation("changes", "List what imports have changed", found.may_have(HeaderDoc::Link))
            .says(
                "In the order of versions. To keep a copy up to date, ask with the version that it is of, and apply what is answered. \
                 410 says that not all changes since then are known any more: make the copy anew.",
            )
            .takes([since, shared("changes"), shared("numbers")])
            .fails(&[VersionGone])
    }

    fn proof(&self) -> Operation {
        let found = AnswerDoc::json(StatusCode::OK, "The proof.", reference("VersionProof"));
        let version = in_query("version", "A version of the data set. The present one, if not said.", integer(1, None));
        self.new_operation("proof", "Prove what a version's records are", found)
            .says(
                "The SHA-256 of all records of a version, as `format=ndjson` exports them; and the signed checkpoint that it is in for the \
                 first time, with the hashes that lead from there to its root (RFC 6962). A version is in the first checkpoint that is made \
                 while it is held.",
            )
            .takes([version])
            .fails(&[NotFound])
    }

    fn history(&self) -> Operation {
        let found = AnswerDoc::json(StatusCode::OK, "A page of states.", reference(&self.named("history")));
        self.new_operation("history", "Read what the records of a key were", found.may_have(HeaderDoc::Link))
            .says("Each state as far back as it is kept, in the order of record ids, the oldest first.")
            .takes([self.key(), shared("changes"), shared("cursor"), shared("numbers")])
            .fails(&[NotFound, VersionGone])
    }

    fn history_of_record(&self) -> Operation {
        let found = AnswerDoc::json(StatusCode::OK, "A page of states.", reference(&self.named("history")));
        self.new_operation("history_by_id", "Read what a record was", found.may_have(HeaderDoc::Link))
            .says("Each state as far back as it is kept, the oldest first.")
            .takes([self.key(), self.record_id(), shared("changes"), shared("cursor"), shared("numbers")])
            .fails(&[NotFound, VersionGone])
    }

    fn select(&self) -> Value {
        shared(&format!("{}.select", self.name()))
    }

    fn key(&self) -> Value {
        let column = self.column(self.definition.key);
        let description = column.map_or("", |column| column.description.as_str());
        in_path("key", description, json!({ "type": "string", "minLength": 1 }))
    }

    fn record_id(&self) -> Value {
        let description = self.column(self.definition.record_id).map_or("", |column| column.description.as_str());
        in_path("record_id", description, self.id())
    }

    /// The schema of a record id.
    fn id(&self) -> Value {
        let kind = self.column(self.definition.record_id).map(|column| column.kind);
        match (&self.definition.record_id_rule, kind) {
            (RecordIdRule::Ordinal, _) => json!({ "type": "integer", "format": "int64", "minimum": 1 }),
            (RecordIdRule::Source, Some(ColumnType::Integer)) => parameter::value(ColumnType::Integer),
            (RecordIdRule::Source, _) => json!({ "type": "string", "minLength": 1 }),
        }
    }

    fn by_key(&self) -> Operation {
        let schema =
            whole("", [("data", list(reference(&self.named("selection")))), ("dataset", reference("DataSetVersion"))]);
        let found =
            AnswerDoc::json(StatusCode::OK, "The records that bear the key, in the order of their ids.", schema);
        self.new_operation("by_key", "Read the records that bear a key", found.may_have(HeaderDoc::Citation))
            .takes([self.key(), self.select(), shared("numbers"), shared(AS_OF)])
            .fails(&[NotFound, VersionGone])
    }

    fn record(&self) -> Operation {
        let schema =
            whole("", [("data", reference(&self.named("selection"))), ("dataset", reference("DataSetVersion"))]);
        let found = AnswerDoc::json(StatusCode::OK, "The record.", schema);
        self.new_operation("record", "Read one record", found.may_have(HeaderDoc::Citation))
            .takes([self.key(), self.record_id(), self.select(), shared("numbers"), shared(AS_OF)])
            .fails(&[NotFound, VersionGone])
    }

    /// Its schemas among the components.
    pub(super) fn schemas(&self) -> Vec<(String, Value)> {
        let title = &self.definition.title;
        let columns: Map<String, Value> =
            self.definition.columns.iter().enumerate().map(|(place, column)| self.property(place, column)).collect();
        let names: Vec<&str> = self.definition.columns.iter().map(|column| column.name.as_str()).collect();
        let record = |description: String, required: &[&str]| {
            let columns = columns.iter().map(|(name, schema)| (name.as_str(), schema.clone()));
            closed(&description, required, columns)
        };
        let records = whole(
            "",
            [
                ("data", list(reference(&self.named("selection")))),
                ("page", reference("Page")),
                ("dataset", reference("DataSetVersion")),
            ],
        );
        vec![
            (self.named("record"), record(format!("A record of: {title}."), &names)),
            (
                self.named("selection"),
                record(format!("A record of: {title}. Has all columns, or those that `select` names."), &[]),
            ),
            (self.named("records"), described(records, &format!("A page of: {title}."))),
            (self.named("facet"), self.facet()),
            (
                self.named("facets"),
                self.summary_of(
                    "facets",
                    "facet",
                    &[("limit", described(integer(1, None), "Values of each column at most."))],
                ),
            ),
            (
                self.named("groups"),
                whole(
                    "",
                    [
                        ("records", described(integer(0, None), "How many records meet the conditions.")),
                        (
                            "count",
                            described(integer(0, None), "How many groups there are, those beyond the limit included."),
                        ),
                        ("limit", described(integer(1, None), "Groups in the answer at most.")),
                        (
                            "groups",
                            list(json!({
                                "type": "object",
                                "description": "A group: its keys and its measures, by their names.",
                                "additionalProperties": any_value(),
                            })),
                        ),
                        ("complete", described(flag(), "Whether these are all.")),
                        ("dataset", reference("DataSetVersion")),
                    ],
                ),
            ),
            (self.named("figures"), self.figures()),
            (self.named("stats"), self.summary_of("stats", "figures", &[])),
            (self.named("change"), self.change()),
            (self.named("changes"), self.list_of("Changes, in their order.", "change")),
            (self.named("state"), self.state()),
            (self.named("history"), self.list_of("States of records.", "state")),
        ]
    }

    fn facet(&self) -> Value {
        let value = whole("", [("value", any_value()), ("count", integer(1, None))]);
        whole(
            "The values of a column, the most frequent first.",
            [
                ("column", self.names_of(|_| true)),
                ("values", list(value)),
                ("complete", described(flag(), "Whether these are all.")),
            ],
        )
    }

    fn figures(&self) -> Value {
        let number = || json!({ "type": "number" });
        closed(
            "The figures of a column.",
            &["column", "count", "min", "max"],
            [
                ("column", self.names_of(is_summed_up)),
                ("count", described(integer(0, None), "Values that are not null.")),
                ("min", any_value()),
                ("max", any_value()),
                ("sum", described(number(), "Of numbers and amounts, if there is any.")),
                ("mean", described(nullable(number()), "Of numbers and amounts, if there is any.")),
            ],
        )
    }

    /// The schema of a summary of columns.
    fn summary_of(&self, member: &str, component: &str, further: &[(&str, Value)]) -> Value {
        let records = described(integer(0, None), "How many records meet the conditions.");
        let columns = list(reference(&self.named(component)));
        let own = [("records", records), (member, columns), ("dataset", reference("DataSetVersion"))];
        whole("", own.into_iter().chain(further.iter().cloned()))
    }

    fn names_of(&self, is_meant: impl Fn(ColumnType) -> bool) -> Value {
        let meant = self.definition.columns.iter().filter(|column| is_meant(column.kind));
        one_of(&meant.map(|column| column.name.as_str()).collect::<Vec<_>>())
    }

    fn list_of(&self, description: &str, component: &str) -> Value {
        let items = list(reference(&self.named(component)));
        whole(description, [("data", items), ("page", reference("PastPage")), ("dataset", reference("DataSetVersion"))])
    }

    fn change(&self) -> Value {
        let record = || nullable(reference(&self.named("record")));
        whole(
            "What an import did to a record.",
            [
                ("version", described(integer(1, None), "The version that it led to.")),
                ("at", at()),
                ("change", one_of(&["inserted", "updated", "removed"])),
                ("key", text()),
                ("record_id", self.id()),
                ("before", described(record(), "Null where it was inserted.")),
                ("after", described(record(), "Null where it was removed.")),
            ],
        )
    }

    fn state(&self) -> Value {
        whole(
            "What a record was for a time.",
            [
                ("record_id", self.id()),
                ("valid_from", reference("Moment")),
                ("valid_until", described(nullable(reference("Moment")), "Null where it is so still.")),
                ("record", reference(&self.named("record"))),
            ],
        )
    }

    fn property(&self, place: usize, column: &Column) -> (String, Value) {
        let value = parameter::value(column.kind);
        // Never null: without its key and record id a record could not be addressed.
        let always = place == self.definition.key || place == self.definition.record_id;
        let value = if always { value } else { nullable(value) };
        (column.name.clone(), described(value, &column.description))
    }
}

/// Adds the header fields of an answer that was counted, and that the client may keep and revalidate.
fn kept(answer: AnswerDoc) -> AnswerDoc {
    [HeaderDoc::ETag, HeaderDoc::CacheControl, HeaderDoc::Vary, HeaderDoc::RateLimit, HeaderDoc::RateLimitPolicy]
        .into_iter()
        .fold(answer, AnswerDoc::header)
}

/// Whether the values of a column have a meaningful order.
fn is_summed_up(kind: ColumnType) -> bool {
    !matches!(kind, ColumnType::Text | ColumnType::Point)
}

/// A value of any column.
fn any_value() -> Value {
    json!({ "type": ["string", "number", "null"] })
}

/// The time of an import.
fn at() -> Value {
    described(nullable(moment()), "When the import was; null where that is not kept any more.")
}

/// The schemas that all data sets share.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let version = whole(
        "The data set and the version that the answer is of; it rises with every import that changes something.",
        [("name", text()), ("version", integer(0, None))],
    );
    let explained = closed(
        "How the records were found.",
        &["plan"],
        [("plan", described(list(text()), "What was done: which index, which scan, what was sorted."))],
    );
    let page = closed(
        "Where the page is among others.",
        &["limit", "next"],
        [
            ("limit", described(integer(1, None), "Records on a page at most.")),
            ("next", described(nullable(text()), "The cursor of the next page; null after the last.")),
            ("count", described(integer(0, None), "How many records match in all, where that was asked.")),
            ("explain", reference("Explained")),
        ],
    );
    let moment = whole(
        "A version, and when it came to be.",
        [("version", described(integer(1, None), "The data set's version.")), ("at", at())],
    );
    let past_page = whole(
        "Where the page is among others.",
        [
            ("limit", described(integer(1, None), "Entries of a page at most.")),
            ("next", described(nullable(text()), "Where the next page begins; null after the last.")),
        ],
    );
    vec![
        ("DataSetVersion", version),
        ("Explained", explained),
        ("Moment", moment),
        ("Page", page),
        ("PastPage", past_page),
        ("VersionProof", proof()),
    ]
}

/// What shows that a version is what was signed.
fn proof() -> Value {
    whole(
        "What shows that the records of a version are those that were signed.",
        [
            ("dataset", text()),
            ("version", integer(1, None)),
            ("sha256", described(text(), "The SHA-256 of all its records as `format=ndjson` exports them, in hex.")),
            ("leaf", described(text(), "The leaf of the tree: `dataset`, name, version and SHA-256.")),
            ("index", described(integer(0, None), "The leaf's place in the tree.")),
            ("leaves", described(integer(1, None), "How many leaves the tree has.")),
            (
                "path",
                described(
                    list(text()),
                    "The hashes beside the way from the leaf to the root, the lowest first, in hex.",
                ),
            ),
            ("checkpoint", reference("Checkpoint")),
        ],
    )
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use super::*;
    use crate::http::openapi::{Audience, document};

    /// One data set may have another's name plus a word.
    #[test]
    fn no_two_operations_have_one_id() {
        let named = |name: &str| {
            let toml = format!(
                "name = {name:?}\ntitle = \"X\"\nrecord_id = \"id\"\n[key]\ncolumn = \"tag\"\n[[column]]\nname = \"tag\"\nheaders = [\"T\"]\n\
                 [[column]]\nname = \"id\"\ntype = \"integer\"\nimport = true\n"
            );
            Arc::new(Definition::from_toml(&toml, "x.toml").unwrap())
        };
        let words = [
            "",
            "_by",
            "_record",
            "_history",
            "_history_by",
            "_list",
            "_facets",
            "_groups",
            "_stats",
            "_changes",
            "_proof",
        ];
        let definitions: Vec<Arc<Definition>> = words.into_iter().map(|word| named(&format!("trees{word}"))).collect();
        let document = document(Audience::Consumers, "x", "https://x.example", "", &definitions);
        let paths = document["paths"].as_object().unwrap().values();
        let ids = paths.flat_map(|path| path.as_object().unwrap().values()).map(|operation| &operation["operationId"]);
        let ids: Vec<String> = ids.map(|id| id.as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}
