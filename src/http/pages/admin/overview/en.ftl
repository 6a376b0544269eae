# The overview, and what several pages of the administration say.
admin-title = Overview
admin-role-reader = reader
admin-role-manager = manager
admin-role-admin = administrator
admin-may-people = people
admin-may-data = data sets
admin-may-plans = plans
admin-may-events = events
admin-may-server = server
admin-status-invited = invited
admin-status-active = active
admin-status-disabled = disabled
admin-status-deleted = deleted
admin-invitation-invited = not sent yet
admin-invitation-mailed = sent
admin-invitation-opened = link used
admin-invitation-used = in use
admin-invitation-expired = expired
admin-invitation-bounced = came back
admin-invitation-failed = refused
admin-not-done = It was not done: { $reason }
admin-reason-limit = as many mails were sent in the last hour as may be. Try again in { $minutes ->
    [one] a minute.
   *[other] { $minutes } minutes.
}
admin-reason-beyond = your permissions do not reach that far.
admin-reason-changed = somebody changed it at the same moment. Look at it again, then repeat it.
admin-reason-unavailable = the server is busy or a part of it does not answer. Try again in a moment.
admin-good = All is well
admin-good-text = Nothing waits for you.
admin-waits = This waits for you
admin-people-none = Nobody has been invited yet.
admin-invite-first = Invite the first person
admin-people = { $count ->
    [one] { $count } person
   *[other] { $count } people
}
admin-failed = { $count ->
    [one] { $count } invitation was refused by the mail system
   *[other] { $count } invitations were refused by the mail system
}
admin-bounced = { $count ->
    [one] { $count } invitation came back
   *[other] { $count } invitations came back
}
admin-unsent = { $count ->
    [one] { $count } invitation has not been sent yet
   *[other] { $count } invitations have not been sent yet
}
admin-held = { $count ->
    [one] { $count } import waits to be approved or discarded
   *[other] { $count } imports wait to be approved or discarded
}
admin-dead = { $count ->
    [one] { $count } task was given up after it had failed too often
   *[other] { $count } tasks were given up after they had failed too often
}
admin-quarantined = { $count ->
    [one] { $count } history cannot be read and was set aside
   *[other] { $count } histories cannot be read and were set aside
}
admin-unhealthy = The server has a trouble: look at its health
admin-last-import = Last import
admin-no-import = Nothing has been imported yet.
admin-import-to = Import a file
admin-import-status = { $status ->
    [running] is running
    [held] waits to be approved
    [completed] completed
    [failed] failed
    [cancelled] was cancelled
    [discarded] was discarded
   *[removed] was completed; its records were removed since
}
admin-server = Server
admin-server-good = It is ready, and all that it needs answers.
admin-server-bad = Something that it needs does not answer.
admin-data-sets = Data sets
admin-withdrawn = withdrawn
admin-permissions = You may see: { $may }.
