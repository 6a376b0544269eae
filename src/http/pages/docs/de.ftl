docs-title = Anleitung für Programme
docs-lead = Wie Programme diesen Server nach Daten fragen: von der ersten Anfrage bis zu Kopien, die aktuell bleiben.
docs-english = Die Anleitung selbst ist auf Englisch.
docs-dataset = Beispiele mit dem Datenbestand
docs-show = Zeigen
docs-begin = Bevor Sie anfangen
docs-of = Die Beispiele handeln von <a href="{ $href }">{ $title }</a>. Sie lassen sich kopieren, wie sie sind, sobald <code>KEY</code> Ihren Schlüssel enthält.
docs-made-up = Die Beispiele handeln von einer erfundenen Tabelle mit Büchern: Es gibt hier keine Daten, die jeder sehen darf. Angemeldet lesen Sie sie mit den Daten, auf die Sie Zugriff haben.
docs-signed-in = Sie sind angemeldet. <a href="{ $keys }">Legen Sie einen Schlüssel an</a> oder <a href="{ $examples }">kopieren Sie eine fertige Zeile</a> für Python, R, JavaScript oder Excel.
docs-token = Sie haben ein Administrator-Token, das keine Datensätze liest. Was Sie damit aufrufen können, steht in der <a href="{ $href }">Referenz der Verwaltung</a>.
docs-stranger = Datensätze lesen Personen, die eingeladen wurden. Wenn Sie eine Einladung haben, <a href="{ $href }">melden Sie sich an</a> oder nehmen Sie den Schlüssel aus der Einladung. Wenn nicht, bitten Sie um Zugang.
docs-ask = Ansprechstelle:
docs-ask-operator = Fragen Sie, wer diesen Server betreibt.
docs-contents = Inhalt
docs-columns = Die Spalten von „{ $title }“
docs-asked = Bedingungen auf { $column }
docs-condition = Bedingung
docs-found = Findet
docs-finds = Findet:
docs-finds-some = einige Datensätze
docs-nav = Dokumentation
docs-nav-guide = Anleitung
docs-nav-reference = Referenz
docs-nav-admin = Verwaltung
docs-nav-definitions = Definitionen
