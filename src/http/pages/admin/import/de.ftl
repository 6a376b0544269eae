import-title = Import von { $file }
import-status-uploading = kommt an
import-status-reading = wird gelesen
import-status-committing = wird gespeichert
import-status-held = wartet auf eine Entscheidung
import-status-completed = importiert
import-status-tried = ausprobiert
import-status-failed = fehlgeschlagen
import-status-cancelled = abgebrochen
import-status-discarded = verworfen
import-status-removed = nicht mehr da
import-status-running = läuft
import-under-way-uploading = Die Datei kommt an
import-under-way-reading = Die Datei wird gelesen
import-under-way-committing = Die Datensätze werden gespeichert
import-progress = Wie weit der Import ist
import-rows-read = { $count ->
    [one] { $count } Zeile wurde gelesen.
   *[other] { $count } Zeilen wurden gelesen.
}
import-waits = Sie können diese Seite verlassen: Der Import geht weiter. Sehen Sie wieder nach, wie weit er ist.
import-look-again = Wieder nachsehen
import-cancel = Import abbrechen
import-cancel-question = Der Import wird beendet, und kein Datensatz wird geändert. Wenn Sie ihn doch wollen, muss die Datei neu importiert werden.
import-cancel-confirm = Ja, abbrechen
import-held-title = Dieser Import braucht Ihre Entscheidung
import-held-why = Er würde mehr ändern als üblich. Deshalb ist noch nichts geändert:
import-excess-removed = { $count } von { $of } Datensätzen würden entfernt. Das sind mehr als { $max } %.
import-excess-rejected = { $count } von { $of } Zeilen der Datei können keine Datensätze werden. Das sind mehr als { $max } %.
import-excess-nulled = Die Spalte „{ $column }“ würde { $count } ihrer { $of } Werte verlieren. Das sind mehr als { $max } %.
import-excess-no_record = Keine der { $of } Zeilen der Datei kann ein Datensatz werden, und die Datei soll den Datenbestand ersetzen.
import-held-check = Ist die Datei nur ein Teil der Daten, oder heißt eine Spalte darin anders, dann verwerfen Sie den Import und senden Sie die richtige Datei. Ist all das gewollt, dann geben Sie ihn frei.
import-held-until = Ohne Entscheidung wird er am { $at } verworfen.
import-approve = Freigeben
import-approve-question = { $dataset } bekommt { $inserted } neue und { $updated } geänderte Datensätze. { $removed } Datensätze werden entfernt, und { $rejected } Zeilen der Datei bleiben weg. Leserinnen und Leser sehen das sofort.
import-approve-confirm = { $removed ->
    [0] Ja, importieren
    [one] Ja, importieren und { $removed } Datensatz entfernen
   *[other] Ja, importieren und { $removed } Datensätze entfernen
}
import-discard = Verwerfen
import-discard-question = { $records ->
    [one] Der { $records } Datensatz von { $dataset } bleibt, wie er ist.
   *[other] Alle { $records } Datensätze von { $dataset } bleiben, wie sie sind.
} Der Import ist damit beendet.
import-discard-confirm = Ja, verwerfen
import-approved = Der Import ist freigegeben und geht jetzt weiter.
import-approved-before = Der Import war schon freigegeben.
import-discarded = Der Import wurde verworfen. Nichts wurde geändert.
import-discarded-before = Der Import war schon verworfen. Nichts wurde geändert.
import-cancelled = Der Import wird abgebrochen.
import-cancelled-before = Der Import war schon abgebrochen.
import-tried-title = Die Datei wurde ausprobiert. Nichts wurde geändert.
import-tried = Hier steht, was ein Import der Datei tun würde.
import-tried-same = Ein Import würde nichts ändern: Alle Datensätze sind schon da, so wie sie in der Datei stehen.
import-tried-would-hold = Ein Import würde zuerst auf Ihre Entscheidung warten, weil er mehr ändern würde als üblich:
import-start = Jetzt importieren
import-read-otherwise = Ändern, wie die Datei gelesen wird
import-file-gone = Die Datei liegt nicht mehr bereit. Um sie zu importieren, <a href="{ $path }">senden Sie sie noch einmal</a>.
import-done-title = Die Datei wurde importiert
import-done = { $dataset } hat jetzt die Version { $version }.
import-see-data = Daten ansehen
import-see-data-set = Zum Datenbestand
import-ended-failed = Der Import ist fehlgeschlagen
import-ended-cancelled = Der Import wurde abgebrochen
import-ended-discarded = Der Import wurde verworfen
import-ended-removed = Was dieser Import brachte, ist nicht mehr da
import-nothing-changed-failed = Kein Datensatz wurde geändert. Berichtigen Sie die Datei oder wie sie gelesen wird, und versuchen Sie es noch einmal.
import-nothing-changed-cancelled = Kein Datensatz wurde geändert.
import-nothing-changed-discarded = Kein Datensatz wurde geändert.
import-nothing-changed-removed = Der Datenbestand wurde entfernt oder heißt jetzt anders.
import-back-to-file = Zurück zur Datei
import-send-another = Datei senden
import-counts = Was sich geändert hat
import-counts-would = Was sich ändern würde
import-inserted = Neue Datensätze
import-updated = Geänderte Datensätze
import-removed = Entfernte Datensätze
import-unchanged = Unveränderte Datensätze
import-rejected = Zeilen, die keine Datensätze werden können
import-emptied = Verlorene Werte in { $column }
import-notes = Was Sie über die Datei wissen sollten
import-missing-columns = Diese Spalten hat die Datei nicht: { $names }.
import-renamed-header = Die Überschrift „{ $header }“ meint vielleicht die Spalte „{ $column }“.
import-new-headers = Diese Überschriften stehen nicht in der Definition und wurden nicht gelesen: { $names }.
import-differences = Beispiele geänderter Werte
import-differences-some = { $count ->
    [one] Ein geänderter Wert
   *[other] Die ersten { $count } geänderten Werte
}
import-record = Datensatz
import-column = Spalte
import-old = Bisher
import-new = In der Datei
import-no-value = kein Wert
import-rejects = Zeilen, die keine Datensätze werden können
import-rejects-what = Berichtigen Sie diese Zellen in der Datei, und senden Sie sie noch einmal. Alle anderen Zeilen sind nicht betroffen.
import-rejects-first = { $count ->
    [one] Eine Zelle
   *[other] Die ersten { $count } Zellen
}
import-line = Zeile
import-value = Wert
import-reason = Was nicht stimmt
import-rejects-download = Alle abgelehnten Zeilen herunterladen (CSV)
import-more = Mehr über diesen Import
import-dataset = Datenbestand
import-mode = Was die Datei ist
import-mode-replace = der ganze Datenbestand: was sie nicht hat, wird entfernt
import-mode-merge = Ergänzungen und Änderungen: nichts wird entfernt
import-who = Wer
import-who-you = Sie
import-who-person = jemand aus der Verwaltung
import-who-token = ein Verwaltungstoken
import-who-server = der Server
import-who-command = ein Befehl auf dem Server
import-started = Begonnen
import-ended = Beendet
import-id = Id
import-redefines = Dieser Import ändert auch die Definition der Daten.
import-redefines-present = Die jetzige Definition
import-opens-columns = Von da an veröffentlicht, vorher nicht: { $names }
import-opens-personal = Gelten nicht mehr als Angaben über Personen, sodass ihre Werte gezeigt werden: { $names }
import-opens-about = Was die Daten über sich sagen, darf von da an jeder sehen.
