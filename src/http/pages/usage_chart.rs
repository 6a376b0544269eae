//! Charts of a person's use: stacked bars for each day, with the table behind them.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::{Value, json};

use super::{language::Language, wording};
use crate::{
    domain::{
        id::UserId,
        usage::{DAYS_DEFAULT, UsageDivision},
    },
    http::{Problem, routes::usage, state::Service},
};

/// Parts that have a color of their own; the others share one more.
const SERIES_MAX: usize = 4;
/// The name of the shared part, which no data set has.
const OTHERS: &str = "…";
/// The height of a chart's bars, and the width of a day, in units of the drawing.
const HEIGHT: u64 = 160;
const DAY_WIDTH: usize = 20;

/// A person's use in the last days, by data set and by outcome, for `parts/usage.html`.
///
/// # Errors
/// When the store does not answer.
pub(super) async fn charts(service: &Service, user: UserId, language: Language) -> Result<Value, Problem> {
    let report = async |by| {
        let report = usage::report(service, user, DAYS_DEFAULT, Some(by)).await?;
        Ok::<_, Problem>(report.document())
    };
    let by_dataset = by_dataset_chart(&report(UsageDivision::Dataset).await?, language);
    let by_status = by_status_chart(&report(UsageDivision::Status).await?, language);
    Ok(json!({ "days": DAYS_DEFAULT, "by_dataset": by_dataset, "by_status": by_status }))
}

/// Requests by day and part, from the rows of a report.
type CountedRequests = BTreeMap<String, BTreeMap<String, u64>>;

fn counted(report: &Value, part: impl Fn(&Value) -> String) -> CountedRequests {
    let mut counted = CountedRequests::new();
    for row in report["data"].as_array().into_iter().flatten() {
        let day = row["day"].as_str().unwrap_or_default().to_owned();
        let requests = row["requests"].as_u64().unwrap_or(0) + row["refused"].as_u64().unwrap_or(0);
        *counted.entry(day).or_default().entry(part(row)).or_default() += requests;
    }
    counted
}

fn by_dataset_chart(report: &Value, language: Language) -> Value {
    let counted = counted(report, |row| row["dataset"].as_str().unwrap_or_default().to_owned());
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (part, requests) in counted.values().flatten() {
        *sums.entry(part).or_default() += requests;
    }
    let mut names: Vec<(&str, u64)> = sums.into_iter().collect();
    names.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    let names: Vec<String> = names.into_iter().take(SERIES_MAX).map(|(name, _)| name.to_owned()).collect();
    let others = counted
        .iter()
        .map(|(day, parts)| {
            let mut kept: BTreeMap<String, u64> = BTreeMap::new();
            for (part, requests) in parts {
                let part = if names.contains(part) { part.as_str() } else { OTHERS };
                *kept.entry(part.to_owned()).or_default() += requests;
            }
            (day.clone(), kept)
        })
        .collect();
    let series: Vec<(String, &str)> =
        names.into_iter().zip(["s1", "s2", "s3", "s4"]).chain([(OTHERS.to_owned(), "s5")]).collect();
    chart(report, &others, &series, language)
}

fn by_status_chart(report: &Value, language: Language) -> Value {
    let class = |row: &Value| match row["status"].as_u64() {
        Some(200..=399) => "answered",
        Some(429) => "waited",
        Some(400..=499) => "refused",
        Some(_) => "failed",
        None => "unknown",
    };
    let counted = counted(report, |row| class(row).to_owned());
    let series = [("answered", "s1"), ("refused", "s2"), ("waited", "s3"), ("failed", "bad"), ("unknown", "s5")];
    chart(report, &counted, &series.map(|(name, color)| (name.to_owned(), color)), language)
}

/// A stacked bar for each day, and the table behind the bars. Unused parts are left out.
fn chart(report: &Value, counted: &CountedRequests, series: &[(String, &str)], language: Language) -> Value {
    let used: Vec<&(String, &str)> = series
        .iter()
        .filter(|(name, _)| counted.values().any(|parts| parts.get(name).is_some_and(|n| *n > 0)))
        .collect();
    let total = |parts: &BTreeMap<String, u64>| parts.values().sum::<u64>();
    let max = counted.values().map(total).max().unwrap_or(0);
    let top = round_up(max);
    let days: Vec<Value> = days(report).into_iter().enumerate().map(|(place, date)| {
        let day = date.to_string();
        let empty = BTreeMap::new();
        let parts = counted.get(&day).unwrap_or(&empty);
        let mut below = 0;
        let bars: Vec<Value> = used.iter().filter_map(|(name, color)| {
            let requests = parts.get(name).copied().filter(|requests| *requests > 0)?;
            let (from, to) = (height(below, top), height(below + requests, top));
            below += requests;
            Some(json!({ "class": color, "y": HEIGHT - to, "height": (to - from).max(1), "name": name, "requests": requests }))
        }).collect();
        let cells: Vec<u64> = used.iter().map(|(name, _)| parts.get(name).copied().unwrap_or(0)).collect();
        json!({ "day": day, "shown": wording::day(date, language), "x": place * DAY_WIDTH, "bars": bars, "cells": cells, "total": total(parts) })
    }).collect();
    let series: Vec<Value> = used.iter().map(|(name, color)| json!({ "name": name, "class": color })).collect();
    let sum: u64 = counted.values().map(total).sum();
    json!({
        "days": days, "series": series, "top": top, "half": top / 2, "sum": sum,
        "width": days.len() * DAY_WIDTH, "height": HEIGHT,
    })
}

/// The height of this many requests in the drawing.
fn height(requests: u64, top: u64) -> u64 {
    requests.saturating_mul(HEIGHT).checked_div(top).unwrap_or(0)
}

/// The least round number that is not below `max`, for the axis.
fn round_up(max: u64) -> u64 {
    let mut unit = 1_u64;
    while unit.saturating_mul(10) < max {
        unit = unit.saturating_mul(10);
    }
    let steps = [2, 4, 6, 8, 10].map(|step: u64| step.saturating_mul(unit));
    steps.into_iter().find(|step| *step >= max).unwrap_or(max)
}

/// The days of a report, from the first to the last.
fn days(report: &Value) -> Vec<Date> {
    let date = |name: &str| report[name].as_str().and_then(|text| text.parse::<Date>().ok());
    let (Some(mut day), Some(last)) = (date("from"), date("to")) else { return Vec::new() };
    let mut days = Vec::new();
    while day <= last {
        days.push(day);
        match day.tomorrow() {
            Ok(next) => day = next,
            Err(_) => break,
        }
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_upon_each_other_and_fit() {
        let report = json!({ "from": "2026-02-27", "to": "2026-03-01", "data": [
            { "day": "2026-02-28", "status": 200, "requests": 30, "refused": 0 },
            { "day": "2026-02-28", "status": 429, "requests": 0, "refused": 10 },
            { "day": "2026-03-01", "status": 200, "requests": 1, "refused": 0 },
        ] });
        let chart = by_status_chart(&report, Language::English);
        assert_eq!((&chart["top"], &chart["sum"], &chart["width"]), (&json!(40), &json!(41), &json!(60)));
        assert_eq!(chart["days"][0]["bars"], json!([]));
        let bars = &chart["days"][1]["bars"];
        assert_eq!((&bars[0]["y"], &bars[0]["height"]), (&json!(40), &json!(120)));
        assert_eq!((&bars[1]["y"], &bars[1]["height"]), (&json!(0), &json!(40)));
        assert_eq!(chart["days"][1]["cells"], json!([30, 10]));
    }

    #[test]
    fn what_is_used_least_is_one_part() {
        let rows: Vec<Value> = (1..=7)
            .map(|n| json!({ "day": "2026-03-01", "dataset": format!("set{n}"), "requests": n, "refused": 0 }))
            .collect();
        let chart =
            by_dataset_chart(&json!({ "from": "2026-03-01", "to": "2026-03-01", "data": rows }), Language::English);
        let names: Vec<&str> =
            chart["series"].as_array().unwrap().iter().map(|part| part["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["set7", "set6", "set5", "set4", OTHERS]);
        assert_eq!(chart["days"][0]["cells"], json!([7, 6, 5, 4, 6]));
    }

    #[test]
    fn axes_are_round() {
        let tops = [0, 1, 2, 3, 9, 10, 11, 40, 41, 999, 1001].map(round_up);
        assert_eq!(tops, [2, 2, 2, 4, 10, 10, 20, 40, 60, 1000, 2000]);
    }
}
