//! The patterns of docs/LEAKS.md find what the program makes, and nothing that only looks like it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use permitd::domain::{
    id::UserId,
    key::{AdminToken, ApiKey, KeyId, SECRET_BYTES},
    link::{LINK_SECRET_BYTES, LinkPlace, LinkToken},
    session_token::SessionToken,
};
use proptest::prelude::*;
use regex::Regex;

const PAGE: &str = include_str!("../docs/LEAKS.md");

/// The blocks of the page that are written in a language.
fn block(language: &str) -> &'static str {
    let begin = format!("```{language}\n");
    let mut blocks = PAGE.split(begin.as_str()).skip(1);
    let block = blocks.next().unwrap().split("```\n").next().unwrap();
    assert!(blocks.next().is_none(), "one block in {language}");
    block
}

/// The rules for gitleaks: what is found, and the pattern.
fn rules() -> Vec<(String, String)> {
    let rules: toml::Table = block("toml").parse().unwrap();
    let text = |rule: &toml::Value, name: &str| rule[name].as_str().unwrap().to_owned();
    rules["rules"].as_array().unwrap().iter().map(|rule| (text(rule, "id"), text(rule, "regex"))).collect()
}

/// What finds a text, by the rule's name.
fn found(text: &str) -> Vec<String> {
    let is_found = |pattern: &str| Regex::new(pattern).unwrap().is_match(text);
    rules().into_iter().filter(|(_, pattern)| is_found(pattern)).map(|(id, _)| id).collect()
}

#[test]
fn all_scanners_have_the_same_patterns() {
    let rules = rules();
    let bare = |pattern: &str| pattern.replace(r"\b", "");
    let python: Vec<String> = block("python")
        .lines()
        .filter_map(|line| Some(line.trim().strip_prefix("re.compile(r\"")?.strip_suffix("\"),")?.to_owned()))
        .collect();
    assert_eq!(python, rules.iter().map(|(_, pattern)| pattern.clone()).collect::<Vec<_>>());
    let github: Vec<String> = block("text").lines().map(ToOwned::to_owned).collect();
    assert_eq!(github, rules.iter().map(|(_, pattern)| bare(pattern)).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_program_makes_is_found(
        id: [u8; 12], secret: [u8; SECRET_BYTES], around in "[ =:\"'\n,;()<>/]{1,3}",
        user: u128, number: u32, of_link: [u8; LINK_SECRET_BYTES],
    ) {
        let id = KeyId::from_random(id);
        let (key, token) = (ApiKey::new(id, &secret), AdminToken::new(id, &secret));
        let session = SessionToken::new(id, &secret);
        let link = LinkToken::new(LinkPlace { user: UserId(uuid::Uuid::from_u128(user)), number }, &of_link);
        for (text, rule) in [
            (key.reveal(), "permitd-api-key"),
            (token.reveal(), "permitd-admin-token"),
            (session.reveal(), "permitd-session-token"),
            (link.reveal(), "permitd-link"),
        ] {
            for text in [text.to_owned(), format!("{around}{text}{around}")] {
                prop_assert_eq!(found(&text), [rule], "{}", text);
            }
        }
    }

    #[test]
    fn a_near_miss_is_not_found(id: [u8; 12], secret: [u8; SECRET_BYTES], cut in 1_usize..60) {
        let key = ApiKey::new(KeyId::from_random(id), &secret).reveal().to_owned();
        let token = AdminToken::new(KeyId::from_random(id), &secret).reveal().to_owned();
        for miss in [
            key[..key.len() - cut].to_owned(),
            format!("{key}x"),
            format!("x{key}"),
            key.replacen("pmt_", "pmt-", 1),
            key.replacen('_', "", 2),
            token.to_uppercase(),
            format!("{token}0"),
            token[..token.len() - cut.min(39)].to_owned(),
        ] {
            prop_assert!(found(&miss).is_empty(), "{}", miss);
        }
    }
}
