//! Descriptions of data sets.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    dataset::{definition::SelfDescription, figures::TableFigures},
    http::{
        Problem,
        about::{self, LastChange},
        state::Service,
        store_problem::store_problem,
    },
    store::records::DataSet,
};

/// A document about a data set. The figures are no [`Value`], which would lose digits of them.
#[derive(Serialize)]
pub(in crate::http::routes) struct Described {
    #[serde(flatten)]
    members: Value,
    about: SelfDescription,
    last_change: LastChange,
    figures: Option<TableFigures>,
}

impl Described {
    /// The description for everybody who may read the data set.
    pub(in crate::http::routes) async fn to_readers(service: &Service, data_set: &DataSet) -> Result<Self, Problem> {
        Ok(Self {
            members: shown(data_set),
            about: data_set.definition.about.clone(),
            last_change: about::last_change(service, data_set).await.map_err(store_problem)?,
            figures: data_set.present_figures(),
        })
    }
}

pub(super) async fn described(service: &Service, data_set: &DataSet) -> Result<Described, Problem> {
    let definition = &data_set.definition;
    let imports = service.committer.stores.views.imports(Some(&definition.name), usize::MAX).await;
    let last = imports.map_err(store_problem)?.into_iter().find(|import| import.status == "completed");
    let mut document = Described::to_readers(service, data_set).await?;
    let more = [
        ("held_from", json!(data_set.held_from)),
        ("key", json!(definition.column_name(definition.key))),
        ("record_id", json!(definition.column_name(definition.record_id))),
        ("indexes", json!(definition.indexes)),
        ("guard", json!(definition.guard)),
        ("definition", json!(definition.fingerprint())),
        ("former_names", json!(data_set.standing.former_names)),
        ("last_import", json!(last)),
    ];
    if let Some(fields) = document.members.as_object_mut() {
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(document)
}

/// The members of a data set for everybody who may read it.
pub(in crate::http::routes) fn shown(data_set: &DataSet) -> Value {
    let definition = &data_set.definition;
    let columns: Vec<Value> = definition
        .columns
        .iter()
        .map(|column| {
            let (name, kind, description) = (&column.name, column.kind, &column.description);
            json!({ "name": name, "type": kind, "description": description, "personal": column.personal })
        })
        .collect();
    json!({
        "name": definition.name,
        "title": definition.title,
        "path": format!("/{}", definition.name),
        "version": data_set.version,
        "records": data_set.records,
        "last_import_on": data_set.last_import.day,
        "withdrawn": data_set.standing.withdrawn,
        "columns": columns,
    })
}
