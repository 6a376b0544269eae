//! The table: rows of a data set, with the controls to choose, order and count them.

use std::collections::HashMap;

use actix_web::http::{
    StatusCode,
    header::{self, HeaderValue},
};
use serde_json::{Value as Json, json};

use super::{
    address::{CHART, GROUP_BY, GROUP_MEASURE, GROUP_SPLIT, MAP, PARAMETERS_MAX, PageAddress, VALUES},
    groups, map,
    reader::{DataReader, NotShown, TEMPLATE, trouble},
    record::as_of_path,
    rows::HtmlRows,
    summary, wording,
};
use crate::{
    dataset::{
        Column, ColumnType, Definition,
        query::{AS_OF, Format, Groups, InvalidParam, Query},
        summary::Facet,
    },
    http::{
        Problem, ProblemCode, address as addresses,
        pages::visit::Shown,
        routes::data::{asked::PageOfRows, data_sets::DataSets},
    },
};

/// Rows on a page at most.
const ROWS_MAX: u32 = 250;
/// Cells on a page at most.
const CELLS_MAX: usize = 20_000;
/// Columns that have fields to filter by, at most: others have to be chosen first.
const FILTERS_MAX: usize = 60;
/// The same for a long address: each column's form holds all of it.
const FILTERS_OF_LONG_MAX: usize = 10;
/// Bytes above which an address is long.
const LONG_BYTES: usize = 2_000;
/// Conditions, and mistakes, that a page shows at most. Each has a link that holds all the others.
const SHOWN_MAX: usize = 20;
const SIZES: [u32; 4] = [25, 50, 100, 250];
const OF_GROUPS: [&str; 3] = [GROUP_BY, GROUP_SPLIT, GROUP_MEASURE];

/// The columns that are asked about besides the rows.
#[derive(Default)]
struct Beside {
    values: Option<usize>,
    chart: Option<usize>,
    groups: Option<Groups>,
    map: Option<usize>,
}

impl Beside {
    /// The number of questions about them.
    fn cost(&self) -> u64 {
        let of_columns = match (self.values, self.chart) {
            (None, None) => 0,
            (Some(one), Some(other)) if one != other => 2,
            _ => 1,
        };
        of_columns + u64::from(self.groups.is_some()) + if self.map.is_some() { map::COST } else { 0 }
    }
}

/// Everything that the page is made of.
struct TablePage<'r, 'd> {
    reader: &'r DataReader<'d>,
    address: PageAddress,
    wrong: Vec<InvalidParam>,
    query: Option<Query>,
    status: StatusCode,
    context: serde_json::Map<String, Json>,
}

/// `GET /{dataset}/explore`
pub(super) async fn show(reader: &DataReader<'_>) -> Shown {
    let raw = reader.request().query_string();
    let address = PageAddress::read(raw).in_plain_numbers(&reader.data_set.definition, reader.visit.language);
    if address.differs_from(raw) {
        return reader.visit.led(&address.path(&reader.base()), None);
    }
    if address.pairs().len() > PARAMETERS_MAX {
        let detail = format!("a page shows at most {PARAMETERS_MAX} parameters; a program may ask for more");
        return Err(Problem::new(ProblemCode::InvalidParameters, detail).into());
    }
    let mut wrong = Vec::new();
    let mut noted = |found: Result<Option<usize>, InvalidParam>| {
        found.unwrap_or_else(|found| {
            wrong.push(found);
            None
        })
    };
    let values = noted(summary::column(reader, &address, VALUES));
    let chart = noted(summary::column(reader, &address, CHART));
    let map = noted(map::column(reader, &address));
    let groups = groups::question(reader, &address).unwrap_or_else(|found| {
        wrong.extend(found);
        None
    });
    let beside = Beside { values, chart, groups, map };
    let query = match reader.data.question(&reader.data_set, &address.of_api().query()) {
        Ok(query) => Some(query),
        Err(found) => {
            wrong.extend(found);
            None
        }
    };
    if query.as_ref().is_some_and(|query| query.select.is_none()) && address.get("select").is_some() {
        // Choosing all columns is no choice.
        return reader.visit.led(&address.without(&["select"]).path(&reader.base()), None);
    }
    let is_right = wrong.is_empty();
    let cost = if is_right { 1 + beside.cost() } else { 1 };
    let status = if is_right { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let mut made = TablePage { reader, address, wrong, query, status, context: serde_json::Map::new() };
    let mut retry_after_s = None;
    match reader.admit(cost).await {
        Ok(mut pass) => {
            let who = pass.user;
            let kept = match made.query.clone().filter(|_| is_right) {
                Some(query) => made.ask(who, &query, &beside, cost).await,
                // Wrong parameters ask nothing.
                None => Ok(0),
            };
            let (kept, failed) = match kept {
                Ok(kept) => (kept, None),
                // The page shows no further answers: it is charged one request at most.
                Err(problem) => (DataSets::charged(&problem, 1), Some(problem)),
            };
            let wrong = failed.as_ref().map(Problem::wrong_params).unwrap_or_default();
            if !wrong.is_empty() {
                // A version to come: only the store knows that there is none yet.
                (made.wrong, made.status) = (wrong, StatusCode::BAD_REQUEST);
                let paid = reader.charged(&mut pass, 0, made.status);
                made.put("paid", paid);
            } else if let Some(problem) = failed {
                made.status = problem.code().status();
                let says = trouble(&problem, made.address.get("cursor").is_some());
                let paid = reader.charged(&mut pass, kept, made.status);
                let Some(says) = says else { return Err(problem.into()) };
                made.put("trouble", says);
                made.put("paid", paid);
            } else {
                let paid = reader.charged(&mut pass, kept, made.status);
                made.put("paid", paid);
            }
        }
        Err(NotShown::Answered(answered)) => return answered,
        Err(NotShown::Limited(limited)) => {
            made.status = ProblemCode::QuotaExceeded.status();
            retry_after_s = Some(limited.retry_after_s);
            made.put("trouble", limited.says);
        }
    }
    let mut response = made.page(&beside)?;
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

impl TablePage<'_, '_> {
    fn put(&mut self, name: &str, value: impl Into<Json>) {
        self.context.insert(name.to_owned(), value.into());
    }

    fn definition(&self) -> &Definition {
        &self.reader.data_set.definition
    }

    /// The columns that are shown.
    fn chosen(&self) -> Vec<usize> {
        let select = self.query.as_ref().and_then(|query| query.select.clone());
        select.unwrap_or_else(|| (0..self.definition().columns.len()).collect())
    }

    /// Asks all questions of the page; returns how many requests count.
    async fn ask(
        &mut self,
        who: crate::domain::id::UserId,
        query: &Query,
        beside: &Beside,
        cost: u64,
    ) -> Result<u64, Problem> {
        let (reader, chosen) = (self.reader, self.chosen());
        let most = u32::try_from(CELLS_MAX / chosen.len().max(1)).unwrap_or(ROWS_MAX).clamp(10, ROWS_MAX);
        let mut asked = Query { limit: query.limit.min(most), explain: false, format: None, ..query.clone() };
        if let Some(select) = &mut asked.select {
            // The link to a record's page needs these columns.
            let definition = &reader.data_set.definition;
            let missing = [definition.key, definition.record_id].into_iter().filter(|column| !chosen.contains(column));
            select.extend(missing);
        }
        let page = reader.data.rows(who, &reader.data_set, &asked).await?;
        self.rows(&chosen, &page);
        if asked.limit < query.limit {
            self.put("most", asked.limit);
        }
        let mut kept = cost;
        let mut known: HashMap<usize, (u64, Facet)> = HashMap::new();
        for column in [beside.chart, beside.values].into_iter().flatten() {
            if known.contains_key(&column) {
                continue;
            }
            let kind = reader.data_set.definition.column_kind(column);
            let limit = summary::values_wanted(kind, beside.chart == Some(column));
            match reader.data.values_of(who, &reader.data_set, (query, column, limit)).await {
                Ok(found) => drop(known.insert(column, found)),
                Err(problem) => kept -= self.lacks(problem, cost)?,
            }
        }
        if let Some((records, facet)) = beside.values.and_then(|column| known.get(&column)) {
            let listed = summary::listed(reader, &self.address, facet, *records);
            self.put("values", listed);
        }
        if let Some((records, facet)) = beside.chart.and_then(|column| known.get(&column)) {
            let drawn = summary::drawn(reader, &self.address, facet, *records);
            self.put("chart", drawn);
        }
        if let Some(asked) = &beside.groups {
            match reader.data.groups_of(who, &reader.data_set, asked).await {
                Ok(found) => self.put("groups", groups::drawn(reader, &self.address, asked, &found)?),
                Err(problem) => kept -= self.lacks(problem, cost)?,
            }
        }
        if let Some(column) = beside.map {
            match map::drawn(reader, who, &self.address, column).await {
                Ok(drawn) => self.put("map", drawn),
                Err(problem) => kept -= self.lacks(problem, cost)?,
            }
        }
        Ok(kept)
    }

    /// Notes that one of the parts beside the rows could not be made, of a page of this cost. Returns how many requests that gives back.
    fn lacks(&mut self, problem: Problem, cost: u64) -> Result<u64, Problem> {
        let given_back = cost - DataSets::charged(&problem, cost);
        let Some(says) = trouble(&problem, true) else { return Err(problem) };
        self.put("beside_trouble", says);
        Ok(given_back)
    }

    fn rows(&mut self, chosen: &[usize], page: &PageOfRows) {
        let language = self.reader.visit.language;
        let definition = self.definition();
        let columns: Vec<&Column> = chosen.iter().filter_map(|place| definition.columns.get(*place)).collect();
        let (key, id) = (definition.column_name(definition.key), definition.column_name(definition.record_id));
        let prefix = addresses::prefix(&self.reader.visit.service.public_url);
        let mut rows = HtmlRows::new();
        for record in &page.records {
            let text_of = |name: &str| record.get(name).and_then(Json::as_str).unwrap_or_default();
            let path = self.reader.path_of(text_of(key), Some(text_of(id)));
            let href = format!("{prefix}{}", as_of_path(&path, self.address.get(AS_OF)));
            let cells = columns.iter().map(|column| {
                let value = record.get(&column.name).unwrap_or(&Json::Null);
                (wording::shown(column.kind, value, language), is_number(column.kind))
            });
            rows.write(&href, &format!("{} {}", text_of(key), text_of(id)), cells);
        }
        let next = page.next.as_ref().map(|cursor| self.address.going_on(cursor).path(&self.reader.base()));
        let shown = json!({ "rows": rows.finish(), "count": page.count, "next": next });
        self.put("table", shown);
    }

    fn page(mut self, beside: &Beside) -> Shown {
        let base = self.reader.base();
        let definition = &self.reader.data_set.definition;
        let chosen = self.chosen();
        let settings = &self.reader.visit.service.settings;
        let is_first = self.address.get("cursor").is_none();
        let first = (!is_first).then(|| self.address.without(&[]).path(&base));
        let said = self.query.as_ref().map(|query| self.speaker().question(query)).transpose()?;
        let choices: Vec<Json> = definition
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| {
                json!({ "name": column.name, "label": wording::label(&column.name), "chosen": chosen.contains(&place), "description": column.description })
            })
            .collect();
        let limit = self.query.as_ref().map_or(100, |query| query.limit);
        let size_is_usual = SIZES.contains(&limit);
        let parts = [
            ("dataset", self.reader.described()),
            ("heads", self.heads(&chosen)),
            ("chips", self.chips()?),
            ("filters", self.filters(&chosen)),
            ("choices", Json::Array(choices)),
            ("columns_hidden", json!(self.address.without(&["select"]).pairs())),
            ("sizes", json!(SIZES)),
            ("size", json!(limit)),
            ("size_is_usual", json!(size_is_usual)),
            ("size_hidden", json!(self.address.without(&["limit"]).pairs())),
            ("filter_hidden", json!(self.address.without(&["filter"]).pairs())),
            ("expression", json!(self.address.get("filter"))),
            ("values_of", json!(self.address.get(VALUES))),
            ("values_hidden", json!(self.address.without(&[VALUES]).pairs())),
            ("values_off", json!(self.address.without(&[VALUES]).path(&base))),
            ("chart_of", json!(self.address.get(CHART))),
            ("chart_hidden", json!(self.address.without(&[CHART]).pairs())),
            ("chart_off", json!(self.address.without(&[CHART]).path(&base))),
            ("groups_by", json!(self.address.get(GROUP_BY))),
            ("groups_split", json!(self.address.get(GROUP_SPLIT))),
            ("groups_measure", json!(self.address.get(GROUP_MEASURE))),
            ("groups_choices", groups::choices(self.reader)),
            ("groups_hidden", json!(self.address.without(&OF_GROUPS).pairs())),
            ("groups_off", json!(self.address.without(&OF_GROUPS).path(&base))),
            ("map_of", json!(self.address.get(MAP))),
            ("map_choices", map::choices(self.reader)),
            ("map_hidden", json!(self.address.without(&[MAP]).pairs())),
            ("map_off", json!(self.address.without(&[MAP]).path(&base))),
            ("as_of", json!(self.address.get("as_of"))),
            ("as_of_hidden", json!(self.address.without(&["as_of"]).pairs())),
            ("as_of_off", json!(self.address.without(&["as_of"]).path(&base))),
            ("words", json!(self.address.get("q"))),
            ("is_searched", json!(definition.is_searched())),
            ("words_hidden", json!(self.address.without(&["q", "sort"]).pairs())),
            (
                "rows_only",
                json!(self.address.without(&[&[CHART, VALUES, MAP], OF_GROUPS.as_slice()].concat()).path(&base)),
            ),
            ("again", json!(self.address.path(&base))),
            ("counted", json!(self.address.with("count", "exact").path(&base))),
            ("first", json!(first)),
            ("bare", json!(base)),
            ("in_words", json!(said)),
            ("form", self.form()),
            ("corrections", self.corrections()),
            ("more_wrong", json!(self.wrong.len().saturating_sub(SHOWN_MAX))),
            ("more_chips", json!(self.address.conditions().count().saturating_sub(SHOWN_MAX))),
            ("cost", json!(1 + beside.cost())),
            ("export_cost", json!(settings.records.export_cost)),
            ("as_request", self.as_request()),
        ];
        for (name, value) in parts {
            self.put(name, value);
        }
        let context = Json::Object(std::mem::take(&mut self.context));
        self.reader.visit.page_as(self.status, TEMPLATE, &context)
    }

    fn speaker(&self) -> wording::Speaker<'_> {
        wording::Speaker { definition: self.definition(), language: self.reader.visit.language }
    }

    fn heads(&self, chosen: &[usize]) -> Json {
        let base = self.reader.base();
        let sort = self.query.as_ref().and_then(|query| query.sort.first().copied());
        let heads = chosen.iter().filter_map(|place| {
            let column = self.definition().columns.get(*place)?;
            let sorted = sort.filter(|term| term.column == *place);
            // A second click reverses the order, a third removes it.
            let (aria, next) = match sorted.map(|term| term.descending) {
                // Points have no order.
                None if column.kind == ColumnType::Point => ("", None),
                None => ("", Some(column.name.clone())),
                Some(false) => ("ascending", Some(format!("-{}", column.name))),
                Some(true) => ("descending", None),
            };
            let led = match next {
                Some(next) => self.address.with("sort", &next),
                None => self.address.without(&["sort"]),
            };
            Some(json!({
                "label": wording::label(&column.name), "aria": aria, "href": led.path(&base), "is_number": is_number(column.kind),
                "description": column.description,
            }))
        });
        Json::Array(heads.collect())
    }

    /// The conditions in words, each with a link that removes it.
    fn chips(&self) -> Result<Json, Problem> {
        let mut chips = Vec::new();
        for (name, value) in self.address.conditions().take(SHOWN_MAX) {
            let alone = PageAddress::default().with(name, value);
            let is_wrong = self.wrong.iter().any(|wrong| wrong.name == *name);
            let said = match self.reader.data.question(&self.reader.data_set, &alone.query()) {
                Ok(query) if !query.filter.parts().is_empty() => self.speaker().filter(&query.filter)?,
                Ok(_) if name == AS_OF => self.speaker().as_of(value)?,
                _ => wording::cut(&format!("{name} = {value}"), 80).into_owned(),
            };
            // Without a search there is no relevance.
            let is_search = name == "q" && self.query.as_ref().is_none_or(|query| query.ranking.is_some());
            let names: &[&str] = if is_search { &[name, "sort"] } else { &[name] };
            let without = self.address.without(names).path(&self.reader.base());
            chips.push(json!({ "said": said, "href": without, "is_wrong": is_wrong }));
        }
        Ok(Json::Array(chips))
    }

    /// The fields to filter by, column by column.
    fn filters(&self, chosen: &[usize]) -> Json {
        let definition = self.definition();
        let has_condition = |name: &str| {
            let of_column =
                |given: &str| given == name || given.strip_prefix(name).is_some_and(|rest| rest.starts_with("__"));
            self.address.conditions().any(|(given, _)| of_column(given))
        };
        let is_long = self.address.query().len() > LONG_BYTES;
        let offered_max = if is_long { FILTERS_OF_LONG_MAX } else { FILTERS_MAX };
        let offered = definition.columns.iter().enumerate().filter(|(place, column)| {
            let nth = chosen.iter().position(|chosen| chosen == place);
            nth.is_some_and(|nth| nth < offered_max) || (!is_long && has_condition(&column.name))
        });
        let filters = offered.map(|(_, column)| {
            let name = &column.name;
            let fields: Vec<(String, &str, &str)> = match column.kind {
                ColumnType::Text => vec![
                    (self.is_field(name), "is", "text"),
                    (format!("{name}__contains"), "contains", "text"),
                    (format!("{name}__startswith"), "starts", "text"),
                ],
                ColumnType::Point => vec![(self.is_field(name), "is", "text")],
                kind => {
                    let input = match kind {
                        ColumnType::Date => "date",
                        ColumnType::Timestamp => "moment",
                        _ => "number",
                    };
                    vec![
                        (format!("{name}__gte"), "from", input),
                        (format!("{name}__lte"), "to", input),
                        (self.is_field(name), "is", input),
                    ]
                }
            };
            let empty = format!("{name}__isnull");
            let mut names: Vec<&str> = fields.iter().map(|(name, ..)| name.as_str()).collect();
            names.push(&empty);
            let hidden = self.address.without(&names);
            let is_used = names.iter().any(|name| self.address.get(name).is_some());
            let fields: Vec<Json> = fields
                .iter()
                .map(|(name, means, input)| {
                    let wrong = self.told(name);
                    // A field for days shows nothing but days, and the typed text has to stay.
                    let input = if wrong.is_some() { "text" } else { input };
                    json!({ "name": name, "means": means, "input": input, "value": self.address.get(name), "wrong": wrong })
                })
                .collect();
            json!({
                "name": name, "label": wording::label(name), "description": column.description, "fields": fields, "empty": empty,
                "is_empty": self.address.get(&empty) == Some("true"), "hidden": hidden.pairs(), "is_used": is_used,
            })
        });
        Json::Array(filters.collect())
    }

    /// The parameter for equality with a column: `__eq` where the address has that, otherwise the bare name.
    fn is_field(&self, name: &str) -> String {
        let full = format!("{name}__eq");
        if self.address.get(&full).is_some() { full } else { name.to_owned() }
    }

    /// The mistake in a parameter.
    fn told(&self, name: &str) -> Option<&str> {
        self.wrong.iter().find(|wrong| wrong.name == name).map(|wrong| wrong.reason.as_str())
    }

    /// The mistakes, as the macros of forms take them.
    fn form(&self) -> Json {
        if self.wrong.is_empty() {
            return Json::Null;
        }
        let fields: serde_json::Map<String, Json> =
            self.wrong.iter().take(SHOWN_MAX).map(|wrong| (wrong.name.clone(), json!(wrong.reason))).collect();
        json!({ "reason": "", "fields": fields, "values": {} })
    }

    /// The mistakes, each with the probable meaning and a link to it.
    fn corrections(&self) -> Json {
        let base = self.reader.base();
        let definition = self.definition();
        let corrections =
            self.wrong.iter().take(SHOWN_MAX).map(|InvalidParam { name, reason, did_you_mean, position, .. }| {
                let value = self.address.get(name).unwrap_or_default();
                // The suggestion is another name, or another value of one of these parameters.
                let is_value = matches!(name.as_str(), "count" | "format" | "numbers" | VALUES | CHART);
                let led = did_you_mean.as_ref().and_then(|meant| match name.as_str() {
                    _ if is_value => Some(self.address.with(name, meant)),
                    "select" | "sort" => {
                        corrected_list(definition, value, meant).map(|list| self.address.with(name, &list))
                    }
                    "filter" => None,
                    _ => Some(self.address.without(&[name]).with(meant, value)),
                });
                json!({
                    "name": name, "reason": reason, "meant": did_you_mean, "position": position,
                    "href": led.map(|led| led.path(&base)), "without": self.address.without(&[name]).path(&base),
                })
            });
        Json::Array(corrections.collect())
    }

    /// The requests that give a program the same rows, and the files of all that match.
    fn as_request(&self) -> Json {
        let name = &self.definition().name;
        let public_url = &self.reader.visit.service.public_url;
        let of = |address: &PageAddress| address.path(&format!("/{name}"));
        let page = format!("{public_url}{}", of(&self.address.of_api()));
        let export = |format: Format| self.address.of_export().with("format", format.name());
        let curl = |url: &str| format!("curl -H \"x-api-key: $KEY\" '{}'", url.replace('\'', "%27"));
        let curl_of = |format: Format| curl(&format!("{public_url}{}", of(&export(format))));
        let has_points = !self.definition().points().is_empty();
        let downloads = [
            ("CSV", Format::Csv),
            ("Excel", Format::Xlsx),
            ("Parquet", Format::Parquet),
            ("Arrow", Format::Arrow),
            ("NDJSON", Format::Ndjson),
        ];
        let geojson = has_points.then_some(("GeoJSON", Format::Geojson));
        let downloads: Vec<Json> = downloads
            .into_iter()
            .chain(geojson)
            .map(|(shown, format)| {
                let address = match format {
                    // A click opens the file in a spreadsheet, which takes some texts for formulas, and others for texts of its own code page.
                    Format::Csv => export(format).with("csv_safe", "true").with("bom", "true"),
                    _ => export(format),
                };
                json!({ "format": shown, "href": of(&address), "file": format!("{name}.{}", format.suffix()) })
            })
            .collect();
        json!({
            "url": page, "curl": curl(&page), "curl_csv": curl_of(Format::Csv), "curl_ndjson": curl_of(Format::Ndjson),
            "curl_parquet": format!("{} -o {name}.parquet", curl_of(Format::Parquet)), "downloads": downloads,
        })
    }
}

/// The list with the suggested name in place of the unknown one.
fn corrected_list(definition: &Definition, list: &str, meant: &str) -> Option<String> {
    let is_known = |name: &str| definition.column_index(name.trim_start_matches('-')).is_some();
    let wrong = list.split(',').find(|name| !is_known(name))?;
    let sign = if wrong.starts_with('-') { "-" } else { "" };
    let corrected = list.split(',').map(|name| if name == wrong { format!("{sign}{meant}") } else { name.to_owned() });
    Some(corrected.collect::<Vec<_>>().join(","))
}

/// Whether values of the type are aligned by their last digit.
fn is_number(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Integer | ColumnType::Money | ColumnType::Number)
}
