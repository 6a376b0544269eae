# The log, and what happened in sentences: one for each type of event.
events-title = Events
events-lead = Everything that was done here, the newest first. Nothing in this log is ever changed.
events-by-server = by the server
events-by-themselves = by themselves
events-by-operator = by an operator on the command line
events-by-administrator = by an administrator
events-somebody = Somebody
events-ids = Details
events-id-event = Event
events-id-type = Type
events-id-stream = Stream, version
events-id-actor = Done by
events-id-request = Request
events-unknown = Something happened that this version of the server does not know.
events-filter-type = What happened
events-filter-any = Anything
events-filter-since = From
events-filter-until = Before
events-filter-moment = UTC, such as 2026-03-01T12:00:00Z, or a day
events-filter-person = Only of this person
events-filter-request = Only of this request
events-filter = Show
events-filter-all = Show everything
events-no-type = choose one of the list
events-no-moment = write a moment such as 2026-03-01T12:00:00Z, or a day such as 2026-03-01
events-no-person = this is not the id of a person
events-empty = Nothing of this kind is in the log. Choose another kind or a longer time.
events-empty-part = Nothing of this kind is in this part of the log. It goes on on the next page.
events-person = The person

event-user-invited = { $person } was invited { $by }, as { $role } with the plan { $plan }.
event-invitation-resent = The invitation of { $person } was sent again { $by }.
event-invitation-accepted = { $person } asked for data for the first time.
event-user-disabled = { $person } was disabled { $by }.
event-user-enabled = { $person } was enabled { $by }.
event-user-deleted = { $person } was deleted { $by }: all keys stopped, and name and address were erased.
event-role-changed = { $person } was given the role { $role } { $by }.
event-plan-assigned = { $person } was given the plan { $plan } { $by }.
event-api-key-issued = A key ending in { $key } was { $for ->
    [invitation] made for an invitation.
   *[use] issued { $by }.
}
event-api-key-changed = The name or the limits of the key ending in { $key } were changed { $by }.
event-api-key-expiring = The key ending in { $key } was noticed to expire within { $days ->
    [one] { $days } day.
   *[other] { $days } days.
}
event-api-key-mailed = The key ending in { $key } was sent by mail.
event-api-key-rotated = The key ending in { $key } was replaced by the one ending in { $new } { $by }. The old one worked until { $until }.
event-api-key-revoked = The key ending in { $key } was revoked { $by }{ $reason ->
    [leaked] , because it was found where others could read it.
    [user_deleted] , because its owner was deleted.
   *[other] .
}
event-leak-notice-mailed = { $outcome ->
    [refused] The mail system refused the mail that was to tell { $to } that the key ending in { $key } had leaked.
   *[mailed] { $to } was told by mail that the key ending in { $key } had leaked.
}
event-mail-failed = The mail system refused a mail to { $person }: { $class }.
event-quota-reached = { $person } had spent { $percent } % of a day’s requests.
event-notices-chosen = The notices that { $person } gets by mail were chosen { $by }.
event-notice-mailed = { $person } was told by mail { $notice ->
    [made] of a new key.
    [revoked] of a key that was revoked.
    [expiring] of a key that expires.
   *[quota] how much of the day’s requests is spent.
}
event-notice-failed = The mail system refused the mail that was to tell { $person } { $notice ->
    [made] of a new key
    [revoked] of a key that was revoked
    [expiring] of a key that expires
   *[quota] how much of the day’s requests is spent
}: { $class }.
event-mail-bounced = A mail to { $person } came back{ $kind ->
    [permanent] {" "}for good
   *[transient] {" "}for now
}: { $class }.
event-mail-complained = { $person } reported a mail as unwanted: { $class }.
event-mail-allowed = Mail to { $person } was allowed again { $by }.
event-link-issued = A link { $purpose ->
    [invitation] to set the first password
    [password] to set another password
   *[key] to see the key
} was made for { $person }. It works until { $until }.
event-link-mailed = A link was sent to { $person } by mail.
event-link-used = { $person } used a link.
event-link-voided = A link of { $person } was found where others could read it, and was stopped.
event-password-set = { $person } set a password.
event-password-rehashed = The password of { $person } was stored again, in the way that the settings now say.
event-session-started = { $person } signed in { $method ->
    [password_and_code] with a password and a code
    [password_and_recovery_code] with a password and a recovery code
    [provider] at the provider
    [provider_and_its_factor] at the provider, with a second factor there
    [provider_and_code] at the provider, and with a code
    [provider_and_recovery_code] at the provider, and with a recovery code
   *[password] with a password
}.
event-session-seen = { $person } was still signed in.
event-session-ended = A session of { $person } ended{ $reason ->
    [signed_out] {" "}by signing out
    [ended_by_owner] : they ended it from elsewhere
    [ended_by_administrator] : an administrator ended it
    [password_changed] , because another password was set
    [disabled] , because they were disabled
    [deleted] , because they were deleted
    [role_changed] , because their role changed
    [too_many] , because there were newer ones, as many as one person may have
    [leaked] , because its token was found where others could read it
   *[other] {""}
}.
event-second-factor-begun = { $person } began to set up a second factor.
event-second-factor-confirmed = { $person } set up a second factor.
event-second-factor-used = { $person } showed { $code ->
    [recovery] a recovery code
   *[usual] a code of the second factor
}.
event-second-factor-removed = The second factor of { $person } was removed { $by }.
event-plan-defined = The plan { $plan } was set { $by }. Requests a second: { $rate }; at once: { $burst }; a day: { $quota }.
event-plan-retired = The plan { $plan } was retired { $by }: nobody gets it anew.
event-admin-token-issued = The administrator’s token “{ $name }” was made { $by }. It may { $access ->
    [read] read: { $may }.
   *[write] read and change: { $may }.
}
event-admin-token-revoked = The administrator’s token “{ $name }” was revoked { $by }.
event-import-started = An import of { $file } into { $dataset } was begun { $by }, { $mode ->
    [replace] to replace all records.
   *[merge] to add to the records.
}
event-import-completed = An import into { $dataset } was completed: { $inserted } new, { $updated } changed, { $removed } removed, { $rejected } rejected.
event-import-failed = An import into { $dataset } failed: { $reason }.
event-import-held = An import into { $dataset } waits to be approved: { $reason }.
event-import-approved = An import into { $dataset } was approved { $by }.
event-import-discarded = An import into { $dataset } was discarded { $by }{ $why ->
    [told] : { $reason }.
   *[none] .
}
event-import-cancelled = An import into { $dataset } was cancelled { $by }.
event-data-set-withdrawn = The data set { $dataset } was withdrawn { $by }: nobody reads it.
event-data-set-restored = The data set { $dataset } was published again { $by }.
event-data-set-removed = The data set { $dataset } was removed { $by }, with all that it was up to version { $version }.
event-data-set-renamed = The data set { $dataset } was renamed to { $to } { $by }.
event-data-set-taken-over = The data set { $dataset } took over { $records ->
    [one] { $records } record
   *[other] { $records } records
} of { $from }.

events-type-admin-token-issued = A token was made
events-type-admin-token-revoked = A token was revoked
events-type-api-key-changed = A key was changed
events-type-api-key-expiring = A key was noticed to expire
events-type-api-key-issued = A key was issued
events-type-api-key-mailed = A key was mailed
events-type-api-key-revoked = A key was revoked
events-type-api-key-rotated = A key was replaced
events-type-data-set-removed = A data set was removed
events-type-data-set-renamed = A data set was renamed
events-type-data-set-restored = A data set was published again
events-type-data-set-taken-over = A data set took over another
events-type-data-set-withdrawn = A data set was withdrawn
events-type-import-approved = An import was approved
events-type-import-cancelled = An import was cancelled
events-type-import-completed = An import was completed
events-type-import-discarded = An import was discarded
events-type-import-failed = An import failed
events-type-import-held = An import was held
events-type-import-started = An import began
events-type-invitation-accepted = Somebody asked for data for the first time
events-type-invitation-resent = An invitation was sent again
events-type-leak-notice-mailed = A leak was told by mail
events-type-link-issued = A link was made
events-type-link-mailed = A link was mailed
events-type-link-used = A link was used
events-type-link-voided = A link was stopped
events-type-mail-allowed = Mail was allowed again
events-type-mail-bounced = A mail came back
events-type-mail-complained = A mail was unwanted
events-type-mail-failed = A mail was refused
events-type-notice-failed = A notice was refused
events-type-notice-mailed = A notice was mailed
events-type-notices-chosen = Notices were chosen
events-type-password-rehashed = A password was stored again
events-type-password-set = A password was set
events-type-plan-assigned = A plan was given
events-type-plan-defined = A plan was set
events-type-plan-retired = A plan was retired
events-type-quota-reached = A share of a day’s requests was spent
events-type-role-changed = A role was given
events-type-second-factor-begun = A second factor was begun
events-type-second-factor-confirmed = A second factor was set up
events-type-second-factor-removed = A second factor was removed
events-type-second-factor-used = A second factor was used
events-type-session-ended = A session ended
events-type-session-seen = A session was used
events-type-session-started = Somebody signed in
events-type-user-deleted = Somebody was deleted
events-type-user-disabled = Somebody was disabled
events-type-user-enabled = Somebody was enabled
events-type-user-invited = Somebody was invited
