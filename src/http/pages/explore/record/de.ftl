explore-record-unknown = Diesen Datensatz gibt es nicht
explore-record-unknown-text = Kein Datensatz trägt diese Nummer, und soweit der Verlauf zurückreicht, trug sie auch keiner. Vielleicht wird sie anders geschrieben.
explore-record-all = Alle Datensätze
explore-record-then = Das ist der Eintrag mit Stand { $time }.
explore-record-absent = Mit Stand { $time } gab es diesen Eintrag nicht.
explore-record-gone = Diesen Datensatz gibt es nicht mehr. Ein Import hat ihn entfernt; unten steht, was er war.
explore-record-all-columns = Der Datensatz
explore-record-same = { $count ->
    [one] 1 Datensatz trägt diese Nummer
   *[other] { $count } Datensätze tragen diese Nummer
}
explore-record-this = dieser
explore-record-request = So bekommt ein Programm den Datensatz und seinen Verlauf. Beides kostet je 1 Anfrage.
explore-record-costs = Die Seite eines Datensatzes kostet 2 Anfragen: 1 für den Datensatz und 1 für seinen Verlauf.
explore-history = Verlauf
explore-history-added = Durch einen Import hinzugefügt
explore-history-returned = Durch einen Import wieder hinzugefügt
explore-history-changed = Durch einen Import geändert
explore-history-removed = Durch einen Import entfernt
explore-history-was = War so, wie ein Import es hinterließ
explore-history-same = Nichts, was noch veröffentlicht wird, hat sich geändert.
explore-history-no-moment = Der Zeitpunkt wird nicht mehr aufbewahrt
explore-history-version = Version { $version }
explore-history-from = von
explore-history-to = zu
explore-history-none = Was vorher war, ist nicht bekannt.
