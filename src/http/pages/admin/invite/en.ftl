invite-title = Invite people
invite-lead = Whoever is invited gets a mail with a key for programs, and a link to set a password with.
invite-one = One person
invite-several = Several people
invite-email = E-mail address
invite-name = Name
invite-role-hint = Readers read data. Managers import and manage data sets as well. Administrators may do everything.
invite-do = Invite
invite-list = List
invite-list-hint = One person a line: address, then, where you want them, name, role (reader, manager, admin) and plan, with commas between. A first line with the columns’ names (email, name, role, plan) may be there. “Ana Ito <ana@example.org>” is read, too.
invite-list-empty = paste a list, or choose a file
invite-file = Or take it from a CSV file
invite-look = Check the list
invite-preview = This is what would be done
invite-result = This is what was done
invite-would = { $count ->
    [one] { $count } new
   *[other] { $count } new
}
invite-did = { $count ->
    [one] { $count } invited
   *[other] { $count } invited
}
invite-were = { $count } known already
invite-wrong = { $count ->
    [one] { $count } line is wrong
   *[other] { $count } lines are wrong
}
invite-deferred = { $count } have to wait
invite-deferred-text = No more invitations are mailed in this hour. Send the same list again later: whoever was invited stays as they are.
invite-line = Line
invite-what = Result
invite-action-invite = will be invited
invite-action-invited = invited
invite-action-exists = known already
invite-action-wrong = wrong
invite-action-deferred = has to wait
invite-left = { $count } more lines are not shown.
invite-send = { $count ->
    [one] Invite { $count } person
   *[other] Invite { $count } people
}
invite-without = { $count ->
    [one] The wrong line is left out. Correct it below, and send the list again.
   *[other] The { $count } wrong lines are left out. Correct them below, and send the list again.
}
invite-exists = somebody with this address was invited already
invite-known = Already here:
invite-no-address = write an address such as ana@example.org
invite-done = { $email } is invited. The mail is on its way.
