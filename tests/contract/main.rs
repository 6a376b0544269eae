//! What every store, queue and record store must do, whichever it is. A backend joins by one line: a type that implements
//! [`backend::Backend`] and its name in the list below.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod admin_tokens;
mod backend;
mod dynamodb;
mod everywhere;
mod ledger;
mod log;
mod moved_records;
mod queue;
mod records;
mod replay;
mod sealing;
mod sqlite;
mod sqs;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod tail;
mod transfer;
mod upkeep;
mod views;

// The samples of records are shared with the library's own tests, which know it by this path.
use permitd::dataset;

use self::dynamodb::{dynoxide, ministack};

/// Runs cases on a backend.
macro_rules! run {
    ($backend:ident $module:ident: $($case:ident,)*) => {
        mod $module {
            $(#[actix_web::test]
            async fn $case() {
                crate::$module::$case::<crate::$backend::Backend>().await;
            })*
        }
    };
}

/// The cases of a module.
macro_rules! cases {
    ($backend:ident log) => {
        run! { $backend log:
            versions_rise_by_one_and_a_stream_is_read_in_order,
            twenty_writers_of_one_stream_lose_nothing,
            the_commits_of_a_stream_are_chained_by_hash,
            a_command_commits_once,
            a_name_has_one_owner,
            a_refused_commit_leaves_nothing,
            personal_keys_are_kept_outside_and_destroyed,
            long_logs_are_read_in_pages_both_ways,
            a_mark_stays_until_it_is_cleared,
            a_stream_may_be_larger_than_1_mb,
            a_key_id_is_issued_once,
            a_client_s_command_has_one_answer,
            the_set_of_administrators_is_replaced_if_it_is_what_was_seen,
        }
    };
    ($backend:ident transfer) => {
        run! { $backend transfer:
            a_log_moves_into_either_store_and_back_byte_for_byte,
            an_import_goes_on_where_it_was_and_nothing_starts_before_it_is_complete,
            commits_without_a_hash_get_it_when_they_are_imported,
            a_deployment_is_marked_for_every_process,
            a_stream_in_quarantine_moves_as_it_is,
            a_mark_is_replaced_only_if_it_is_the_expected_one_and_closes_the_deployment,
        }
    };
    ($backend:ident sealing) => {
        run! { $backend sealing:
            a_log_is_sealed_again_and_again_and_is_what_it_was,
            what_does_not_follow_is_not_signed,
        }
    };
    ($backend:ident tail) => {
        run! { $backend tail:
            who_reads_on_beside_twenty_writers_with_skewed_clocks_misses_nothing,
            who_reads_on_begins_where_they_say_and_is_told_late_commits_once,
            who_reads_on_in_a_log_that_was_moved_is_told_its_commits_once_and_at_their_times,
        }
    };
    ($backend:ident views) => {
        run! { $backend views:
            rows_come_back_as_they_were_written,
            a_session_is_found_by_its_id_and_its_network_is_erased_with_its_person,
            an_older_row_never_replaces_a_newer_one,
            people_are_found_and_listed_in_pages,
            rows_are_written_with_their_commit,
            keys_that_expire_are_found_when_they_are_due,
            how_far_an_invitation_has_come_is_kept_and_filtered,
        }
    };
    ($backend:ident ledger) => {
        run! { $backend ledger:
            accounts_are_the_same_in_either_store,
            grants_together_never_exceed_the_quota,
            grants_together_never_exceed_the_rate,
            what_is_returned_can_be_taken_again_once,
            what_was_not_answered_comes_back_once,
            each_day_keeps_its_count_when_clocks_are_wrong,
            a_grant_holds_what_a_request_needs,
            keys_that_do_not_work_get_nothing,
            a_session_has_terms_until_it_ends,
            a_key_ends_at_its_date_and_carries_what_it_may,
            usage_is_counted_by_person_and_day,
            what_requests_were_is_counted_once,
            a_grant_notes_the_use_that_asks_for_it,
        }
    };
    ($backend:ident admin_tokens) => {
        run! { $backend admin_tokens:
            tokens_come_back_as_they_were_written,
            the_last_use_of_a_token_is_kept,
        }
    };
    ($backend:ident upkeep) => {
        run! { $backend upkeep:
            a_probe_changes_nothing_and_says_that_it_works,
            the_secrets_versions_are_remembered_by_all,
            claims_are_replaced_as_a_whole,
        }
    };
    ($backend:ident queue) => {
        run! { $backend queue:
            a_message_is_delivered_until_it_is_acknowledged,
            a_heartbeat_keeps_a_message_from_others,
            a_stale_receipt_changes_nothing,
            a_message_that_fails_five_times_dies_with_its_reason,
            a_message_whose_consumers_crash_dies_too,
            a_dead_letter_is_redriven_as_new,
            dead_letters_are_settled_in_bulk,
            a_message_that_is_put_off_comes_again_as_new,
            what_is_too_old_expires,
            many_consumers_share_the_messages,
        }
    };
    ($backend:ident records) => {
        run! { $backend records:
            an_import_is_seen_as_a_whole_or_not_at_all,
            the_same_file_again_changes_nothing,
            an_updated_file_updates_and_removes,
            one_import_at_a_time,
            what_a_file_lacks_is_kept_or_emptied,
            what_a_file_lacks_counts_for_the_size_of_a_record,
            a_dry_run_leaves_nothing_behind,
            pages_follow_one_another_without_gaps,
            figures_of_columns_follow_from_the_records,
            figures_show_nothing_that_a_definition_calls_personal,
        }
    };
    ($backend:ident tables) => {
        run! { $backend tables:
            tokens_of_before_are_found_oldest_first,
            appends_to_many_streams_at_once_are_all_in_feed_and_outbox_once,
            commits_are_read_in_the_order_of_their_moments,
            a_command_that_is_sent_twice_at_once_commits_once,
            an_early_command_is_found_in_a_stream_over_1_mb,
            more_than_a_transaction_takes_is_refused_before_it_is_sent,
            rows_that_cannot_be_written_leave_the_mark,
            an_append_makes_few_calls,
            terms_follow_from_the_person_and_leave_consumption_alone,
            what_keys_have_used_of_the_day_is_the_persons,
            what_is_wrong_is_found_and_put_right,
            verifying_while_others_append_finds_nothing,
            a_row_that_cannot_be_read_is_replaced,
            an_attribute_that_its_row_does_not_lead_to_is_a_difference,
            a_row_of_an_unknown_kind_is_left_alone,
            rows_wait_for_a_commit_that_is_not_published_and_damage_does_not,
            rows_of_somebody_who_is_erased_wait_like_others,
            nodes_that_start_at_once_share_one_secret,
        }
    };
    ($backend:ident replay) => {
        run! { $backend replay:
            a_rebuild_gives_the_same_rows,
            appends_go_on_while_views_are_rebuilt,
            differences_are_found,
            a_key_that_was_issued_twice_is_named_and_stays_the_first_one_s,
            what_cannot_be_read_is_set_aside_and_all_else_goes_on,
            what_was_set_aside_is_recorded_and_comes_back,
            one_view_or_one_stream_is_rebuilt_alone,
            an_interrupted_rebuild_is_gone_on_with,
        }
    };
}

/// Each backend with the modules that it has.
macro_rules! contract {
    ($($backend:ident: $($module:ident)*;)*) => {
        mod on {
            $(mod $backend {
                $(cases! { $backend $module })*
            })*
        }
    };
}

contract! {
    sqlite: log tail sealing transfer views ledger admin_tokens upkeep queue records replay;
    sqs: queue;
    ministack: log tail sealing transfer views ledger admin_tokens upkeep records replay tables;
    dynoxide: log tail sealing transfer views ledger admin_tokens upkeep records replay tables;
}
