//! Writes a filter as the expression that means it.

use crate::dataset::{
    Definition, Value,
    query::{Filter, Term, Test},
};

/// The expression; none for the filter that every record matches, since an expression is never empty, and none for a search for words,
/// which is a parameter of its own.
pub(super) fn of(definition: &Definition, filter: &Filter) -> Option<String> {
    let mut out = String::new();
    if has_words(filter) {
        return None;
    }
    (*filter != Filter::All(Vec::new())).then(|| write(definition, filter, &mut out))?;
    Some(out)
}

fn has_words(filter: &Filter) -> bool {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => filters.iter().any(has_words),
        Filter::Not(filter) => has_words(filter),
        Filter::Words(_) => true,
        Filter::Term(_) => false,
    }
}

fn write(definition: &Definition, filter: &Filter, out: &mut String) {
    match filter {
        Filter::All(filters) => write_joined(definition, filters, " AND ", out),
        Filter::Any(filters) => write_joined(definition, filters, " OR ", out),
        Filter::Not(filter) => {
            out.push_str("NOT (");
            write(definition, filter, out);
            out.push(')');
        }
        Filter::Words(_) => unreachable!("it was looked at before"),
        Filter::Term(Term { column, test }) => write_test(&definition.columns[*column].name, test, out),
    }
}

fn write_joined(definition: &Definition, filters: &[Filter], between: &str, out: &mut String) {
    assert!(filters.len() > 1, "nothing is joined for nothing: {filters:?}");
    for (place, filter) in filters.iter().enumerate() {
        if place > 0 {
            out.push_str(between);
        }
        let nested = matches!(filter, Filter::All(_) | Filter::Any(_));
        out.push_str(if nested { "(" } else { "" });
        write(definition, filter, out);
        out.push_str(if nested { ")" } else { "" });
    }
}

fn write_test(column: &str, test: &Test, out: &mut String) {
    let text = |text: &String| vec![Value::Text(text.clone())];
    let (sign, values) = match test {
        Test::Equal(value) => (" = ", vec![value.clone()]),
        Test::NotEqual(value) => (" != ", vec![value.clone()]),
        Test::Less(value) => (" < ", vec![value.clone()]),
        Test::LessOrEqual(value) => (" <= ", vec![value.clone()]),
        Test::Greater(value) => (" > ", vec![value.clone()]),
        Test::GreaterOrEqual(value) => (" >= ", vec![value.clone()]),
        Test::Contains(needle) => (" : ", text(needle)),
        Test::StartsWith(prefix) => ("startswith", text(prefix)),
        Test::Between(low, high) => ("between", vec![low.clone(), high.clone()]),
        Test::In(values) => ("in", values.clone()),
        Test::NotIn(values) => ("notin", values.clone()),
        Test::Inside(area) => {
            let (operator, value) = area.written();
            (operator, vec![Value::Text(value)])
        }
        Test::Null(wanted) => ("isnull", vec![Value::Text(wanted.to_string())]),
    };
    match sign.strip_prefix(' ') {
        Some(_) => {
            out.push_str(column);
            out.push_str(sign);
            write_value(&values[0], out);
        }
        None => {
            out.push_str(sign);
            out.push('(');
            out.push_str(column);
            for value in &values {
                out.push_str(", ");
                write_value(value, out);
            }
            out.push(')');
        }
    }
}

fn write_value(value: &Value, out: &mut String) {
    out.push('"');
    for character in value.to_string().chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}
