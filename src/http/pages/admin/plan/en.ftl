plan-title = Plan { $plan }
plan-limits = What it says
plan-change-hint = { $count ->
    [0] Nobody has this plan yet.
    [one] { $count } person has this plan, and follows within a second.
   *[other] { $count } people have this plan, and follow within a second.
}
plan-save = Save
plan-save-mine = Save what I typed
plan-keep-theirs = Keep what is set now
plan-revive = Save, and use the plan again
plan-conflict = Somebody changed this plan meanwhile.
plan-conflict-text = Nothing was saved yet. Compare both, change what you want below, and save, or keep what is set now.
plan-now = Set now
plan-typed = You typed
plan-retire-title = Retire
plan-retire-text = Nobody gets a retired plan anew. Whoever has it keeps it.
plan-retire-default = This is the plan of every invitation that names none. It cannot be retired before another one is named in the setting users.default_plan.
plan-retire = Retire the plan…
plan-retire-ask = { $count ->
    [0] Nobody has the plan { $plan }. Nobody will get it anew: who is invited without a plan gets { $default }.
    [one] { $count } person has the plan { $plan } and keeps it until you give them another one. Nobody gets it anew: who is invited without a plan gets { $default }.
   *[other] { $count } people have the plan { $plan } and keep it until you give them another one. Nobody gets it anew: who is invited without a plan gets { $default }.
}
plan-retire-do = Retire { $plan }
plan-people = Who has it
plan-nobody = Nobody has this plan. Give it to people on their pages, or choose it when you invite them.
