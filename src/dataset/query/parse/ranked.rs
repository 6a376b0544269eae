//! Searches for words, and the orders that follow from a question: `q=kitchen&sort=relevance`, `near=37.77,-122.42,500m&sort=distance`.

use super::QueryReading;
use crate::dataset::{
    place::Area,
    query::{DISTANCE, Filter, RELEVANCE, RankedBy, Ranking, SEARCH_WORDS_MAX, Test, WordSearch, ranking::RankName},
};

impl QueryReading<'_> {
    /// Takes a term of `sort` that is no column but names such an order. A column of that name keeps it.
    pub(super) fn is_rank(&mut self, name: &str, descending: bool) -> bool {
        let known = [(RELEVANCE, RankName::Relevance), (DISTANCE, RankName::Distance)];
        let Some((name, rank)) = known.into_iter().find(|(known, _)| *known == name) else { return false };
        if self.definition.column_index(name).is_some() {
            return false;
        }
        let refusal = if descending && rank == RankName::Relevance {
            Some("relevance is written without -: the most relevant records come first".to_owned())
        } else if self.ranked.is_some_and(|(known, _)| known == rank) {
            Some(format!("names {name} twice"))
        } else if self.ranked.is_some() {
            Some(format!("names both {RELEVANCE} and {DISTANCE}: choose one of them"))
        } else if !self.sort.is_empty() {
            Some(format!(
                "{name} comes before columns, which decide among records that are alike: sort={name},-file_date"
            ))
        } else {
            None
        };
        if let Some(reason) = refusal {
            self.refuse("sort", reason, None);
        }
        self.ranked = Some((rank, descending));
        true
    }

    /// The order that follows from the question, which has this filter.
    pub(super) fn ranking(&mut self, filter: &Filter) -> Option<Ranking> {
        let (rank, descending) = self.ranked.filter(|_| self.problems.is_empty())?;
        if rank == RankName::Relevance {
            let Some(search) = self.words.take() else {
                let reason = "relevance is of a search: give the words, too, as in q=kitchen&sort=relevance";
                self.refuse("sort", reason.to_owned(), None);
                return None;
            };
            return Some(Ranking { by: RankedBy::Relevance(search), descending: true });
        }
        let circles: Vec<(usize, &Area)> = filter
            .conjuncts()
            .into_iter()
            .filter_map(|term| match &term.test {
                Test::Inside(area @ Area::Near(_)) => Some((term.column, area)),
                _ => None,
            })
            .collect();
        if let [(column, Area::Near(circle))] = circles.as_slice() {
            return Some(Ranking { by: RankedBy::Distance { column: *column, from: circle.centre() }, descending });
        }
        let reason = if circles.is_empty() {
            "distance is from a point: give it, too, as in near=37.77,-122.42,500m&sort=distance"
        } else {
            "distance is from one point, and there are several near: leave one"
        };
        self.refuse("sort", reason.to_owned(), None);
        None
    }

    /// A parameter that yields to a column of its name, where there is none.
    pub(super) fn yielding(&mut self, name: &str, value: &str) {
        if !self.takes_filters {
            let reason = format!("is no parameter of this resource: it takes {}", self.allowed.join(", "));
            return self.refuse(name, reason, None);
        }
        self.search(name, value);
    }

    fn search(&mut self, name: &str, value: &str) {
        let columns: Vec<usize> = self.definition.searched().collect();
        if columns.is_empty() {
            let reason =
                "no column of this data set is searched for words: ask a column, as in description__contains=kitchen";
            return self.refuse(name, reason.to_owned(), None);
        }
        let Some(left) = self.terms_left.checked_sub(1) else {
            let reason = format!("is one condition too many: at most {} are allowed", self.limits.terms_max);
            return self.refuse(name, reason, None);
        };
        self.terms_left = left;
        match WordSearch::new(value, columns) {
            Ok(Some(search)) => {
                self.words = Some(search.clone());
                self.filters.push(Filter::Words(search));
            }
            Ok(None) => {
                let reason = "holds no word: a word is of letters and digits, as in q=kitchen remodel";
                self.refuse(name, reason.to_owned(), None);
            }
            Err(many) => {
                self.refuse(name, format!("has {many} different words: at most {SEARCH_WORDS_MAX} are allowed"), None);
            }
        }
    }
}
