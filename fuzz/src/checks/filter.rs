//! The parser of query strings and of filter expressions.

use super::expression;
use crate::{
    dataset::{
        Definition,
        query::{
            Filter, InvalidParam, PointInTime, Query, QueryLimits, parse, parse_changes, parse_facets, parse_groups,
            parse_history, parse_read, parse_stats,
        },
    },
    subject::{cursor_key, definitions, everything, records},
};

/// Mistakes in one query that are told at most: fifty, and those of the parameter that was being read.
const PROBLEMS_MAX: usize = 50 + 21;

/// Takes the bytes for a query string, and for an expression in one.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let expression = format!("filter={}", encoded(bytes));
    for definition in definitions() {
        if let Some(query) = check_query(definition, &text) {
            check_filter(definition, &query.filter);
        }
        match read(definition, &expression, &QueryLimits::default()) {
            Ok(query) => check_filter(definition, &query.filter),
            Err(problems) => check_positions(&text, &expression, &problems),
        }
    }
    check_other_questions(everything(), &text);
}

fn encoded(bytes: &[u8]) -> String {
    form_urlencoded::byte_serialize(bytes).collect()
}

fn read(definition: &Definition, raw_query: &str, limits: &QueryLimits) -> Result<Query, Vec<InvalidParam>> {
    parse(definition, raw_query, limits, &cursor_key())
}

fn check_query(definition: &Definition, raw_query: &str) -> Option<Query> {
    match read(definition, raw_query, &QueryLimits::default()) {
        Ok(query) => {
            assert!((1..=1_000).contains(&query.limit), "{}", query.limit);
            assert!(query.order(definition).len() <= 8 + 2);
            assert_eq!(query.normal_form(definition), query.clone().normal_form(definition));
            if let Some(as_of) = query.as_of {
                let written = match as_of {
                    PointInTime::Version(version) => version.to_string(),
                    PointInTime::Moment(moment) => moment.to_string(),
                };
                assert_eq!(PointInTime::parse(&written), Ok(as_of));
                let of_other = |version| as_of == PointInTime::Version(version);
                assert!(query.version().is_none_or(of_other), "a cursor is of the version that is asked about");
            }
            Some(query)
        }
        Err(problems) => {
            check_problems(&problems);
            None
        }
    }
}

fn check_problems(problems: &[InvalidParam]) {
    assert!(!problems.is_empty() && problems.len() <= PROBLEMS_MAX, "{} problems", problems.len());
    for problem in problems {
        assert!(!problem.reason.is_empty() && problem.name.chars().count() <= 80, "{problem:?}");
        assert!(problem.reason.len() < 2_048, "{problem:?}");
        assert_ne!(problem.did_you_mean.as_deref(), Some(problem.name.as_str()), "{problem:?}");
    }
}

/// Whatever is wrong inside of an expression is pointed at.
fn check_positions(text: &str, raw_query: &str, problems: &[InvalidParam]) {
    let limits = QueryLimits::default();
    check_problems(problems);
    if raw_query.len() > limits.query_bytes_max || text.len() > limits.value_bytes_max || text.contains('\u{fffd}') {
        return;
    }
    for problem in problems {
        let position = problem.position.unwrap_or_else(|| panic!("{problem:?} has no place"));
        assert!((1..=text.chars().count() + 1).contains(&position), "{problem:?}");
        assert!(problem.reason.starts_with(&format!("at character {position}: ")), "{problem:?}");
    }
}

fn check_filter(definition: &Definition, filter: &Filter) {
    assert!(filter.terms() <= 32, "{} terms", filter.terms());
    let negated = filter.clone().negated();
    let Some(written) = expression::of(definition, filter) else { return };
    let again = read_expression(definition, &written);
    assert_eq!(form(definition, filter), form(definition, &again), "{written}");
    let opposite = read_expression(definition, &format!("NOT ({written})"));
    assert_eq!(form(definition, &negated), form(definition, &opposite), "{written}");
    for record in records(definition, filter) {
        let matches = filter.matches(&record);
        assert_eq!(matches, again.matches(&record), "{written}: {record:?}");
        assert_eq!(matches, !negated.matches(&record), "{written}: {record:?}");
    }
}

/// Reads what was written of a filter that has passed the limits. Its text may be longer than it was, and one deeper: the
/// parameters of a query are joined, too.
fn read_expression(definition: &Definition, text: &str) -> Filter {
    let limits = QueryLimits {
        query_bytes_max: 16 << 20,
        value_bytes_max: 16 << 20,
        depth_max: 64,
        list_values_max: 32 * 200,
        ..QueryLimits::default()
    };
    let query = read(definition, &format!("filter={}", encoded(text.as_bytes())), &limits);
    query.unwrap_or_else(|problems| panic!("{text}: {problems:?}")).filter
}

fn form(definition: &Definition, filter: &Filter) -> String {
    let mut form = String::new();
    filter.write_normal_form(definition, &mut form);
    form
}

fn check_other_questions(definition: &Definition, raw_query: &str) {
    let limits = QueryLimits::default();
    let key = cursor_key();
    match parse_facets(definition, raw_query, &limits) {
        Ok(facets) => assert!((1..=8).contains(&facets.columns.len()) && !facets.normal_form(definition).is_empty()),
        Err(problems) => check_problems(&problems),
    }
    match parse_groups(definition, raw_query, &limits) {
        Ok(groups) => {
            assert!((1..=4).contains(&groups.by.len()) && (1..=8).contains(&groups.measures.len()));
            let columns = groups.columns(definition);
            assert!(groups.order().iter().all(|term| term.column < columns.len()));
            assert!(!groups.normal_form(definition).is_empty());
        }
        Err(problems) => check_problems(&problems),
    }
    match parse_stats(definition, raw_query, &limits) {
        Ok(stats) => assert!((1..=8).contains(&stats.columns.len()) && !stats.normal_form(definition).is_empty()),
        Err(problems) => check_problems(&problems),
    }
    match parse_read(definition, raw_query, &limits) {
        // A condition is no part of such a question: what is left is a form, and a version or time.
        Ok(form) => assert!(form.select.is_none_or(|select| !select.is_empty())),
        Err(problems) => check_problems(&problems),
    }
    if let Err(problems) = parse_changes(definition, raw_query, &limits, &key) {
        check_problems(&problems);
    }
    if let Err(problems) = parse_history(definition, raw_query, &limits, &key, ("K-1", Some("1"))) {
        check_problems(&problems);
    }
}
