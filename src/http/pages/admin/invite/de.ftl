invite-title = Personen einladen
invite-lead = Wer eingeladen wird, bekommt eine E-Mail mit einem Schlüssel für Programme und einem Link zum Setzen eines Passworts.
invite-one = Eine Person
invite-several = Mehrere Personen
invite-email = E-Mail-Adresse
invite-name = Name
invite-role-hint = „Lesen“ liest Daten. „Datenpflege“ importiert und verwaltet auch Datenbestände. „Verwaltung“ darf alles.
invite-do = Einladen
invite-list = Liste
invite-list-hint = Eine Person je Zeile: die Adresse, dann, wenn Sie mögen, Name, Rolle (reader, manager, admin) und Plan, mit Kommas dazwischen. Eine erste Zeile mit den Namen der Spalten (email, name, role, plan) darf da sein. „Ana Ito <ana@example.org>“ wird auch gelesen.
invite-list-empty = fügen Sie eine Liste ein, oder wählen Sie eine Datei
invite-file = Oder aus einer CSV-Datei
invite-look = Liste prüfen
invite-preview = Das würde getan
invite-result = Das wurde getan
invite-would = { $count ->
    [one] { $count } neu
   *[other] { $count } neu
}
invite-did = { $count ->
    [one] { $count } eingeladen
   *[other] { $count } eingeladen
}
invite-were = { $count } schon bekannt
invite-wrong = { $count ->
    [one] { $count } Zeile ist falsch
   *[other] { $count } Zeilen sind falsch
}
invite-deferred = { $count } müssen warten
invite-deferred-text = In dieser Stunde werden keine weiteren Einladungen verschickt. Schicken Sie dieselbe Liste später noch einmal: Wer schon eingeladen ist, bleibt, wie er ist.
invite-line = Zeile
invite-what = Ergebnis
invite-action-invite = wird eingeladen
invite-action-invited = eingeladen
invite-action-exists = schon bekannt
invite-action-wrong = falsch
invite-action-deferred = muss warten
invite-left = { $count } weitere Zeilen sind nicht gezeigt.
invite-send = { $count ->
    [one] { $count } Person einladen
   *[other] { $count } Personen einladen
}
invite-without = { $count ->
    [one] Die falsche Zeile wird ausgelassen. Berichtigen Sie sie unten und schicken Sie die Liste noch einmal.
   *[other] Die { $count } falschen Zeilen werden ausgelassen. Berichtigen Sie sie unten und schicken Sie die Liste noch einmal.
}
invite-exists = Jemand mit dieser Adresse ist schon eingeladen
invite-known = Schon hier:
invite-no-address = Schreiben Sie eine Adresse wie ana@example.org
invite-done = { $email } ist eingeladen. Die E-Mail ist unterwegs.
