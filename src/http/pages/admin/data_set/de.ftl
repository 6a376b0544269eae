data-set-is-withdrawn = Er wird aufbewahrt, und niemand außer der Verwaltung sieht ihn.
data-set-name = Name in Adressen
data-set-held = Aufbewahrte Versionen
data-set-held-from = { $count ->
    [one] Version { $to }
   *[other] { $count } Versionen: { $from } bis { $to }
}
data-set-former = Frühere Namen, die hierher führen
data-set-see = Was Leserinnen und Leser sehen
data-set-columns = Spalten
data-set-kind = Typ
data-set-from = Gelesen aus
data-set-key = Schlüssel
data-set-record-id = Datensatznummer
data-set-read = einer Spalte der Datei
data-set-joined = mehreren Spalten der Datei
data-set-made = vom Import gemacht
data-set-definition = Die Definition
data-set-text-what = Senden Sie die Datei auf der Seite <a href="{ $imports }">Importe</a> noch einmal, und ändern Sie dort die Definition. Was darin stehen kann: <a href="{ $language }">die Sprache der Definitionen</a> (auf Englisch).
data-set-indexes = Indexe
data-set-no-indexes = keine
data-set-fingerprint = Fingerabdruck
data-set-import-counts = { $inserted } neu, { $updated } geändert, { $removed } entfernt
data-set-acts = Datenbestand ändern
data-set-withdraw = Zurückziehen
data-set-withdraw-question = { $records ->
    [one] Sein { $records } Datensatz bleibt
   *[other] Seine { $records } Datensätze bleiben
} aufbewahrt, und niemand bekommt sie mehr zu lesen, bis Sie den Datenbestand wieder zugänglich machen.
data-set-withdraw-confirm = Ja, zurückziehen
data-set-withdrawn = { $name } ist zurückgezogen. Niemand außer der Verwaltung sieht den Datenbestand.
data-set-restore = Wieder zugänglich machen
data-set-restore-question = { $records ->
    [one] Sein { $records } Datensatz kann wieder gelesen werden.
   *[other] Seine { $records } Datensätze können wieder gelesen werden.
}
data-set-restore-confirm = Ja, zugänglich machen
data-set-restored = { $name } ist wieder zugänglich.
data-set-rename = Umbenennen
data-set-rename-question = Alle { $records } Datensätze bekommen eine andere Adresse. Der alte Name { $name } führt dorthin, solange ihn kein anderer Datenbestand bekommt. Definitionen in Dateien behalten den alten Namen: ändern Sie ihn auch dort, vor dem nächsten Import.
data-set-rename-to = Neuer Name
data-set-rename-confirm = Umbenennen
data-set-renamed = { $name } heißt jetzt { $to }.
data-set-remove = Entfernen
data-set-remove-question = { $records ->
    [one] Sein { $records } Datensatz wird
   *[other] Alle { $records } Datensätze werden
} entfernt, in { $versions ->
    [one] der { $versions } Version, die aufbewahrt ist.
   *[other] allen { $versions } Versionen, die aufbewahrt sind.
} Das lässt sich nicht rückgängig machen: Die Daten müssten neu importiert werden.
data-set-remove-typed = Um ihn zu entfernen, schreiben Sie { $name }
data-set-remove-confirm = { $records ->
    [one] { $records } Datensatz endgültig entfernen
   *[other] { $records } Datensätze endgültig entfernen
}
data-set-removed = { $name } wurde entfernt, mit { $count ->
    [one] { $count } Datensatz
   *[other] { $count } Datensätzen
}.
data-set-readers = Wer sie lesen darf
data-set-readers-people = { $count ->
    [one] { $count } Person
   *[other] { $count } Personen
}
data-set-readers-none = Niemand: kein Plan enthält sie. Geben Sie sie einem Plan.
data-set-public = Ihre Beschreibung ist öffentlich.
