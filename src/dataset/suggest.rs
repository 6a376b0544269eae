//! "Did you mean …?": the known name nearest to an unknown one.

/// Longer words are not compared: they are no typing mistakes.
const WORD_CHARS_MAX: usize = 64;

/// The candidate most likely meant by a person who typed `word`; `None` if none is near enough. One typing mistake (a letter left out,
/// added or changed, or two swapped) per three letters is forgiven; case is ignored.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    if letters == 0 || letters > WORD_CHARS_MAX {
        return None;
    }
    let folded = word.to_lowercase();
    let mistakes_max = letters.div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(mistakes, candidate)| *mistakes <= mistakes_max && *mistakes < candidate.chars().count())
        .min_by_key(|(mistakes, _)| *mistakes)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 4] = ["status", "status_date", "estimated_cost", "block"];

    #[test]
    fn a_typing_mistake_finds_its_word() {
        assert_eq!(nearest("stauts", COLUMNS), Some("status"));
        assert_eq!(nearest("Status", COLUMNS), Some("status"));
        assert_eq!(nearest("estimatedcost", COLUMNS), Some("estimated_cost"));
        assert_eq!(nearest("blok", COLUMNS), Some("block"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("colour", COLUMNS), None);
        assert_eq!(nearest("", COLUMNS), None);
        assert_eq!(nearest(&"x".repeat(10_000), COLUMNS), None);
    }
}
