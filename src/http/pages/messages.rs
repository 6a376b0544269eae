//! The texts of pages in each language: messages of Project Fluent, one file for each page and language.

use std::sync::LazyLock;

use fluent_bundle::{FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle};
use unic_langid::LanguageIdentifier;

use super::{files, language::Language, wording};

type Bundle = FluentBundle<FluentResource>;

static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| bundle(Language::English));
static GERMAN: LazyLock<Bundle> = LazyLock::new(|| bundle(Language::German));

/// The messages of a language. A mistake in a file shows as a missing message: the tests check all files.
fn bundle(language: Language) -> Bundle {
    let tag: LanguageIdentifier = language.tag().parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![tag]);
    // Marks around filled-in values would be copied with them.
    bundle.set_use_isolating(false);
    bundle.set_formatter(Some(match language {
        Language::English => |value, _| number(value, Language::English),
        Language::German => |value, _| number(value, Language::German),
    }));
    for text in files::messages(language) {
        let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(read, errors)| {
            tracing::error!(?errors, "a file of messages has mistakes");
            read
        });
        bundle.add_resource_overriding(resource);
    }
    bundle
}

/// Numbers within messages, as the language writes them.
fn number(value: &FluentValue<'_>, language: Language) -> Option<String> {
    match value {
        FluentValue::Number(number) => Some(wording::number(number.value, language)),
        _ => None,
    }
}

/// A message, filled in; `None` when there is no such message, or one of its values is missing.
pub(super) fn say(language: Language, id: &str, args: &FluentArgs<'_>) -> Option<String> {
    let bundle = match language {
        Language::English => &*ENGLISH,
        Language::German => &*GERMAN,
    };
    let (id, attribute) = id.split_once('.').map_or((id, None), |(id, attribute)| (id, Some(attribute)));
    let message = bundle.get_message(id)?;
    let pattern = match attribute {
        Some(attribute) => message.get_attribute(attribute)?.value(),
        None => message.value()?,
    };
    let mut errors = Vec::new();
    let said = bundle.format_pattern(pattern, Some(args), &mut errors).into_owned();
    errors.is_empty().then_some(said)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use fluent_bundle::FluentResource;

    use super::*;

    /// The ids of a language's messages, with the names of the values that each takes.
    fn known(language: Language) -> BTreeMap<String, BTreeSet<String>> {
        let mut known = BTreeMap::new();
        for text in files::messages(language) {
            FluentResource::try_new(text.to_owned()).unwrap_or_else(|(_, errors)| panic!("{errors:?} in {text}"));
            let mut id = String::new();
            for line in text.lines() {
                if let Some((name, _)) = line.split_once(" =")
                    && line.starts_with(|c: char| c.is_ascii_lowercase())
                {
                    id = name.to_owned();
                    assert!(known.insert(id.clone(), BTreeSet::new()).is_none(), "{id} is there twice");
                }
                for name in line.split('$').skip(1) {
                    let name = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    known.get_mut(&id).unwrap().insert(name);
                }
            }
        }
        known
    }

    #[test]
    fn every_message_is_there_in_every_language_and_is_filled_in_alike() {
        assert_eq!(known(Language::English), known(Language::German));
    }

    #[test]
    fn every_message_that_a_template_names_is_there() {
        let known = known(Language::English);
        let mut missing = BTreeSet::new();
        for (name, text) in files::templates() {
            // With the character before the name: calls of other functions that end in the same letter do not count.
            for call in [" t(\"", " h(\"", "=t(\"", "(t(\"", "\"t(\""] {
                for rest in text.split(call).skip(1) {
                    let id = rest.split('"').next().unwrap().split('.').next().unwrap();
                    // Of an id that is put together, only the beginning is known.
                    let is_known = known.contains_key(id)
                        || (id.ends_with('-') && known.keys().any(|other| other.starts_with(id)));
                    if !is_known {
                        missing.insert(format!("{name}: {id}"));
                    }
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }

    #[test]
    fn numbers_and_plurals_are_those_of_the_language() {
        let mut args = FluentArgs::new();
        args.set("count", 12_345);
        assert_eq!(say(Language::English, "records", &args).unwrap(), "12,345 records");
        assert_eq!(say(Language::German, "records", &args).unwrap(), "12.345 Datensätze");
        args.set("count", 1);
        assert_eq!(say(Language::English, "records", &args).unwrap(), "1 record");
    }
}
