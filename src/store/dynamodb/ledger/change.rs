//! Changes of an item, and the conditions under which they are made.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure, builders::UpdateBuilder},
};

/// Changes of an item, and the conditions under which they are made.
#[derive(Default)]
pub(super) struct Change {
    sets: Vec<String>,
    adds: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<&'static str>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Change {
    pub(super) fn set(&mut self, set: impl Into<String>) {
        self.sets.push(set.into());
    }

    pub(super) fn add(&mut self, add: impl Into<String>) {
        self.adds.push(add.into());
    }

    pub(super) fn remove(&mut self, place: String) {
        self.removes.push(place);
    }

    pub(super) fn only_if(&mut self, condition: &'static str) {
        self.conditions.push(condition);
    }

    pub(super) fn name(&mut self, place: &str, name: &str) {
        self.names.insert(place.to_owned(), name.to_owned());
    }

    pub(super) fn value(&mut self, place: &str, value: AttributeValue) {
        self.values.insert(place.to_owned(), value);
    }

    fn expressions(&self) -> (String, String) {
        let clause = |word: &str, parts: &[String]| match parts {
            [] => String::new(),
            parts => format!("{word} {} ", parts.join(", ")),
        };
        let update = clause("SET", &self.sets) + &clause("REMOVE", &self.removes) + &clause("ADD", &self.adds);
        (update, self.conditions.join(" AND "))
    }

    /// Turns the change into a write by itself.
    pub(super) fn of(self, update: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let (sets, conditions) = self.expressions();
        update
            .update_expression(sets)
            .set_condition_expression((!conditions.is_empty()).then_some(conditions))
            .set_expression_attribute_names((!self.names.is_empty()).then_some(self.names))
            .set_expression_attribute_values((!self.values.is_empty()).then_some(self.values))
    }

    /// Turns the change into a part of a transaction.
    pub(super) fn of_transaction(self, update: UpdateBuilder) -> UpdateBuilder {
        let (sets, conditions) = self.expressions();
        update
            .update_expression(sets)
            .condition_expression(conditions)
            .set_expression_attribute_names(Some(self.names))
            .set_expression_attribute_values(Some(self.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}
