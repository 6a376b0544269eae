home-examples-title = Beispiele
home-examples-lead = Setzen Sie Ihren Schlüssel ein, wo YOUR_KEY steht. Sie haben noch keinen? <a href="{ $href }">Machen Sie einen</a>.
home-examples-dataset = Daten
home-examples-show = Zeigen
home-examples-csv-file = In eine Datei für eine Tabellenkalkulation:
home-examples-browser = Führen Sie das auf einem eigenen Rechner aus, nicht in einer Seite, die andere öffnen: sie könnten den Schlüssel lesen.
home-examples-pages = JSON kommt in Seiten von höchstens 1.000 Datensätzen: so wird Seite um Seite gefragt.
home-examples-whole = CSV kommt als Ganzes: alle Datensätze in einer Datei. Das zählt als { $cost } Anfragen.
home-examples-excel-web = Daten aus dem Web abrufen
home-examples-excel-menu = Wählen Sie im Menü „Daten“ den Punkt „Aus dem Web“.
home-examples-excel-address = Fügen Sie diese Adresse ein:
home-examples-excel-basic = Wenn Excel nach dem Zugriff fragt, wählen Sie „Standard“ (Basic). Der Benutzername ist Ihr Schlüssel; das Kennwort bleibt leer.
home-examples-excel-anonymous = Wenn Excel nach dem Zugriff auf diese Adresse fragt, wählen Sie „Anonym“: der Schlüssel steht in der Abfrage.
home-examples-guide = Was sich noch fragen lässt
home-examples-secret = Wer Ihren Schlüssel hat, liest in Ihrem Namen Daten und verbraucht, was von Ihrem Tag übrig ist. Halten Sie ihn aus Dateien heraus, die Sie teilen.
home-examples-reference = Alle Anfragen
