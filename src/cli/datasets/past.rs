//! `permitd datasets show --as-of`: a data set as its stream tells of it.

use serde_json::json;

use crate::{
    app::Node,
    cli::{
        CommandAnswer, Failure,
        output::{Table, facts, moment},
    },
    domain::{event::AsOf, id::StreamId, past::PastDataSet},
};

/// Reads a moment or a position: a bare number would be taken for a version of the records.
pub(super) fn point(text: &str) -> Result<AsOf, String> {
    PastDataSet::point(text).map_err(|error| error.to_string())
}

pub(super) async fn show(node: &Node, name: &str, as_of: AsOf) -> Result<CommandAnswer, Failure> {
    let past = node.service.committer.load_as_of(&StreamId::DataSet(name.to_owned()), as_of).await?;
    let no_data_set = || Failure::not_found(format!("there was no data set {name:?} then"));
    let past = PastDataSet::of(&past.state).ok_or_else(no_data_set)?;
    let version = past.dataset_version.map_or_else(|| "none: it had no records".to_owned(), |known| known.to_string());
    let lines = [
        ("name", past.name.clone()),
        ("version", version),
        ("served", if past.withdrawn { "no: it was withdrawn" } else { "yes" }.to_owned()),
        ("former name", past.renamed_from.clone().unwrap_or_default()),
    ];
    let mut table = Table::new(&["IMPORT", "FILE", "STATUS", "BEGAN", "ENDED", "VERSION"]);
    for import in &past.imports {
        table.row([
            import.id.to_string(),
            import.file_name.clone(),
            import.status.clone(),
            moment(Some(import.started_at)),
            moment(import.ended_at),
            import.dataset_version.map(|version| version.to_string()).unwrap_or_default(),
        ]);
    }
    Ok(CommandAnswer::new(json!({ "dataset": past }), format!("{}{}", facts(&lines), table.render())))
}
