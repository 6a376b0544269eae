//! `/{dataset}/about`: the page that describes a data set. It is for everybody where the definition says so, otherwise for those who may
//! read the data, since the figures show values from it.

use std::sync::Arc;

use actix_web::{HttpRequest, http::StatusCode};
use fluent_bundle::FluentArgs;
use serde_json::{Map, Value, json};

use super::{
    explore::reader::instead,
    language::Language,
    messages,
    visit::{Anyone, KnownVisitor, PageRefusal, Shown, Visit},
    wording,
};
use crate::{
    dataset::{ColumnType, Definition, definition::SelfDescription, figures::WrittenValue},
    domain::{
        bounds::names_dataset,
        permission::{AccessKind, Permission, Permissions},
        user::User,
    },
    http::{
        Problem, ProblemCode,
        about::{About, AboutColumn, about},
        routes::data::{data_sets::DataSets, wanted::first_segment},
        served::served,
        state::Service,
        store_problem::store_problem,
    },
    store::records::DataSet,
};

const TEMPLATE: &str = "about/page.html";
/// Characters of a description that search engines get.
const SUMMARY_CHARS_MAX: usize = 300;

/// Shows the page of a data set, or leads to it under the data set's present name.
pub(super) async fn show(request: &HttpRequest, data: &DataSets) -> Shown {
    let visit = Visit::<Anyone>::open(request).await?;
    let name = first_segment(request.uri().path()).unwrap_or_default();
    let data_set = visit.service.records.data_set(name);
    let renamed = if data_set.is_none() { data.renamed(name) } else { None };
    let is_public = |set: &Arc<DataSet>| set.definition.about.public && !set.standing.withdrawn;
    // Strangers learn neither whether a data set that is not public exists, nor its present name.
    if visit.known().is_none() && !data_set.as_ref().or(renamed.as_ref()).is_some_and(is_public) {
        return Err(PageRefusal::SignIn);
    }
    if let Some(renamed) = renamed {
        return visit.led(&format!("/{}/about", renamed.definition.name), None);
    }
    let data_set = data.sound(request, data_set).await?;
    if !is_public(&data_set) && !Readable::to(&visit).await?.has(&data_set.definition.name) {
        return instead(&visit, StatusCode::FORBIDDEN, "plan", &data_set.definition.name);
    }
    let gone = || Problem::new(ProblemCode::NotFound, "this data set has just been removed");
    let about = about(&visit.service, &data_set.definition.name).await.map_err(store_problem)?.ok_or_else(gone)?;
    visit.page(TEMPLATE, &context(&about, &visit.service, visit.language, data_set.held_from))
}

/// The data sets that a visitor may read, or administers.
pub(super) enum Readable {
    /// All data sets.
    All,
    /// The data sets that the plan names; all when it names none.
    OfPlan(Option<Vec<String>>),
    /// No data set: the visitor is unknown, or administers other things.
    None,
}

impl Readable {
    /// Finds the data sets that this visitor may read.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn to(visit: &Visit<Anyone>) -> Result<Self, Problem> {
        if visit.permissions().may(Permissions::of(&[Permission::Data]), AccessKind::Read) {
            return Ok(Self::All);
        }
        match visit.known() {
            Some(KnownVisitor::Person(holder)) => Self::to_person(&visit.service, &holder.user).await,
            _ => Ok(Self::None),
        }
    }

    /// Finds the data sets that a signed-in person may read.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn to_person(service: &Service, user: &User) -> Result<Self, Problem> {
        if Permissions::of_role(user.role).may(Permissions::of(&[Permission::Data]), AccessKind::Read) {
            return Ok(Self::All);
        }
        let plan = service.committer.stores.views.plan(&user.plan).await.map_err(store_problem)?;
        Ok(plan.map_or(Self::None, |plan| Self::OfPlan(plan.rules.datasets)))
    }

    /// The served data sets whose descriptions of themselves the visitor may see.
    pub(super) fn served(&self, service: &Service) -> Vec<Arc<DataSet>> {
        let mut data_sets = served(service);
        data_sets.retain(|set| self.shows(&set.definition));
        data_sets
    }

    /// Whether the visitor may see a data set's description of itself.
    pub(super) fn shows(&self, definition: &Definition) -> bool {
        definition.about.public || self.has(&definition.name)
    }

    /// Whether the visitor may read the data set of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::OfPlan(names) => names_dataset(names.as_deref(), name),
            Self::None => false,
        }
    }
}

fn context(about: &About, service: &Service, language: Language, held_from: u64) -> Value {
    let said = &about.about;
    let records = &service.settings.records;
    let change = &about.last_change;
    let changed = change.inserted + change.updated + change.removed;
    json!({
        "about": about.about,
        "frequency": said.frequency.as_deref().map(|said| frequency(said, language)),
        "name": about.name,
        "title": about.title,
        "version": about.version,
        "records": about.records,
        "has_figures": about.figures_made_at.is_some(),
        "paragraphs": said.description.as_deref().map(paragraphs).unwrap_or_default(),
        "access": said.access.as_deref().map(paragraphs).unwrap_or_default(),
        "contact_is_page": said.contact.as_deref().is_some_and(|contact| contact.contains("://")),
        "last_at": change.at,
        "last_on": change.on,
        "inserted": change.inserted,
        "updated": change.updated,
        "removed": change.removed,
        "changed": changed,
        "columns": about.columns.iter().map(|column| shown_column(column, about.records, language)).collect::<Vec<_>>(),
        "held_from": held_from,
        "history_days": records.history_days,
        "export_cost": records.export_cost,
        "summary": summary(about),
        "json_ld": json_ld(about, &service.public_url),
    })
}

/// How often records come: a usual word in the reader's language, any other text unchanged.
fn frequency(said: &str, language: Language) -> String {
    const USUAL: [&str; 6] = ["hourly", "daily", "weekly", "monthly", "quarterly", "yearly"];
    let usual = USUAL.iter().find(|word| said.trim().eq_ignore_ascii_case(word));
    let told = usual.and_then(|word| messages::say(language, &format!("about-every-{word}"), &FluentArgs::new()));
    told.unwrap_or_else(|| said.to_owned())
}

/// The paragraphs of a text: its parts between blank lines.
pub(super) fn paragraphs(text: &str) -> Vec<&str> {
    text.split("\n\n").map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn shown_column(column: &AboutColumn, records: u64, language: Language) -> Value {
    let values = column.values.iter().map(|shown| json!({ "value": shown.value.text(), "count": shown.count }));
    let text = |value: Option<&WrittenValue>| value.map(WrittenValue::text);
    json!({
        "name": column.name,
        "type": column.kind,
        "is_date": column.kind == ColumnType::Date,
        "is_moment": column.kind == ColumnType::Timestamp,
        "description": column.description,
        "personal": column.personal,
        "identifies": column.identifies,
        "is_text": column.kind == ColumnType::Text,
        "is_empty": column.empty == Some(records),
        "empty": column.empty.map(|empty| share(empty, records, language)),
        "least": text(column.least.as_ref()),
        "greatest": text(column.greatest.as_ref()),
        "values": values.collect::<Vec<_>>(),
    })
}

/// A share of all records in percent. Only no records show as 0 %, and only all records as 100 %.
fn share(part: u64, all: u64, language: Language) -> String {
    let space = if language == Language::German { "\u{a0}" } else { "" };
    let percent = if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 };
    let (sign, shown) = match percent {
        _ if part == 0 => ("", 0.0),
        _ if percent < 0.1 => ("< ", 0.1),
        _ if part < all && percent > 99.9 => ("> ", 99.9),
        percent => ("", (percent * 10.0).round() / 10.0),
    };
    format!("{sign}{}{space}%", wording::number(shown, language))
}

/// The description of the data set, cut to [`SUMMARY_CHARS_MAX`], or its title.
fn summary(about: &About) -> String {
    let text = about.about.description.as_deref().unwrap_or(&about.title);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SUMMARY_CHARS_MAX {
        return line;
    }
    let cut: String = line.chars().take(SUMMARY_CHARS_MAX).collect();
    format!("{}…", cut.rsplit_once(' ').map_or(cut.as_str(), |(whole, _)| whole))
}

/// The data set for search engines (<https://schema.org/Dataset>), as JSON that cannot end the `script` element around it.
fn json_ld(about: &About, public_url: &str) -> String {
    let SelfDescription {
        description,
        licence,
        licence_url,
        publisher,
        publisher_url,
        contact,
        homepage,
        keywords,
        access,
        ..
    } = &about.about;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.as_ref().map(|text| json!(text));
    put("@context", Some(json!("https://schema.org/")));
    put("@type", Some(json!("Dataset")));
    put("name", Some(json!(about.title)));
    put("description", Some(text(description).unwrap_or_else(|| json!(about.title))));
    put("identifier", Some(json!(about.name)));
    put("url", Some(json!(format!("{public_url}/{}/about", about.name))));
    put("sameAs", text(homepage));
    put("license", text(licence_url).or_else(|| text(licence)));
    let organization = |name: &String| {
        let mut whole = json!({ "@type": "Organization", "name": name });
        let more = [
            ("url", publisher_url.as_ref().map(|url| json!(url))),
            ("contactPoint", contact.as_deref().map(contact_point)),
        ];
        if let Some(fields) = whole.as_object_mut() {
            fields.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        whole
    };
    put("publisher", publisher.as_ref().map(organization));
    put("creator", publisher.as_ref().map(|name| json!({ "@type": "Organization", "name": name })));
    put("keywords", (!keywords.is_empty()).then(|| json!(keywords)));
    put("conditionsOfAccess", text(access));
    put("version", Some(json!(about.version.to_string())));
    let modified = about.last_change.at.map_or_else(|| json!(about.last_change.on), |at| json!(at));
    put("dateModified", Some(modified));
    let measured = about
        .columns
        .iter()
        .map(|column| json!({ "@type": "PropertyValue", "name": column.name, "description": column.description }));
    put("variableMeasured", Some(json!(measured.collect::<Vec<_>>())));
    let api = json!({ "@type": "WebAPI", "url": format!("{public_url}/{}", about.name), "documentation": format!("{public_url}/docs") });
    put("subjectOf", Some(api));
    in_script(&Value::Object(fields).to_string())
}

fn contact_point(contact: &str) -> Value {
    match contact.contains("://") {
        true => json!({ "@type": "ContactPoint", "url": contact }),
        false => json!({ "@type": "ContactPoint", "email": contact }),
    }
}

/// JSON for a `script` element: characters that could end the element, or begin a comment, are escaped.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_never_rounded_to_nothing_or_all() {
        let english = |part, all| share(part, all, Language::English);
        assert_eq!(english(0, 0), "0%");
        assert_eq!(english(1, 100_000), "< 0.1%");
        assert_eq!(english(99_999, 100_000), "> 99.9%");
        assert_eq!(english(100, 100), "100%");
        assert_eq!(english(1, 3), "33.3%");
        assert_eq!(share(1, 3, Language::German), "33,3\u{a0}%");
    }

    #[test]
    fn nothing_ends_the_script_that_json_stands_in() {
        let written = in_script(&json!({ "name": "</script><!--&" }).to_string());
        assert!(!written.contains(['<', '>', '&']), "{written}");
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), json!({ "name": "</script><!--&" }));
    }
}
