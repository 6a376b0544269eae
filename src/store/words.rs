//! Lists of words in rows: one text, with a space between two. What is so for most has no text at all.

use crate::domain::{bounds::DataAction, notice::NoticeChoice};

/// One text of words that have no space in them.
pub(super) fn joined(words: &[String]) -> String {
    words.join(" ")
}

/// The words of a text.
pub(super) fn split(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(ToOwned::to_owned).collect()
}

/// What a key may do, unless that is all.
pub(super) fn of_actions(actions: &[DataAction]) -> Option<String> {
    let names: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
    (actions != DataAction::ALL).then(|| names.join(" "))
}

/// The same, read; the word that is none where one is not.
pub(super) fn actions(text: Option<&str>) -> Result<Vec<DataAction>, &str> {
    let Some(text) = text else { return Ok(DataAction::ALL.to_vec()) };
    let action = |word| DataAction::ALL.into_iter().find(|action| action.as_str() == word).ok_or(word);
    text.split_ascii_whitespace().map(action).collect()
}

/// The notices that somebody does not want, if there are any.
pub(super) fn of_unwanted(choice: NoticeChoice) -> Option<String> {
    let NoticeChoice { expiry, keys, quota } = choice;
    let unwanted = [("expiry", expiry), ("keys", keys), ("quota", quota)];
    let names: Vec<&str> = unwanted.into_iter().filter(|(_, wanted)| !wanted).map(|(name, _)| name).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

/// The notices that somebody wants who does not want these; the word that is none where one is not.
pub(super) fn choice(unwanted: Option<&str>) -> Result<NoticeChoice, &str> {
    let mut choice = NoticeChoice::default();
    for word in unwanted.unwrap_or_default().split_ascii_whitespace() {
        match word {
            "expiry" => choice.expiry = false,
            "keys" => choice.keys = false,
            "quota" => choice.quota = false,
            _ => return Err(word),
        }
    }
    Ok(choice)
}
