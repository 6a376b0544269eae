sent-file-about = { $size }, gesendet am { $at }. Die Datei liegt einen Tag lang bereit.
sent-file-remove = Datei entfernen
sent-file-remove-question = Die Datei wird vom Server entfernt. Was daraus importiert wurde, bleibt.
sent-file-remove-confirm = Ja, entfernen
sent-file-removed = Die Datei wurde entfernt.
sent-file-trouble = So kann die Datei nicht gelesen werden:
sent-file-trouble-next = Ändern Sie unten, wie sie gelesen wird oder für welchen Datenbestand sie ist, oder senden Sie eine andere Datei.
sent-file-next = Wie weiter?
sent-file-into = Die Datei ist für { $dataset }, das jetzt { $records ->
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
sent-file-encoding-hint = Etwa utf-8, windows-1252 oder utf-16le. Lassen Sie das leer, dann wird er herausgefunden.
sent-file-delimiter = Trennt Spalten
sent-file-delimiter-hint = Etwa , oder ; oder tab. Lassen Sie das leer, dann wird es herausgefunden.
sent-file-tab = Tabulator
sent-file-quote = Umschließt Zellen
sent-file-quote-hint = " oder ' oder none.
sent-file-sheet = Tabellenblatt
sent-file-sheet-hint = Sein Name, in Excel-Dateien. Lassen Sie das leer für das erste sichtbare.
sent-file-header-line = Zeile der Überschriften
sent-file-decimal = Zeichen vor Nachkommastellen
sent-file-thousands = Gruppiert Ziffern
sent-file-thousands-hint = , oder . oder ' oder space oder none.
sent-file-date-order = Reihenfolge in Daten
sent-file-month_first = Monat zuerst (12/31/2026)
sent-file-day_first = Tag zuerst (31.12.2026)
sent-file-as-defined = wie es in der Definition steht
sent-file-time-zone = Zeitzone
sent-file-time-zone-hint = Von Zeiten ohne Zone, etwa Europe/Berlin.
sent-file-skip-rows = Zeilen, die oben wegbleiben
sent-file-skip-rows-hint = Etwa ein Titel über den Überschriften.
sent-file-blanks = Texte, die „kein Wert“ bedeuten
sent-file-blanks-hint = Einer in jeder Zeile, etwa k.A.
sent-file-stop-at = Texte, bei denen die Tabelle endet
sent-file-stop-at-hint = Einer in jeder Zeile, etwa Summe oder Quelle:*
sent-file-fill-down = Spalten, deren leere Zellen den Wert darüber haben
sent-file-fill-down-hint = Eine in jeder Zeile, bei verbundenen Zellen.
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
sent-file-header = In der Datei
sent-file-read-as = Gilt als
sent-file-not-published = nicht veröffentlicht
sent-file-not-read = nicht gelesen
sent-file-first-rows = Die ersten Zeilen, als Datensätze
sent-file-no-rows = Keine Zeile konnte als Datensatz gelesen werden. Ändern Sie unten, wie die Datei gelesen wird.
sent-file-problems = Was nicht gelesen werden kann
sent-file-definition = Die Definition des neuen Datenbestands
sent-file-definition-none = Aus der Datei konnte keine entworfen werden. Sagen Sie oben, wie sie zu lesen ist, oder schreiben Sie die Definition hier.
sent-file-definition-what = Sie wurde aus der Datei entworfen. Sie sagt, wie die Spalten heißen, was sie enthalten und was veröffentlicht wird. Berichtigen Sie, was nicht stimmt: Spalten über Personen bleiben weg, wenn Sie sie nicht zulassen.
sent-file-definition-text = Definition (TOML)
sent-file-define = Speichern und prüfen
sent-file-definition-kept = Die Definition stimmt. Unten sehen Sie, wie die Datei damit gelesen wird.
sent-file-propose = Neu entwerfen
sent-file-propose-question = Die Definition wird noch einmal aus der Datei entworfen. Was Sie darin geschrieben haben, geht verloren.
sent-file-propose-confirm = Ja, neu entwerfen
sent-file-proposed = Die Definition wurde neu entworfen.
sent-file-settings = Anders lesen
sent-file-settings-what = Das gilt nur für diese Datei. Sie muss nicht noch einmal gesendet werden.
sent-file-absent = Spalten, die die Datei nicht hat
sent-file-absent-empty = werden leer
sent-file-absent-keep = behalten ihre Werte
sent-file-keep-definition = Die Definition behalten, wie sie geschrieben ist
sent-file-again = Noch einmal lesen
sent-file-read-again = Die Datei wurde noch einmal gelesen, wie Sie es gesagt haben.
