//! Imports, and the data sets that they change.

use actix_web::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::{
    answer::{AnswerDoc, HeaderDoc},
    caller::Caller,
    operation::{Operation, Paths},
    parameter::{conditions_of_writing, in_path, in_query, one_word, shared},
    schema::{
        self, closed, date, described, flag, integer, list, moment, nullable, one_of, reference, text, uuid, whole,
    },
};
use crate::{
    actors::import::ImportStatus,
    dataset::{ColumnType, definition::Said},
    domain::{past::PastDataSet, view::ImportRow},
    http::{
        ProblemCode::{
            Conflict, IdempotencyKeyReused, InsufficientStorage, InvalidBody, InvalidParameters, InvalidRequest,
            NotFound,
        },
        openapi::command::{BODY, Types, WithBody, all, command, ok, read},
        routes::{datasets, imports},
        session::{Needs as _, OfData},
    },
};

pub(super) fn imports(paths: &mut Paths, types: &mut Types) {
    let tag = "imports";
    let list = read::<OfData>("list_imports", tag, "List imports, the newest first")
        .takes([in_query("dataset", "Only into this data set.", text()), shared("items")])
        .answers(ok("The imports.", all(types.answer::<ImportRow>())));
    paths.add(&Method::GET, "/imports", list);
    let import = || in_path("id", "The import.", uuid());
    let status = types.answer::<ImportStatus>();
    let accepted = |description| {
        let answer = AnswerDoc::json(StatusCode::ACCEPTED, description, status.clone());
        answer.header(HeaderDoc::CacheControl).header(HeaderDoc::Location)
    };
    let words = |words: [(&'static str, bool); 2]| words.map(|(word, _)| word);
    let file = json!({ "type": "string", "contentMediaType": "application/octet-stream" });
    let form = whole("", [("file", file.clone())]);
    let mut parameters = vec![
        json!({ "name": "dataset", "in": "query", "required": true, "description": "The data set.", "schema": text() }),
        one_word(
            "mode",
            "Whether the file is the whole data set, so that what it lacks is removed. `merge`, if not said.",
            &words(imports::MODES),
        ),
        one_word("dry_run", "Only tell what the import would do.", &["true", "false"]),
        one_word(
            "absent",
            "What becomes of stored values of columns that the file does not have. `empty`, if not said.",
            &words(imports::ON_ABSENT),
        ),
        in_query("filename", "The file's name, where no form says it.", text()),
    ];
    parameters.extend(Said::NAMES.map(|name| {
        let description = "What is said of this one file, as with the option of this name of `permitd import`.";
        match Said::REPEATED.contains(&name) {
            true => in_query(name, description, schema::list(text())),
            false => in_query(name, description, text()),
        }
    }));
    let send = Operation::new(Caller::Admin(OfData::PERMISSIONS), "send_import", tag, "Send a file to import")
        .says(
            "The file is the body, or the one part of a form. It is imported after those that wait; `GET /imports/{id}` tells how it goes on. \
             What would remove, reject or empty more than the guard lets it is held until it is approved or discarded.",
        )
        .takes(parameters)
        .takes(conditions_of_writing().into_iter().take(1))
        .body("application/octet-stream", file, true)
        .or_body("multipart/form-data", form)
        .answers(accepted("The file is there."))
        .fails(&[InvalidParameters, InvalidRequest, InvalidBody, NotFound, Conflict, IdempotencyKeyReused, InsufficientStorage])
        .fails(&BODY);
    paths.add(&Method::POST, "/imports", send);
    let show = read::<OfData>("show_import", tag, "Show an import")
        .says(
            "With `Accept: text/event-stream`: an event whenever something has changed, until nothing further happens.",
        )
        .takes([import()])
        .answers(ok("The import.", status.clone()).content("text/event-stream", text()))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/imports/{id}", show);
    let rejects = read::<OfData>("show_import_rejects", tag, "Get the rows that could not be records")
        .takes([import()])
        .answers(
            AnswerDoc::new(StatusCode::OK, "The rows, as CSV: line, column, value, reason.")
                .content("text/csv", text())
                .header(HeaderDoc::CacheControl)
                .header(HeaderDoc::Disposition),
        )
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/imports/{id}/rejects", rejects);
    let decision = |id: &str, summary: &str| {
        command::<OfData>(id, tag, summary)
            .takes([import()])
            .fails(&[InvalidParameters, NotFound, Conflict])
            .fails(&BODY)
    };
    let approve = decision("approve_import", "Have an import done that is held").answers(accepted("It is begun."));
    paths.add(&Method::POST, "/imports/{id}/approve", approve);
    let discard =
        decision("discard_import", "Give an import up that is held").answers(ok("It is given up.", status.clone()));
    paths.add(&Method::POST, "/imports/{id}/discard", discard);
    let cancel = decision("cancel_import", "End an import that is under way").answers(accepted("It ends."));
    paths.add(&Method::POST, "/imports/{id}/cancel", cancel);
}

pub(super) fn data_sets(paths: &mut Paths, types: &mut Types) {
    let tag = "data sets";
    let list = read::<OfData>("list_datasets", tag, "List the data sets with their columns")
        .says("With a key, or the session of a reader: those that they may read. With an administrator's token, or the session of whoever administers data: all, also withdrawn ones.")
        .also_for_readers()
        .answers(
            ok("The data sets.", all(reference("DataSet")))
                .may_have(HeaderDoc::RateLimit)
                .may_have(HeaderDoc::RateLimitPolicy),
        );
    paths.add(&Method::GET, "/datasets", list);
    let name = || in_path("name", "The data set.", text());
    let described = || ok("The data set.", reference("DescribedDataSet"));
    let past = types.answer::<PastDataSet>();
    let of_three = json!({ "anyOf": [reference("DescribedDataSet"), reference("DataSetForReaders"), past] });
    let says = "With an administrator's token, or the session of whoever administers data: what the log told of it and its imports at \
                this moment, or at this position of the log (`position:1200`). Its records are read as of a version with itself.";
    let as_of = in_query("as_of", says, json!({ "anyOf": [moment(), schema::log_position()] }));
    let show = read::<OfData>("show_dataset", tag, "Describe a data set")
        .says("With a key, or the session of a reader: what it says about itself, of a data set that they may read. With an administrator's token, or the session of whoever administers data: also how it is kept.")
        .also_for_readers()
        .takes([name(), as_of])
        .answers(ok("The data set.", of_three).may_have(HeaderDoc::RateLimit).may_have(HeaderDoc::RateLimitPolicy))
        .fails(&[NotFound]);
    paths.add(&Method::GET, "/datasets/{name}", show);
    let deed = |id: &str, summary: &str| {
        command::<OfData>(id, tag, summary).takes([name()]).fails(&[InvalidParameters, NotFound, Conflict]).fails(&BODY)
    };
    let removed = whole("", [("name", text()), ("removed", flag()), ("version", integer(0, None))]);
    let remove = deed("remove_dataset", "Remove a data set: its records and their past")
        .says("What happened to it stays in the log.")
        .answers(ok("It is removed.", removed));
    paths.add(&Method::DELETE, "/datasets/{name}", remove);
    let withdraw = deed("withdraw_dataset", "Keep a data set, and serve it to nobody").answers(described());
    paths.add(&Method::POST, "/datasets/{name}/withdraw", withdraw);
    let restore = deed("restore_dataset", "Serve a data set again that was withdrawn").answers(described());
    paths.add(&Method::POST, "/datasets/{name}/restore", restore);
    let rename = deed("rename_dataset", "Give a data set another name")
        .says("Its former name leads to the new one (308) until another data set has it.")
        .with_body(types.body::<datasets::RenameBody>(), true)
        .answers(described());
    paths.add(&Method::POST, "/datasets/{name}/rename", rename);
}

fn data_set_members() -> Vec<(&'static str, Value)> {
    let kinds = ColumnType::NAMES.map(|(name, _)| name);
    let personal = described(flag(), "Whether its values tell of people or firms: figures show none of them.");
    let column =
        whole("", [("name", text()), ("type", one_of(&kinds)), ("description", text()), ("personal", personal)]);
    vec![
        ("name", text()),
        ("title", text()),
        ("path", crate::http::openapi::schema::path()),
        ("version", integer(0, None)),
        ("records", integer(0, None)),
        ("last_import_on", described(date(), "The UTC day of the last import.")),
        ("withdrawn", described(flag(), "Whether it is kept, and served to nobody.")),
        ("columns", list(column)),
    ]
}

pub(super) fn data_set() -> Value {
    whole("A data set.", data_set_members())
}

/// The members that every reader of the data set sees.
fn told_members() -> Vec<(&'static str, Value)> {
    let last_change = whole(
        "What the last import changed.",
        [
            ("at", described(nullable(moment()), "When it ended, where that is known.")),
            ("on", described(date(), "Its UTC day.")),
            ("inserted", integer(0, None)),
            ("updated", integer(0, None)),
            ("removed", integer(0, None)),
        ],
    );
    let more = [
        ("about", reference("SelfDescription")),
        ("last_change", last_change),
        ("figures", nullable(reference("Figures"))),
    ];
    data_set_members().into_iter().chain(more).collect()
}

pub(super) fn data_set_for_readers() -> Value {
    whole("A data set as it describes itself.", told_members())
}

pub(super) fn self_description() -> Value {
    let address = |what: &str| described(json!({ "type": "string", "format": "uri" }), what);
    closed(
        "What a data set says about itself, as far as its definition does.",
        &["public"],
        [
            ("description", described(text(), "What it holds. It may have several lines.")),
            ("licence", described(text(), "The licence that its records may be used under.")),
            ("licence_url", address("Where the licence is.")),
            ("publisher", described(text(), "Who publishes the records.")),
            ("publisher_url", address("Where the publisher is.")),
            ("contact", described(text(), "Whom to ask: an e-mail address, or the address of a page.")),
            ("frequency", described(text(), "How often new records come.")),
            ("homepage", address("Where the data set is at home.")),
            ("keywords", described(list(text()), "Words by which it is found.")),
            ("access", described(text(), "How to ask for access. It may have several lines.")),
            ("public", described(flag(), "Whether anybody may see this and the figures.")),
        ],
    )
}

pub(super) fn figures() -> Value {
    let value = || json!({ "type": ["string", "number"] });
    let count = whole("", [("value", value()), ("count", integer(1, None))]);
    let least = described(
        nullable(value()),
        "Of numbers, amounts, dates and moments: the least value. Null where the column is personal or identifies records.",
    );
    let values = described(list(count), "Of texts with few different values: the most frequent ones, at most 10.");
    let column = whole(
        "",
        [
            ("name", text()),
            ("empty", described(integer(0, None), "Records without a value.")),
            ("least", least),
            ("greatest", described(nullable(value()), "The greatest value.")),
            ("values", values),
        ],
    );
    whole(
        "What the import that made the version found in the columns. A value is among `values` only if at least 10 records and 0.1 % of all have it.",
        [
            ("version", integer(0, None)),
            ("made_at", moment()),
            ("records", integer(0, None)),
            ("columns", list(column)),
        ],
    )
}

pub(super) fn described_data_set() -> Value {
    let index = whole("", [("partition", text()), ("sort", nullable(text()))]);
    let percent = || integer(0, Some(100));
    let guard = closed(
        "How much an import may take away, in percent, where the settings are not to say it.",
        &[],
        [("removed_max", percent()), ("rejected_max", percent()), ("nulled_max", percent())],
    );
    let more = [
        ("held_from", described(integer(0, None), "The earliest version that can be read as it was.")),
        ("key", described(text(), "The column that records are found by.")),
        ("record_id", described(text(), "The column that tells records of one key apart.")),
        ("indexes", list(index)),
        ("guard", guard),
        ("definition", described(text(), "The fingerprint of its definition.")),
        ("former_names", described(list(text()), "The names that lead to it.")),
        ("last_import", nullable(reference("Import"))),
    ];
    whole("A data set in full.", told_members().into_iter().chain(more))
}
