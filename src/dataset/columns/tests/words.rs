//! Words over columns against words in each record.

use proptest::prelude::*;

use super::{super::*, ValueBlocks};
use crate::dataset::{
    Record, Value,
    query::{Filter, RankedBy, Ranking, SortTerm, Term, Test, WordSearch},
    samples,
};

/// Texts of words that begin alike, with and without accents, and of scripts without spaces.
fn any_words() -> impl Strategy<Value = Option<String>> {
    let word = prop_oneof!["[ab]{1,3}", "[aAéÉ]{1,2}", "東?京?", "\\PC{0,2}"];
    let words = proptest::collection::vec((word, proptest::sample::select(vec![" ", "-", "", "_", "1"])), 0..5);
    let text = words.prop_map(|words| words.into_iter().map(|(word, end)| word + end).collect::<String>());
    proptest::option::weighted(0.9, text)
}

proptest! {
    #[test]
    fn words_are_found_and_ranked_as_in_each_record(
        texts in proptest::collection::vec((any_words(), any_words()), 0..24),
        search in any_words().prop_filter_map("a word", |text| {
            text.and_then(|text| WordSearch::new(&text, vec![2, 3]).ok().flatten())
        }),
        (most, block_rows, descending, are_kept) in (1_usize..9, 1_usize..40, any::<bool>(), any::<bool>()),
    ) {
        let definition = samples::definition("things", &[("key", "text"), ("id", "integer"), ("a", "text"), ("b", "text")]);
        let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
        let row = |(nth, (a, b)): (usize, &(Option<String>, Option<String>))| {
            vec![Value::Text("k".into()), Value::Integer(nth as i64), text(a), text(b)]
        };
        let rows: Vec<Vec<Value>> = texts.iter().enumerate().map(row).collect();
        let filter = Filter::Words(search.clone());
        let bits = |row: &&Vec<Value>| search.bits_of_record(&Record { values: row.to_vec() });
        let mut expected: Vec<&Vec<Value>> = rows.iter().filter(|row| search.is_met(bits(row))).collect();
        let direction = |number: u32| if descending { u32::MAX - number } else { number };
        expected.sort_by_key(|row| direction(search.relevance(bits(row))));
        let ranking = Ranking { by: RankedBy::Relevance(search.clone()), descending };
        let order = [0, 1].map(|column| SortTerm { column, descending: false });
        // With many texts in a block besides, few of them are searched one by one.
        let blocks = ValueBlocks::new(&definition, &rows, block_rows, false);
        let blocks = if are_kept { blocks } else { blocks.not_kept() };
        prop_assert_eq!(count(&blocks, &filter).unwrap(), expected.len() as u64);
        let others = count(&blocks, &Filter::Not(Box::new(filter.clone()))).unwrap();
        prop_assert_eq!(others, (rows.len() - expected.len()) as u64);
        for (nth, row) in rows.iter().enumerate() {
            let only = Filter::Term(Term { column: 1, test: Test::Equal(Value::Integer(nth as i64)) });
            let both = count(&blocks, &Filter::all([only, filter.clone()])).unwrap();
            prop_assert_eq!(both, u64::from(search.is_met(bits(&row))));
        }
        let (mut gathered, mut after): (Vec<&Vec<Value>>, Option<Vec<Value>>) = (Vec::new(), None);
        blocks.read.take();
        loop {
            let ranking = Some(&ranking);
            let wanted = FirstWanted { definition: &definition, filter: &filter, ranking, order: &order, after: after.as_deref(), most };
            let found = first::first_collecting(&blocks, &wanted, 2).unwrap();
            prop_assert!(blocks.were_read_once());
            for found in &found {
                let row = &rows[found.block * block_rows + found.row];
                prop_assert_eq!(found.ranked, Some(search.relevance(bits(&row))));
                gathered.push(row);
            }
            let Some(last) = found.last().filter(|_| found.len() == most) else { break };
            let row = gathered.last().unwrap();
            after = Some(vec![Value::Integer(i64::from(last.ranked.unwrap())), row[0].clone(), row[1].clone()]);
            prop_assert!(gathered.len() <= rows.len());
        }
        prop_assert_eq!(gathered, expected);
    }
}
