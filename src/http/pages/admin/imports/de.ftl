imports-title = Importe
imports-held = { $count ->
    [one] Ein Import wartet auf Ihre Entscheidung: siehe die Liste unten.
   *[other] { $count } Importe warten auf Ihre Entscheidung: siehe die Liste unten.
}
imports-send = Datei senden
imports-send-what = Sie sehen zuerst, wie die Datei gelesen wird und was sie ändern würde. Nichts wird geändert, bevor Sie es sagen.
imports-dataset = Für welchen Datenbestand
imports-new = Ein neuer Datenbestand
imports-name = Name eines neuen Datenbestands
imports-name-hint = Nur für einen neuen: Kleinbuchstaben, Ziffern und _, zuerst ein Buchstabe. Wenn Sie keinen angeben, heißt er wie die Datei.
imports-mode = Was die Datei ist
imports-file = Datei
imports-file-hint = CSV, Excel (xlsx, xls), TSV oder JSON Lines. Sie können sie auch hierher ziehen.
imports-file-max = Höchstens { $size }.
imports-look = Datei ansehen
imports-waiting = Dateien, die bereitliegen
imports-none-waiting = Keine Datei liegt bereit. Was Sie senden, liegt hier einen Tag lang, bis es importiert oder entfernt ist.
imports-earlier = Frühere Importe
imports-state = Stand
imports-short-new = Neu
imports-short-changed = Geändert
imports-short-removed = Entfernt
imports-short-rejected = Abgelehnt
imports-last = Das sind die letzten { $count } Importe.
imports-none = Es wurde noch nichts importiert. Senden Sie oben eine Datei.
