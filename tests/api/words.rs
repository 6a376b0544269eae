//! Words: what `q` finds, in which order, and what it says where it cannot be asked.

use serde_json::json;

use crate::data::{names, serving, things_of, walk};

const COLUMNS: &str = "[[column]]\nname = \"note\"\nheaders = [\"Note\"]\nsearchable = true\n\
    [[column]]\nname = \"place\"\nheaders = [\"Place\"]\nsearchable = true\n\
    [[column]]\nname = \"other\"\nheaders = [\"Other\"]\n";

const ROWS: &str = "\
Name,Note,Place,Other
a,Remodeling of the KITCHEN,Café Müller,kitchen remodel
b,kitchen remodel,,
c,Kitchens,remodel here,
d,a bath,東京都,
e,,,kitchen
f,the kitchen remodel,,
";

#[tokio::test]
async fn words_are_found_in_the_columns_that_are_searched() {
    let (app, key) = things_of(COLUMNS, ROWS).await;
    for (words, expected) in [
        ("kitchen", vec!["a", "b", "c", "f"]),
        ("remodel+kitchen", vec!["a", "b", "c", "f"]),
        ("KITCHENS", vec!["c"]),
        ("cafe+muller", vec!["a"]),
        ("M%C3%9CLLER", vec!["a"]),
        ("%E4%BA%AC%E9%83%BD", vec!["d"]),
        ("itchen", vec![]),
        ("kitchen&name=b", vec!["b"]),
        ("kitchen&filter=NOT+name+%3D+b", vec!["a", "c", "f"]),
        ("kitchen&sort=-name", vec!["f", "c", "b", "a"]),
        ("kitchen+remodel&sort=relevance", vec!["b", "f", "a", "c"]),
        ("kitchen&sort=relevance,-name", vec!["f", "b", "a", "c"]),
    ] {
        let answer = app.get(&format!("/things?q={words}&count=exact"), &key).await.expect(200).json();
        assert_eq!(names(&answer), expected, "{words}");
        assert_eq!(answer["page"]["count"], expected.len(), "{words}");
    }
    let groups = app.get("/things/groups?by=place&q=kitchen", &key).await.expect(200).json();
    assert_eq!(groups["records"], 4);
    let csv = app.get("/things?q=kitchen+remodel&sort=relevance&format=csv&select=name", &key).await.expect(200);
    assert_eq!(csv.body, "name\r\nb\r\nf\r\na\r\nc\r\n");
}

#[tokio::test]
async fn a_walk_by_relevance_meets_each_record_once() {
    let (app, key) = serving(600).await;
    let whole = app.get("/permits?q=re&sort=relevance&limit=1000&select=application_number,record_id", &key).await;
    let whole = whole.expect(200).json();
    assert!(whole["data"].as_array().unwrap().len() > 20, "{whole}");
    for limit in [1, 7, 50] {
        let path = format!("/permits?q=re&sort=relevance&limit={limit}&select=application_number,record_id");
        let (records, _) = walk(&app, &key, &path).await;
        assert_eq!(json!(records), whole["data"]);
    }
}

#[tokio::test]
async fn what_cannot_be_searched_is_said() {
    let (app, key) = things_of(COLUMNS, ROWS).await;
    let told = async |query: &str| {
        let answer = app.get(&format!("/things{query}"), &key).await.expect(400).json();
        let wrong = &answer["invalid_params"][0];
        format!("{}: {}", wrong["name"].as_str().unwrap(), wrong["reason"].as_str().unwrap())
    };
    for (query, expected) in [
        ("?q=", "q: holds no word"),
        ("?q=%2B-%2B", "q: holds no word"),
        ("?q=1+2+3+4+5+6+7+8+9+10+11+12+13+14+15+16+17", "q: has 17 different words: at most 16"),
        ("?sort=relevance", "sort: relevance is of a search: give the words"),
        ("?q=a&sort=-relevance", "sort: relevance is written without -"),
        ("?q=a&sort=name,relevance", "sort: relevance comes before columns"),
        ("?q=a&q=b", "q: is given more than once: write it once"),
        ("?search=kitchen", "search: is no parameter here: words are looked for by q="),
        ("/changes?since=0&q=a", "q: is no parameter of this resource"),
    ] {
        let told = told(query).await;
        assert!(told.starts_with(expected), "{query}: {told}");
    }
    let columns = "[[column]]\nname = \"q\"\nheaders = [\"Q\"]\n";
    let (elsewhere, key) = things_of(columns, "Name,Q\na,kitchen\nb,bath\n").await;
    let answer = elsewhere.get("/things?q=kitchen", &key).await.expect(200).json();
    assert_eq!(names(&answer), ["a"], "a column of that name keeps it");
    let (app, key) = serving(20).await;
    let cursor = app.get("/permits?q=re&sort=relevance&limit=1", &key).await.expect(200).json()["page"]["next"].clone();
    let other = format!("/permits?q=re&limit=1&cursor={}", cursor.as_str().unwrap());
    app.get(&other, &key).await.expect(400);
}
