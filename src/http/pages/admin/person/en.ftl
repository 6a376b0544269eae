person-as-of = This is how it stood then: { $moment }.
person-now = Show how it stands now
person-as-of-label = As of an earlier moment (UTC)
person-as-of-show = Show
person-beyond = This person may do more than you. You can look, but not change anything.
person-facts = Who
person-acts = What you can do
person-first-request = First request for data
person-password = Password
person-factor = Second factor
person-set = set
person-not-set = not set
person-mails = Mails
person-mails-kept = { $count ->
    [one] { $count } mail to them is kept on the server
   *[other] { $count } mails to them are kept on the server
}
person-stop-bounced = An earlier mail to this address came back for good, so nothing is sent to it. If the address works again, allow mail again and then send the invitation again.
person-stop-complained = An earlier mail to this address was reported as unwanted, so nothing is sent to it. Allow mail again only if this person asked you to.
person-mail-failed = The last mail to them could not be delivered. Check the address, then send the invitation again. The mail system said:
person-ids = Details
person-resend = Send the invitation again
person-mail-password = Mail a link to set a password
person-allow-mail = Allow mail again
person-enable = Enable
person-change-plan = Change the plan
person-change-role = Change the role
person-plan-retired = { $plan } (retired)
person-disable = Disable…
person-disable-ask = This disables { $name }: { $keys ->
    [one] { $keys } key is
   *[other] { $keys } keys are
} refused within a second, and { $sessions ->
    [one] { $sessions } session ends.
   *[other] { $sessions } sessions end.
} Enabling them lets the keys work again.
person-disable-do = Disable { $name }
person-end-sessions = End sessions…
person-end-sessions-ask = This signs { $name } out: { $sessions ->
    [one] { $sessions } session ends.
   *[other] { $sessions } sessions end.
} The keys go on working.
person-end-sessions-do = End the sessions
person-remove-factor = Remove the second factor…
person-remove-factor-ask = { $name } will sign in with the password alone until they set up another second factor. Make sure that it is really them who ask for it.
person-remove-factor-do = Remove it
person-delete = Delete…
person-delete-ask = This deletes { $name }: { $keys ->
    [one] { $keys } key stops
   *[other] { $keys } keys stop
} within a second, { $sessions ->
    [one] { $sessions } session ends,
   *[other] { $sessions } sessions end,
} and their name and address are erased from the log. This cannot be undone.
person-delete-do = Delete { $name }
person-sessions = Sessions
person-no-session = Nobody is signed in.
person-session-began = Began
person-session-from = From
person-session-seen = Last seen
person-session-ends = Ends if unused
person-use-title = Use in the last 30 days
person-use-none = No requests in the last 30 days.
person-timeline = What happened
person-was-deleted = { $name } has already been deleted. Nothing was done.
person-deleted-already = { $name } has already been deleted.
person-disabled-already = { $name } is disabled already.
person-enabled-already = { $name } is not disabled.
person-plan-already = { $name } has this plan already.
person-role-already = { $name } has this role already.
person-mail-already = { $name } gets mail already.
person-resent = The invitation of { $name } is sent again.
person-disabled = { $name } is disabled. Their keys are refused within a second, and their sessions have ended.
person-enabled = { $name } is enabled. Their keys work again.
person-plan-changed = { $name } has the plan { $plan } now.
person-role-changed = { $name } has the role { $role } now.
person-sessions-ended = { $name } was signed out: { $count ->
    [one] { $count } session has ended.
   *[other] { $count } sessions have ended.
}
person-password-mailed = A link to set a password is on its way to { $name }.
person-factor-removed = { $name } has no second factor any more.
person-mail-allowed = { $name } gets mail again. What was not sent meanwhile is not sent by this: send the invitation again if it is wanted.
person-deleted = { $name } was deleted. Their keys stop within a second, and their name and address are erased.
person-mail-bounced = Nothing was sent: an earlier mail to { $name } came back for good. Allow mail again first.
person-mail-unwanted = Nothing was sent: { $name } reported an earlier mail as unwanted. Allow mail again first if they asked you to.
person-is-disabled = { $name } is disabled. Enable them first.
person-is-last = { $name } is the last administrator who can sign in. Make somebody else an administrator first.
person-own-factor = You remove your own second factor on your own page, with a code of it.
person-no-factor = { $name } has no second factor.
person-keys-title = Keys
person-keys-none = There is no key yet. The invitation brings one, or issue one here.
person-keys-key = Key
person-keys-state = State
person-keys-issued-at = Issued
person-keys-acts = What you can do
person-keys-state-active = works
person-keys-state-grace = replaced, works until
person-keys-state-expired = expired
person-keys-state-replaced = replaced
person-keys-state-revoked = revoked
person-keys-state-ended = ended
person-keys-until = until { $moment }
person-keys-issue = Issue a key…
person-keys-issue-text = The key is shown here once. Give it to { $name } in a safe way: whoever has it reads data in their name.
person-keys-issue-do = Issue the key
person-keys-label = What it is called
person-keys-expires = Last day
person-keys-expires-hint = If this is empty: as long as the plan allows.
person-keys-new = The new key
person-keys-new-text = This is the only time that it is shown. Keep it, or give it to { $name } in a safe way.
person-keys-keep = I have saved it
person-keys-kept = The key is not shown any more.
person-keys-issued = The key was made.
person-keys-late = The key was made by an earlier try, and is not shown any more. Replace it by a new one if nobody has it.
person-keys-rotate = Replace…
person-keys-rotate-ask = A new key takes the place of the one ending in { $key }. The old one stops when you say.
person-keys-rotate-do = Replace the key
person-keys-rotated = The key was replaced.
person-keys-grace = The old key works
person-keys-grace-0 = no longer
person-keys-grace-3600 = for 1 hour
person-keys-grace-86400 = for 1 day
person-keys-grace-604800 = for 7 days
person-keys-revoke = Revoke…
person-keys-revoke-ask = Programs with the key ending in { $key } are refused within a second. This cannot be undone.
person-keys-revoke-do = Revoke the key
person-keys-revoked = The key was revoked. It is refused within a second.
person-keys-ended-already = This key had ended already. Nothing was done.
person-keys-of-deleted = This person has already been deleted, and all their keys have ended.
