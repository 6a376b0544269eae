undone-title = Failed tasks
undone-what = The server tried these several times and gave up. Mend the cause first, then have them tried again: each is done once, also if you ask twice.
undone-kind-invitation = { $count ->
    [one] An invitation could not be sent
   *[other] { $count } invitations could not be sent
}
undone-kind-password = { $count ->
    [one] A mail with a link to set a password could not be sent
   *[other] { $count } mails with links to set a password could not be sent
}
undone-kind-deletion = { $count ->
    [one] The deletion of a person could not be finished
   *[other] The deletions of { $count } persons could not be finished
}
undone-kind-leak = { $count ->
    [one] A mail about a leaked key could not be sent
   *[other] { $count } mails about leaked keys could not be sent
}
undone-kind-notice = { $count ->
    [one] A notice could not be sent
   *[other] { $count } notices could not be sent
}
undone-kind-other = { $count ->
    [one] A task could not be done
   *[other] { $count } tasks could not be done
}
undone-reason = Why: { $reason }
undone-choose = Which to try again
undone-letter = given up on { $at }, after { $tries ->
    [one] one try
   *[other] { $tries } tries
}
undone-again = Try the ticked ones again
undone-details = The messages as the server keeps them
undone-first = These are the first { $count }.
undone-all = Try all again
undone-all-question = All that was given up is tried again, also what is not on this page. What fails again comes back here.
undone-all-confirm = Yes, try all again
undone-none = Nothing has failed. What the server gives up after several tries is listed here.
undone-sent = { $count ->
    [one] One is tried again now. If it fails again, it comes back here.
   *[other] { $count } are tried again now. What fails again comes back here.
}
undone-gone = { $count ->
    [one] It was tried again already.
   *[other] They were tried again already.
}
undone-none-chosen = Nothing was ticked. Tick what is to be tried again.
