//! The data sets: their paths, parameters and records, as their definitions have them.

use actix_web::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, Header},
    operation::{Caller, Operation, Paths},
    parameter::{self, in_path, in_query, shared},
    schema::{closed, described, flag, integer, list, moment, nullable, one_of, reference, text, whole},
};
use crate::{
    dataset::{Column, ColumnType, Definition, RecordIdRule, query::Format},
    http::{
        DataRoute,
        ProblemCode::{InvalidParameters, NotFound, VersionGone},
    },
};

/// One data set in the document.
pub(super) struct Described<'a> {
    definition: &'a Definition,
}

impl<'a> Described<'a> {
    /// The data set that is defined so.
    pub(super) fn new(definition: &'a Definition) -> Self {
        Self { definition }
    }

    fn name(&self) -> &str {
        &self.definition.name
    }

    /// What one of its components is called.
    fn named(&self, what: &str) -> String {
        format!("{}_{what}", self.definition.name)
    }

    fn column(&self, place: usize) -> Option<&Column> {
        self.definition.columns.get(place)
    }

    /// The heading under which its operations stand.
    pub(super) fn tag(&self) -> Value {
        json!({ "name": self.name(), "description": self.definition.title })
    }

    /// Its parameters among the components.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (String, Value)> {
        parameter::conditions(self.definition).into_iter().chain(parameter::of_page(self.definition))
    }

    /// Its operations.
    pub(super) fn add_to(&self, paths: &mut Paths) {
        for route in DataRoute::ALL {
            let path = route.pattern().replacen("{dataset}", self.name(), 1);
            paths.add(&Method::GET, &path, self.operation(route));
        }
    }

    fn operation(&self, route: DataRoute) -> Operation {
        match route {
            DataRoute::DataSet => self.list(),
            DataRoute::Key => self.by_key(),
            DataRoute::Record => self.record(),
        }
    }

    fn new_operation(&self, what: &str, summary: &str) -> Operation {
        Operation::new(Caller::Reader, self.named(what), self.name(), summary)
    }

    /// References to the conditions, and to `filter`.
    fn conditions(&self) -> Vec<Value> {
        let named = parameter::conditions(self.definition).into_iter().map(|(name, _)| name);
        std::iter::once(format!("{}.filter", self.name())).chain(named).map(|name| shared(&name)).collect()
    }

    fn list(&self) -> Operation {
        let own = ["select", "sort"].map(|name| shared(&format!("{}.{name}", self.name())));
        let common = ["limit", "cursor", "count", "explain", "format", "csv_safe"].map(shared);
        let page =
            Answer::json(StatusCode::OK, "A page, or everything that matches.", reference(&self.named("records")))
                .content(Format::Ndjson.media_type(), described(text(), "A record a line, each as JSON."))
                .content(
                    "text/csv",
                    described(text(), "A table (RFC 4180) with the columns' names on top. A null is an empty cell."),
                )
                .may_have(Header::Link);
        self.new_operation("list", "Find records")
            .says(format!(
                "{}. Conditions are joined by AND. A page is followed by the next through `page.next`, or the header field Link.",
                self.definition.title
            ))
            .takes(own)
            .takes(common)
            .takes(self.conditions())
            .answers(limited(page))
            .fails(&[InvalidParameters, VersionGone])
    }

    fn key(&self) -> Value {
        let column = self.column(self.definition.key);
        let description = column.map_or("", |column| column.description.as_str());
        in_path("key", description, json!({ "type": "string", "minLength": 1 }))
    }

    fn record_id(&self) -> Value {
        let column = self.column(self.definition.record_id);
        let description = column.map_or("", |column| column.description.as_str());
        let schema = match self.definition.record_id_rule {
            RecordIdRule::Ordinal => json!({ "type": "integer", "format": "int64", "minimum": 1 }),
            RecordIdRule::Source => match column.map(|column| column.kind) {
                Some(ColumnType::Integer) => parameter::value(ColumnType::Integer),
                _ => json!({ "type": "string", "minLength": 1 }),
            },
        };
        in_path("record_id", description, schema)
    }

    fn by_key(&self) -> Operation {
        let schema =
            whole("", [("data", list(reference(&self.named("record")))), ("dataset", reference("DataSetVersion"))]);
        let found = Answer::json(StatusCode::OK, "The records that bear the key, in the order of their ids.", schema);
        self.new_operation("by_key", "Read the records that bear a key")
            .takes([self.key()])
            .answers(limited(found))
            .fails(&[InvalidParameters, NotFound])
    }

    fn record(&self) -> Operation {
        let schema = whole("", [("data", reference(&self.named("record"))), ("dataset", reference("DataSetVersion"))]);
        let found = Answer::json(StatusCode::OK, "The record.", schema);
        self.new_operation("record", "Read one record")
            .takes([self.key(), self.record_id()])
            .answers(limited(found))
            .fails(&[InvalidParameters, NotFound])
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
        ]
    }

    fn property(&self, place: usize, column: &Column) -> (String, Value) {
        let value = parameter::value(column.kind);
        // Without them a record could not be addressed.
        let always = place == self.definition.key || place == self.definition.record_id;
        let value = if always { value } else { nullable(value) };
        (column.name.clone(), described(value, &column.description))
    }
}

/// An answer to a request that was counted.
fn limited(answer: Answer) -> Answer {
    answer.header(Header::RateLimit).header(Header::RateLimitPolicy)
}

/// The schemas that are alike for all data sets.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let version = whole(
        "The data set and the version that the answer is of; it rises with every import that changes something.",
        [("name", text()), ("version", integer(0, None))],
    );
    let explained = closed(
        "How the records were found.",
        &["plan"],
        [
            ("plan", described(list(text()), "What was done: which index, which scan, what was sorted.")),
            ("read_units", json!({ "type": "number", "description": "Read units that DynamoDB counted." })),
            ("examined", described(integer(0, None), "Records that were looked at.")),
        ],
    );
    let page = closed(
        "Where the page is among others.",
        &["limit", "next"],
        [
            ("limit", described(integer(1, None), "Records on a page at most.")),
            ("next", described(nullable(text()), "The cursor of the next page; null after the last.")),
            ("count", described(integer(0, None), "How many records match in all, where that was asked.")),
            (
                "complete",
                described(
                    flag(),
                    "False where the page holds only what was found within the read budget, and more follows.",
                ),
            ),
            ("explain", reference("Explained")),
        ],
    );
    vec![("DataSetVersion", version), ("Explained", explained), ("Page", page)]
}
