front-title = Daten
front-lead = Tabellen, veröffentlicht als Schnittstelle für alle, die eingeladen wurden.
front-datasets = Datenbestände
front-empty = Noch ist nichts veröffentlicht. Es steht hier, sobald eine Datei importiert ist.
front-empty-stranger = Hier wird nichts jedem gezeigt. Melden Sie sich an, um zu sehen, was Sie lesen dürfen.
front-access = Zugang
front-access-text = Menschen werden per E-Mail eingeladen. Die Einladung enthält einen Schlüssel für Programme und einen Link, mit dem Sie ein Passwort setzen. Damit melden Sie sich hier an: Sie sehen, was von Ihrem Kontingent übrig ist, erzeugen weitere Schlüssel und sehen die Daten im Browser an.
front-docs = Wie Programme nach Daten fragen
