about-explore = Datensätze ansehen
about-sign-in = Anmelden und Datensätze ansehen
about-no-description = Wer diesen Datenbestand veröffentlicht, hat ihn noch nicht beschrieben.
about-keywords = Stichwörter
about-facts = Auf einen Blick
about-records = Datensätze
about-publisher = Herausgeber
about-licence = Lizenz
about-no-licence = Nicht angegeben: Fragen Sie den Herausgeber, bevor Sie die Datensätze verwenden.
about-frequency = Neue Datensätze kommen
about-homepage = Webseite
about-contact = Kontakt
about-address = Adresse für Programme
about-last = Letzter Import
about-inserted = Neue Datensätze
about-updated = Geänderte Datensätze
about-removed = Entfernte Datensätze
about-unchanged = Er brachte nichts, was nicht schon da war.
about-version = Die Datensätze haben die Version { $version }. Die Zahl steigt, wenn ein Import etwas ändert.
about-columns = Spalten
about-no-figures = Die Spalten sind noch nicht ausgezählt. Anteile leerer Zellen und häufige Werte stehen hier nach dem nächsten Import.
about-column = Spalte und Bedeutung
about-type = Typ
about-empty = Leer
about-values = Bereich oder häufigste Werte
about-from = Von
about-to = bis
about-only = Nur
about-blank = (leerer Text)
about-personal = Betrifft Menschen: nicht gezeigt
about-identifies = Unterscheidet Datensätze: nicht gezeigt
about-various = Kein Wert ist häufig genug, um hier zu stehen
about-figures = Werte stehen hier nur, wenn viele Datensätze sie haben: mindestens 10, und mindestens einer von tausend. Aus Spalten, die Menschen betreffen, und aus den Spalten, die Datensätze unterscheiden, steht hier kein Wert.
about-type-text = Text
about-type-integer = Ganze Zahl
about-type-money = Betrag
about-type-number = Zahl
about-type-date = Datum
about-type-timestamp = Datum und Uhrzeit
about-type-point = Ort
about-access = So erhalten Sie Zugang
about-access-default = Datensätze lesen alle, die eingeladen wurden. Bitten Sie um eine Einladung: Sie bringt einen Schlüssel für Programme und ein Passwort, mit dem Sie sich hier anmelden.
about-ask = Ansprechpartner:
about-docs = Wie Programme nach Datensätzen fragen
about-limits = Gut zu wissen
about-limit-page = Eine Antwort hat bis zu 1.000 Datensätze. Alle, die zu einer Frage passen, kommen als eine Datei, CSV oder NDJSON.
about-limit-export = { $cost ->
    [one] Eine solche Datei zählt als eine Anfrage.
   *[other] Eine solche Datei zählt als { $cost } Anfragen.
}
about-limit-plan = Wie viel Sie in einer Sekunde und an einem Tag fragen können, hängt von Ihrem Plan ab. Sie sehen es auf Ihrer Startseite.
about-limit-past = { $days ->
    [one] Frühere Versionen gibt es ab Version { $version }. Sie werden einen Tag lang aufbewahrt.
   *[other] Frühere Versionen gibt es ab Version { $version }. Sie werden { $days } Tage lang aufbewahrt.
}
about-every-hourly = stündlich
about-every-daily = täglich
about-every-weekly = wöchentlich
about-every-monthly = monatlich
about-every-quarterly = vierteljährlich
about-every-yearly = jährlich
