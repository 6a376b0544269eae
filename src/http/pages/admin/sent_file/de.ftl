sent-file-about = { $size }, gesendet am { $at }. Die Datei liegt einen Tag lang bereit.
sent-file-remove = Datei entfernen
sent-file-remove-question = Die Datei wird vom Server entfernt. Was daraus importiert wurde, bleibt.
sent-file-remove-confirm = Ja, entfernen
sent-file-removed = Die Datei wurde entfernt.
sent-file-trouble = So kann die Datei nicht gelesen werden:
sent-file-trouble-next = Ändern Sie unten, wie die Datei gelesen wird oder für welchen Datenbestand sie ist, oder senden Sie eine andere Datei.
sent-file-next = Nächster Schritt
sent-file-into = Die Datei ist für den Datenbestand { $dataset }, der jetzt { $records ->
    [one] { $records } Datensatz
   *[other] { $records } Datensätze
} hat.
sent-file-into-new = Die Datei ist für den neuen Datenbestand { $dataset }.
sent-file-replaces = Sie ist der ganze Datenbestand: Datensätze, die sie nicht hat, werden entfernt.
sent-file-merges = Sie ergänzt und ändert Datensätze: keiner wird entfernt.
sent-file-try = Ausprobieren
sent-file-start = Ohne Probe importieren
sent-file-define-first = Das ist ein neuer Datenbestand. Sehen Sie sich <a href="#definition">unten seine Definition</a> an, und probieren Sie ihn dort aus.
sent-file-reading = Wie die Datei gelesen wird
sent-file-format = Format
sent-file-format-xlsx = Excel (xlsx)
sent-file-format-xls = Excel (xls)
sent-file-format-delimited = Text mit getrennten Spalten (CSV)
sent-file-format-json_lines = JSON Lines
sent-file-encoding = Zeichensatz
sent-file-encoding-hint = Etwa utf-8, windows-1252 oder utf-16le. Lassen Sie das Feld leer, dann wird er erkannt.
sent-file-delimiter = Spaltentrennzeichen
sent-file-delimiter-hint = Etwa , oder ; oder tab. Lassen Sie das Feld leer, dann wird es erkannt.
sent-file-tab = Tabulator
sent-file-quote = Anführungszeichen
sent-file-quote-hint = Das Zeichen um Texte in CSV-Dateien: " oder ' oder none.
sent-file-sheet = Tabellenblatt
sent-file-sheet-hint = Sein Name, in Excel-Dateien. Lassen Sie das Feld leer für das erste sichtbare Blatt.
sent-file-header-line = Zeile mit den Spaltennamen
sent-file-decimal = Dezimaltrennzeichen
sent-file-thousands = Tausendertrennzeichen
sent-file-thousands-hint = , oder . oder ' oder space oder none.
sent-file-date-order = Tag und Monat in Datumsangaben
sent-file-month_first = Monat zuerst (12/31/2026)
sent-file-day_first = Tag zuerst (31.12.2026)
sent-file-as-defined = wie es in der Definition steht
sent-file-time-zone = Zeitzone
sent-file-time-zone-hint = Für Zeiten, die keine Zone nennen, etwa Europe/Berlin.
sent-file-skip-rows = Zeilen, die oben ausgelassen werden
sent-file-skip-rows-hint = Wie viele, etwa 1 bei einem Titel über den Spaltennamen.
sent-file-blanks = Texte, die „kein Wert“ bedeuten
sent-file-blanks-hint = Ein Text je Zeile, etwa k.A.
sent-file-stop-at = Texte, die die Tabelle beenden
sent-file-stop-at-hint = Die Zeile, die mit einem davon beginnt, und alle darunter bleiben weg. Ein Text je Zeile, etwa Summe oder Quelle:*
sent-file-fill-down = Spalten, deren leere Zellen den Wert darüber wiederholen
sent-file-fill-down-hint = Bei verbundenen Zellen. Eine Spalte je Zeile.
sent-file-rows = Zeilen
sent-file-rows-all = { $count ->
    [one] Eine Zeile.
   *[other] Alle { $count } Zeilen wurden angesehen.
}
sent-file-rows-first = Die ersten { $count } wurden angesehen. Beim Ausprobieren werden alle gelesen.
sent-file-rows-rejected = { $count ->
    [one] Eine davon kann kein Datensatz werden.
   *[other] { $count } davon können keine Datensätze werden.
}
sent-file-columns = Die Spalten der Datei
sent-file-header = Spalte der Datei
sent-file-read-as = Spalte des Datenbestands
sent-file-not-published = nicht veröffentlicht
sent-file-not-read = nicht gelesen
sent-file-first-rows = Die ersten Zeilen, als Datensätze
sent-file-no-rows = Keine Zeile konnte als Datensatz gelesen werden. Ändern Sie unten, wie die Datei gelesen wird.
sent-file-problems = Was nicht gelesen werden kann
sent-file-definition = Die Definition des neuen Datenbestands
sent-file-definition-none = Aus der Datei konnte keine entworfen werden. Ändern Sie unten, wie die Datei gelesen wird, oder schreiben Sie die Definition hier.
sent-file-definition-what = Sie wurde aus der Datei entworfen. Sie sagt, wie die Spalten heißen, was sie enthalten und was veröffentlicht wird. Berichtigen Sie, was nicht stimmt. Spalten, deren Name oder Werte nach Personen aussehen, bleiben weg. Andere werden nicht erkannt: Sehen Sie jede Spalte an, bevor Sie importieren.
sent-file-definition-text = Definition (TOML)
sent-file-define = Speichern und prüfen
sent-file-definition-kept = Die Definition hat keinen Fehler. Unten sehen Sie, wie die Datei damit gelesen wird.
sent-file-propose = Entwurf neu beginnen
sent-file-propose-question = Die Definition wird noch einmal aus der Datei entworfen. Was Sie darin geschrieben haben, geht verloren.
sent-file-propose-confirm = Ja, Entwurf neu beginnen
sent-file-proposed = Die Definition wurde noch einmal aus der Datei entworfen.
sent-file-settings = Ändern, wie die Datei gelesen wird
sent-file-settings-what = Das gilt nur für diese Datei. Sie müssen sie nicht noch einmal senden.
sent-file-absent = Spalten, die in der Datei fehlen
sent-file-absent-empty = werden leer
sent-file-absent-keep = behalten ihre Werte
sent-file-keep-definition = Die Definition behalten, wie sie jetzt ist
sent-file-again = Datei noch einmal lesen
sent-file-read-again = Die Datei wurde mit Ihren Einstellungen noch einmal gelesen.
sent-file-definition-language = Was hier stehen kann: <a href="{ $href }">die Sprache der Definitionen</a> (auf Englisch).
sent-file-definition-name-taken = einen Datenbestand „{ $name }“ gibt es schon. Schreiben Sie hier einen anderen Namen, oder wählen Sie diesen Datenbestand weiter unten aus, unter „{ $choice }“
sent-file-definition-other-name = der Name ist „{ $name }“, aber das ist die Definition von „{ $dataset }“. Schreiben Sie wieder diesen Namen: Umbenannt wird ein Datenbestand auf seiner eigenen Seite, unter „Datenbestände“
sent-file-definition-of-other = für diese Datei wurde ein anderer Datenbestand ausgewählt, nachdem diese Seite angezeigt wurde. Sehen Sie die Seite noch einmal an, bevor Sie eine Definition ändern
sent-file-definition-undone = Ihre Änderungen an der Definition wurden zurückgenommen.
sent-file-present = Die Definition dieses Datenbestands
sent-file-present-what = Mit ihr wird die Datei gelesen. Sie können den Titel, Beschreibungen, was veröffentlicht wird, und Spalten ändern. Was Sie ändern, gilt mit dem Import dieser Datei und bleibt für spätere. „publish = false“ lässt eine Spalte weg; ob eine solche Spalte personenbezogen ist, wird nicht aufbewahrt: Schreiben Sie wieder „personal = true“, wenn Sie sie veröffentlichen.
sent-file-present-in-file = Sie steht in einer Datei auf dem Server, die jeder Import neu liest. Darum kann sie hier nicht geändert werden: Wer den Server betreibt, ändert sie in dieser Datei.
sent-file-present-long = Sie ist zu lang, um hier geändert zu werden. Wer den Server betreibt, ändert sie mit „permitd import --definition“.
sent-file-redefined = Definition geändert
sent-file-redefined-what = Die Datei wird mit der Definition gelesen, wie Sie sie geändert haben. Sie ersetzt die jetzige, wenn die Datei importiert wird.
sent-file-undo = Änderungen der Definition zurücknehmen
sent-file-undo-question = Die Datei wird wieder mit der jetzigen Definition gelesen. Was Sie darin geschrieben haben, geht verloren.
sent-file-undo-confirm = Ja, zurücknehmen
