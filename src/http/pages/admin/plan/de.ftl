plan-title = Plan { $plan }
plan-limits = Was er sagt
plan-change-hint = { $count ->
    [0] Noch niemand hat diesen Plan.
    [one] { $count } Person hat diesen Plan. Für sie gilt es innerhalb einer Sekunde.
   *[other] { $count } Personen haben diesen Plan. Für sie gilt es innerhalb einer Sekunde.
}
plan-save = Speichern
plan-save-mine = Meine Eingaben speichern
plan-keep-theirs = Behalten, was jetzt gilt
plan-revive = Speichern und den Plan wieder verwenden
plan-conflict = Jemand hat diesen Plan inzwischen geändert.
plan-conflict-text = Es wurde noch nichts gespeichert. Vergleichen Sie beides, ändern Sie unten, was Sie möchten, und speichern Sie, oder behalten Sie, was jetzt gilt.
plan-now = Gilt jetzt
plan-typed = Von Ihnen eingegeben
plan-retire-title = Zurückziehen
plan-retire-text = Einen zurückgezogenen Plan bekommt niemand neu. Wer ihn hat, behält ihn.
plan-retire-default = Dies ist der Plan jeder Einladung, die keinen nennt. Er lässt sich nicht zurückziehen, bevor in der Einstellung users.default_plan ein anderer genannt ist.
plan-retire = Plan zurückziehen …
plan-retire-ask = { $count ->
    [0] Niemand hat den Plan { $plan }. Niemand bekommt ihn neu: Wer ohne Plan eingeladen wird, bekommt { $default }.
    [one] { $count } Person hat den Plan { $plan } und behält ihn, bis Sie ihr einen anderen geben. Niemand bekommt ihn neu: Wer ohne Plan eingeladen wird, bekommt { $default }.
   *[other] { $count } Personen haben den Plan { $plan } und behalten ihn, bis Sie ihnen einen anderen geben. Niemand bekommt ihn neu: Wer ohne Plan eingeladen wird, bekommt { $default }.
}
plan-retire-do = { $plan } zurückziehen
plan-people = Wer ihn hat
plan-nobody = Niemand hat diesen Plan. Geben Sie ihn Personen auf ihren Seiten, oder wählen Sie ihn beim Einladen.
